"""environment.json: what made the captures, and what made the bundle of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...profiler.manifest import Manifest
from ...version import __version__
from ..page.pdf import Printed, printer_versions
from .layout import SCHEMA


def environment_data(manifests: Sequence[Manifest], printed: Printed | None) -> dict[str, Any]:
    """The whole of environment.json; `printed` is the PDF, None where the bundle has none."""
    return {
        "schema": SCHEMA,
        "captures": {one.id: _of_capture(one) for one in manifests},
        "made_by": made_by(),
        "printer": None if printed is None else printer_data(printed),
    }


def _of_capture(manifest: Manifest) -> dict[str, Any]:
    return {
        "created_utc": manifest.created_utc,
        "hardware_key": manifest.hardware_key,
        "gpus": [dict(gpu) for gpu in manifest.gpus],
        "versions": dict(manifest.versions),
        "commit": manifest.as_written["commit"],
        "command": list(manifest.command),
        "profile": manifest.profile,
    }


def made_by() -> dict[str, str]:
    """What computed the numbers and wrote the pages: another version, or another numpy, may write others."""
    import numpy

    return {"aisp_prof": __version__, "code_sha256": code_sha256(), "numpy": numpy.__version__}


def printer_data(printed: Printed) -> dict[str, Any]:
    """What the bytes of a PDF depend on beside its page."""
    return {"versions": printer_versions(), "fonts": list(printed.fonts)}


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
