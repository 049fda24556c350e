"""What a pair states about itself: shared by those who run it, those who judge it and those who print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from .errors import UsageError

Text = Mapping[str, str]
"""One sentence in several languages: language code -> text. "en" is always there."""

VARIANTS = ("baseline", "optimized")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A baseline/optimized pair as its module declares it; plain data, stored in every capture's manifest.

    sentence       the page's headline with a `{speedup}` placeholder, filled with e.g. "1.71× faster"
    compares       what both variants do alike, and what alone differs
    variants       a caption for each of `VARIANTS`
    claims         in the claim language of docs/claims.md, e.g. "optimized.hidden(h2d, d2h) >= 0.85"
    sizes          hardware key ("h200", …), "default" or "small" -> size name -> integer
    tolerance      largest accepted ‖out − ref‖ / ‖ref‖ against the fp64 reference
    bitwise        outputs of both variants must equal the unchunked reference bit for bit
    perturbation_band   largest accepted |traced / untraced − 1| of an iteration's time
    queued         each iteration's work is queued on the host before the GPU may begin it, for both variants alike: the host's
                   submission is then no part of an iteration, and a host that is busy elsewhere cannot starve the GPU. False
                   where submission is what the pair is about
    needs          capabilities, checked before anything runs: "cuda", "triton", "cc>=9.0"
    """

    chapter: str
    name: str
    topic: Text
    title: Text
    sentence: Text
    compares: Text
    variants: Mapping[str, Text]
    claims: tuple[str, ...]
    sizes: Mapping[str, Mapping[str, int]]
    tolerance: float
    bitwise: bool
    perturbation_band: float
    queued: bool
    needs: tuple[str, ...]

    def __post_init__(self) -> None:
        missing = [name for name in VARIANTS if name not in self.variants]
        if missing:
            raise UsageError(f"pair {self.key}: no caption for {', '.join(missing)}")
        for text in (self.topic, self.title, self.sentence, self.compares, *self.variants.values()):
            if "en" not in text:
                raise UsageError(f"pair {self.key}: a text lacks its English form: {dict(text)!r}")

    @property
    def key(self) -> str:
        """`chapter.name`, the pair's name everywhere: on the command line, in NVTX ranges, in captures."""
        return f"{self.chapter}.{self.name}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            UsageError: a field is missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        if set(data) != names:
            odd = sorted(set(data) ^ names)
            raise UsageError(f"a pair's declaration has missing or unknown fields: {', '.join(odd)}")
        values = dict(data)
        values["claims"], values["needs"] = tuple(data["claims"]), tuple(data["needs"])
        return cls(**values)
