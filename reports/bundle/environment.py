"""environment.json: what made the captures, and what made the bundle of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from ...profiler.manifest import Facts, Manifest
from ...version import __version__
from ..page.pdf import Printed, printer_versions
from .header import MadeBy, Maker, Printer
from .layout import SCHEMA


class Made(Struct, frozen=True):
    """What made a capture, as its manifest says; `commit` is any JSON, as it stands there."""

    created_utc: str
    hardware_key: str
    gpus: tuple[Facts, ...]
    versions: dict[str, str | None]
    commit: Any
    command: tuple[str, ...]
    profile: str


class Environment(Struct, frozen=True):
    """The whole of environment.json; `printer` is None where the bundle has no PDF."""

    schema: int
    captures: dict[str, Made]
    made_by: MadeBy
    printer: Printer | None


def environment_data(manifests: Sequence[Manifest], maker: Maker) -> dict[str, Any]:
    """The whole of environment.json, as plain JSON types."""
    made = {one.id: _of_capture(one) for one in manifests}
    data: dict[str, Any] = to_builtins(Environment(SCHEMA, made, maker.made_by, maker.printer))
    return data


def _of_capture(manifest: Manifest) -> Made:
    return Made(
        created_utc=manifest.created_utc,
        hardware_key=manifest.hardware_key,
        gpus=manifest.gpus,
        versions=manifest.versions,
        commit=manifest.as_written["commit"],
        command=manifest.command,
        profile=manifest.profile,
    )


def maker(printed: Printed | None) -> Maker:
    """What makes bundles here; `printed` is the PDF, None where the bundle has none."""
    import numpy

    printer = None if printed is None else Printer(printer_versions(), tuple(printed.fonts))
    return Maker(MadeBy(__version__, code_sha256(), numpy.__version__), printer)


@cache
def code_sha256() -> str:
    """The SHA-256 over all files that numbers and pages are made by, with their names: the same in a checkout and a wheel."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    code = [*root.glob("*.py"), *(root / "profiler").rglob("*.py"), *(root / "reports").rglob("*.py")]
    data = [*(root / "profiler").rglob("*.toml"), *(root / "templates").rglob("*")]
    for path in sorted(path for path in code + data if path.is_file() and not path.name.startswith(".")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_me() -> bytes:
    """The text that tells a stranger what he has before him."""
    return files(__package__.rpartition(".reports")[0]).joinpath("templates", "bundle", "README.txt").read_bytes()
