"""What a pair states about itself: shared by those who run it, those who judge it and those who print it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Self

from .errors import UsageError

Text = Mapping[str, str]
"""One sentence in several languages: language code -> text. "en" is always there."""

VARIANTS = ("baseline", "optimized")
"""What every pair has, and its speedup is of. A staged pair has further variants between the two, or steps beyond the second."""

ATTRIBUTIONS = ("thread", "process")

_CHAPTER = re.compile(r"ch\d\d")


def is_chapter(group: str) -> bool:
    """Whether a group of pairs is a chapter of the book: those are aisp-prof's own, and no pair outside it may belong to one."""
    return _CHAPTER.fullmatch(group) is not None


@dataclass(frozen=True, slots=True)
class Phase:
    """Work of one variant's iteration that may run side by side; phases follow each other.

    h2d, d2h   bytes over the link between host and device; both in one phase: both ways at once
    dram       bytes to and from device memory that no cache can keep
    flops      ceiling of `aisp-prof calibrate` ("bf16", "fp32", …) -> floating-point operations that it bounds
    launches   launches that nothing hides: each waits for the one before, on the host or in its stream
    """

    h2d: int = 0
    d2h: int = 0
    dram: int = 0
    flops: Mapping[str, int] = field(default_factory=dict)
    launches: int = 0


@dataclass(frozen=True, slots=True)
class Declaration:
    """A baseline/optimized pair as its module declares it; plain data, stored in every capture's manifest.

    chapter        the group that it belongs to: of the pairs that ship a chapter of the book, "ch11"
    sentence       the page's headline with a `{speedup}` placeholder, filled with e.g. "1.71× faster"
    compares       what both variants have in common, and the one thing that differs
    variants       variant -> caption, in order: "baseline", the steps of a staged pair, each on top of the one before, "optimized",
                   which the headline is about, and steps beyond it
    claims         in the claim language of docs/metrics.md, e.g. "optimized.hidden(h2d, d2h) >= 0.85"
    sizes          hardware key ("h200", …), "default" or "small" -> size name -> integer
    tolerance      largest accepted ‖out − ref‖ / ‖ref‖ against the fp64 reference
    bitwise        outputs of both variants must equal the unchunked reference bit for bit
    perturbation_band   largest accepted |traced / untraced − 1| of an iteration's time
    queued         each iteration's work is queued on the host before the GPU may begin it, for both variants alike: the host's
                   submission is then no part of an iteration, and a host busy with other work cannot starve the GPU. False
                   where submission is what the pair is about
    needs          capabilities, checked before anything runs: "cuda", "triton", "cc>=9.0", "gpus>=2"
    attribution    whose launches belong to an iteration: those of the thread that opened its range ("thread"), or those of the
                   whole process ("process"), as autograd launches its backward kernels from a thread of its own
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
    attribution: str = "thread"

    def __post_init__(self) -> None:
        names = self.names
        if names[:1] != VARIANTS[:1] or VARIANTS[1] not in names:
            raise UsageError(
                f"pair {self.key}: its variants begin with {VARIANTS[0]}, and {VARIANTS[1]} is one of them; not {names}"
            )
        if self.attribution not in ATTRIBUTIONS:
            raise UsageError(f"pair {self.key}: attribution is {' or '.join(ATTRIBUTIONS)}, not {self.attribution!r}")
        for text in (self.topic, self.title, self.sentence, self.compares, *self.variants.values()):
            if "en" not in text:
                raise UsageError(f"pair {self.key}: a text lacks its English form: {dict(text)!r}")

    @property
    def key(self) -> str:
        """`chapter.name`, the pair's name everywhere: on the command line, in NVTX ranges, in captures."""
        return f"{self.chapter}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """The variants in order: `VARIANTS`, with a staged pair's steps between the two and beyond."""
        return tuple(self.variants)

    @property
    def beyond(self) -> tuple[str, ...]:
        """The steps after the optimized variant, in order: no part of the headline."""
        return self.names[self.names.index(VARIANTS[1]) + 1 :]

    @property
    def staged(self) -> bool:
        return len(self.variants) > len(VARIANTS)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types. Variants are a list: their order matters, and that of an object's keys does not."""
        variants = [{"name": name, "caption": dict(caption)} for name, caption in self.variants.items()]
        return {**asdict(self), "variants": variants}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, also as it was before a field with a default was added, and when variants were an
        object with two keys.

        Raises:
            UsageError: a field is missing or unknown.
        """
        names = {one.name for one in fields(cls)}
        needed = {one.name for one in fields(cls) if one.default is MISSING}
        if odd := sorted((set(data) - names) | (needed - set(data))):
            raise UsageError(f"a pair's declaration has missing or unknown fields: {', '.join(odd)}")
        values, variants = dict(data), data["variants"]
        if not isinstance(variants, Mapping):
            values["variants"] = {variant["name"]: variant["caption"] for variant in variants}
        values["claims"], values["needs"] = tuple(data["claims"]), tuple(data["needs"])
        return cls(**values)
