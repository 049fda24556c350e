"""The terms of a report, each explained once: those that every page uses, and the metrics that its claims name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...profiler.evidence import Evidence
from ..catalog import Catalog
from ..claim_words import read, terms_explained

_EVERYWHERE = ("iteration", "n", "interval", "copy", "stream", "untraced")


@dataclass(frozen=True, slots=True)
class Term:
    """A term and what it means; `code` says that it is one of the claim language."""

    name: str
    means: str
    code: bool


def terms_of(evidences: Sequence[Evidence], say: Catalog) -> tuple[Term, ...]:
    """Those of all these pairs together."""
    claims = [read(claim.text, one.manifest.declaration.names) for one in evidences for claim in one.claims]
    common = [Term(say(f"terms.{name}.name"), say(f"terms.{name}.means"), False) for name in _EVERYWHERE]
    return (*common, *(Term(name, means, True) for name, means in terms_explained(filter(None, claims), say)))
