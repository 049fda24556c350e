"""The words of the page in one language, from templates/text/*.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ..errors import UsageError
from ..profiler.evidence import Finding
from .hostile import shorten, visible
from .units import quantity, sensible

LANGUAGES = ("en", "ko")
_NUMBERED = re.compile(r"\{(\w+):([^{}|]*)\|([^{}|]*)\}")
_IN_UNIT_OF_CLAIM = frozenset({"measured", "threshold", "low", "high", "value", "limit_low", "limit_high"})


@dataclass(frozen=True, slots=True)
class FindingText:
    """A finding as a reader meets it: what was seen, why it matters, what to do. An unknown code has only `seen`."""

    code: str
    seen: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All words of one language: `catalog("page.claims")`, with values for its placeholders."""

    lang: str
    words: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        return filled(self.words[key], values) if values else self.words[key]

    def get(self, key: str, otherwise: str) -> str:
        """The words for a key that a newer capture may have but this catalog may not."""
        return self.words.get(key, otherwise)

    def of(self, text: Mapping[str, str]) -> str:
        """A pair's own sentence in this language, else in English."""
        return text.get(self.lang) or text["en"]

    def finding(self, finding: Finding, unit: str = "") -> FindingText:
        """A finding in words; `unit` is its claim's, for values of the claim's own kind. A code used with several sets
        of values may have an entry for each of them: "code:name,name".
        """
        values = {name: self._value(name, value, unit) for name, value in finding.values.items()}
        special = f"finding.{finding.code}:{','.join(sorted(values))}"
        entry = special if f"{special}.seen" in self.words else f"finding.{finding.code}"
        try:
            parts = [filled(self.words[f"{entry}.{part}"], values) for part in ("seen", "why", "mend")]
        except KeyError:
            listed = ", ".join(f"{name} = {value}" for name, value in values.items())
            return FindingText(finding.code, f"{finding.code}: {listed}" if listed else finding.code, "", "")
        return FindingText(finding.code, *parts)

    def _value(self, name: str, value: str | float, unit: str) -> str:
        if name == "variant":
            return self.get(f"variant.{value}", str(value))
        if isinstance(value, str):
            return shorten(visible(value), 240)
        return quantity(value, unit) if unit and name in _IN_UNIT_OF_CLAIM else sensible(value)


def filled(text: str, values: Mapping[str, object]) -> str:
    """A text with its placeholders filled; `{n:# block|# blocks}` becomes "1 block" or "3 blocks", as the number has it.

    Raises:
        KeyError: a value that the text wants is not there.
    """
    if "|" in text:
        text = _NUMBERED.sub(
            lambda found: found[2 if str(values[found[1]]) == "1" else 3].replace("#", f"{{{found[1]}}}"), text
        )
    return text.format(**values)


@cache
def catalog(lang: str) -> Catalog:
    """The catalog of a language.

    Raises:
        UsageError: there is none for it.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"no page in language {lang!r}", f"--lang {'|'.join(LANGUAGES)}")
    text = files(__package__.rpartition(".")[0]).joinpath("templates", "text", f"{lang}.toml").read_text("utf-8")
    return Catalog(lang, _flat(tomllib.loads(text)))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
