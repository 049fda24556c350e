"""Which names of kernels and ranges a redacted trace tells: a name may go, the row never does, so that every number stays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..trace import communication

DROPPED = "redacted"
DIGITS = 16
"""Hexadecimal digits of a hashed name: 64 bits, so that a million names collide with a chance of 3 in 100 million."""
LEAST = 6
"""Shorter names are everyday words: found inside a sentence, they would tell nothing."""

_COMMUNICATION = communication.matcher()
_CALL = re.compile(r"cu(?:da)?[A-Z]\w*")
_WORD = re.compile(r"\w+")
_STAYS, _HASHED, _DROPPED = range(3)


@dataclass(slots=True)
class NameRules:
    """What becomes of a name, the first that fits (globs as in `trace kernels --name`, or the very name):

    drop        globs: the name becomes `redacted`
    keep        globs: it stays
    hash_names  it becomes a hash of itself, the same for equal names in every trace
    keep alone  it becomes `redacted`: what is kept is then a list of all that is told

    A kernel's short, full and mangled name go together. A communication kernel keeps the part of its name by which it is
    known as one (`ncclDevKernel_…`), so that no class changes. Nothing salts the hash, so that two traces compare; whoever
    guesses a name can therefore check the guess. `hidden` collects every name that went, and what came in its place.
    """

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    hash_names: bool = False
    hidden: dict[str, str] = field(default_factory=dict)
    _fates: dict[bytes, int] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)

    @property
    def active(self) -> bool:
        return bool(self.keep or self.drop or self.hash_names)

    def decide(self, kernel: Iterable[bytes]) -> None:
        """Settle the names of one kernel together; a name that kernels share is told only if all of them are."""
        names = [raw for raw in kernel if raw]
        fate = self._fate([_text(raw) for raw in names])
        for raw in names:
            self._fates[raw] = max(fate, self._fates.get(raw, _STAYS))

    def named(self, raw: bytes) -> bytes:
        """What the result calls a name; any bytes are a name."""
        name = _text(raw)
        if raw not in self._fates:
            self._fates[raw] = self._fate([name]) if raw else _STAYS
        if self._fates[raw] == _STAYS:
            self._kept.add(name)
            return raw
        new = DROPPED if self._fates[raw] == _DROPPED else f"h_{hashlib.sha256(raw).hexdigest()[:DIGITS]}"
        known_by = _COMMUNICATION.part(name)
        self.hidden[name] = f"{known_by}_{new}" if known_by else new
        return self.hidden[name].encode()

    def _fate(self, names: list[str]) -> int:
        if _any(self.drop, names):
            return _DROPPED
        if _any(self.keep, names) or not (self.keep or self.hash_names):
            return _STAYS
        return _HASHED if self.hash_names else _DROPPED

    def hide_in(self, text: str) -> str:
        """A sentence in which hidden names are replaced: the whole of it, or words of it."""
        text = self.hidden.get(text, text)
        return _WORD.sub(lambda word: self.hidden.get(word[0], word[0]) if len(word[0]) >= LEAST else word[0], text)

    def left(self, sentences: Iterable[str]) -> list[str]:
        """Where hidden names are still told: in sentences, or as a word of a name that stays and that no --keep names."""
        told = [name for name in self._kept if not _any(self.keep, [name])]
        words = {word for name in told for word in _WORD.findall(name)}
        found = [name for name in self.hidden if len(name) >= LEAST and name in words]
        text = "\n".join(sentences)
        return sorted({*found, *(name for name in self.hidden if len(name) >= LEAST and name in text)})


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _any(globs: Iterable[str], names: Iterable[str]) -> bool:
    return any(name == glob or fnmatchcase(name, glob) for glob in globs for name in names)


def is_call(name: bytes) -> bool:
    """Whether a string is the name of a function of the CUDA API, which is everybody's."""
    return _CALL.fullmatch(_text(name)) is not None
