"""What a bundle says of itself that no trace can: what its pages are called, who made it and with what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError
from ..catalog import LANGUAGES
from .layout import SCHEMA, Pages, plain

_VERSION = re.compile(r"\d[\w.+-]{0,30}", re.ASCII)
"""Free text in its place would be printed beside a ✓."""
_PROGRAM = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Header:
    """Out of proof.json: the pages, the captures in the order of the stage, the pairs without one."""

    pages: Pages
    order: tuple[str, ...]
    missing: tuple[str, ...]

    @classmethod
    def unknown(cls) -> Header:
        return cls(Pages("", "", False), (), ())

    @property
    def known(self) -> bool:
        return self.pages.stage != ""


@dataclass(frozen=True, slots=True)
class Maker:
    """Out of environment.json: the program that made the bundle, and what printed its PDF; `data` is both as they stand."""

    version: str
    code_sha256: str
    printer: Mapping[str, Any]
    data: Mapping[str, Any]

    @classmethod
    def unknown(cls) -> Maker:
        return cls("", "", {}, {})


def read_header(proof: Any) -> Header:
    """The header of a proof.json.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(proof, dict) or proof.get("schema") != SCHEMA:
        raise UsageError(f"not a proof of schema {SCHEMA}")
    stage, lang, pdf = proof.get("stage"), proof.get("lang"), proof.get("pdf")
    if not isinstance(stage, str) or lang not in LANGUAGES or not isinstance(pdf, bool):
        raise UsageError("it does not say what its pages are: stage, lang, pdf")
    return Header(Pages(plain(stage, "the stage"), lang, pdf), _names(proof, "order"), _names(proof, "missing"))


def _names(proof: Mapping[str, Any], field: str) -> tuple[str, ...]:
    found = proof.get(field)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found) or len(set(found)) != len(found):
        raise UsageError(f"{field} is no list of names")
    return tuple(plain(one, field) for one in found)


def read_maker(environment: Any) -> Maker:
    """The maker in an environment.json.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(environment, dict) or environment.get("schema") != SCHEMA:
        raise UsageError(f"not an environment of schema {SCHEMA}")
    made, printer = environment.get("made_by"), environment.get("printer")
    if not isinstance(made, dict) or not _texts(made) or set(made) != {"aisp_prof", "code_sha256", "numpy"}:
        raise UsageError("made_by does not say what made it")
    if not _VERSION.fullmatch(made["numpy"]) or not _VERSION.fullmatch(made["aisp_prof"]):
        raise UsageError("made_by: a version begins with a digit, and holds letters, digits, '.', '+' and '-' alone")
    if not _SHA256.fullmatch(made["code_sha256"]):
        raise UsageError("made_by: code_sha256 is no hash")
    if printer is not None and not _is_printer(printer):
        raise UsageError("printer does not say what printed it")
    return Maker(made["aisp_prof"], made["code_sha256"], printer or {}, {"made_by": made, "printer": printer})


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) and len(one) <= 100 for one in value.values())


def _is_printer(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"versions", "fonts"} or not _texts(value["versions"]):
        return False
    named = all(_PROGRAM.fullmatch(name) and _VERSION.fullmatch(text) for name, text in value["versions"].items())
    fonts = value["fonts"]
    return named and isinstance(fonts, list) and all(isinstance(f, str) and _SHA256.fullmatch(f) for f in fonts)
