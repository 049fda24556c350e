"""What a bundle says of itself that no trace can: what its pages are called, who made it and with what.

The records are those of the JSON, of proof.json its beginning, of environment.json what its traces do not give.
"""

from __future__ import annotations

import re
from typing import Any, Self

from msgspec import Struct

from ...errors import UsageError
from ...machine.records import Contradiction, convert
from ..catalog import LANGUAGES
from .layout import ENVIRONMENT, PROOF, SCHEMA, Pages, plain

_VERSION = re.compile(r"\d[\w.+-]{0,30}", re.ASCII)
"""Free text in its place would be printed beside a ✓."""
_PROGRAM = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Header(Struct, frozen=True):
    """Out of proof.json: the pages, the captures in the order of the stage, the pairs without one."""

    stage: str
    lang: str
    pdf: bool
    order: tuple[str, ...]
    missing: tuple[str, ...]

    @classmethod
    def unknown(cls) -> Self:
        return cls("", "", False, (), ())

    @property
    def known(self) -> bool:
        return self.stage != ""

    @property
    def pages(self) -> Pages:
        return Pages(self.stage, self.lang, self.pdf)


class MadeBy(Struct, frozen=True, forbid_unknown_fields=True):
    """The program that made a bundle, and the numpy that it computed with: another may write other numbers."""

    aisp_prof: str
    code_sha256: str
    numpy: str

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.numpy) or not _VERSION.fullmatch(self.aisp_prof):
            raise Contradiction("a version begins with a digit, and holds letters, digits, '.', '+' and '-' alone")
        if not _SHA256.fullmatch(self.code_sha256):
            raise Contradiction("code_sha256 is no hash")


class Printer(Struct, frozen=True, forbid_unknown_fields=True):
    """What printed the PDF: what its bytes depend on beside its page."""

    versions: dict[str, str]
    fonts: tuple[str, ...]

    def __post_init__(self) -> None:
        named = all(_PROGRAM.fullmatch(name) and _VERSION.fullmatch(text) for name, text in self.versions.items())
        if not named or not all(_SHA256.fullmatch(font) for font in self.fonts):
            raise Contradiction(
                "it does not say what printed it: programs with their versions, and the hashes of fonts"
            )


class Maker(Struct, frozen=True):
    """Out of environment.json: what made the bundle, and what printed its PDF, if it has one."""

    made_by: MadeBy
    printer: Printer | None = None


def read_header(proof: Any) -> Header:
    """The header of a proof.json.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(proof, dict) or proof.get("schema") != SCHEMA:
        raise UsageError(f"not a proof of schema {SCHEMA}")
    found = convert(proof, Header, PROOF)
    if found.lang not in LANGUAGES:
        raise UsageError(f"lang is {' or '.join(LANGUAGES)}, not {found.lang[:20]!r}")
    plain(found.stage, "the stage")
    for field, names in (("order", found.order), ("missing", found.missing)):
        if len(set(names)) != len(names):
            raise UsageError(f"{field} names one twice")
        for name in names:
            plain(name, field)
    return found


def read_maker(environment: Any) -> Maker:
    """The maker in an environment.json.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(environment, dict) or environment.get("schema") != SCHEMA:
        raise UsageError(f"not an environment of schema {SCHEMA}")
    return convert(environment, Maker, ENVIRONMENT)
