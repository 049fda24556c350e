"""The claim language: `optimized.hidden(h2d, d2h) >= 0.85`, parsed with pointed errors.

    claim      = [quantifier] side comparison side
    quantifier = "every" | "any" | "median"
    side       = number [unit] | [variant "."] metric ["(" operations ["," operations] ")"] | speedup ["(" variant "," variant ")"]
    comparison = ">=" | "<=" | ">" | "<" | "=="
    unit       = "ns" | "us" | "ms" | "s" | "GB/s" | "MB/s" | "x" | "%" | those of rate_metrics.UNITS

The left side is a metric; without a variant it means the optimized one. `speedup` compares baseline and optimized,
`speedup(a, b)` any two variants of a staged pair: median(a) / median(b). Without a quantifier counts and shares hold in every
iteration, times and rates by the interval of their median.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite

from ...declaration import VARIANTS, Declaration
from ...errors import UsageError
from ..analysis import metrics
from .rate_metrics import RATE_METRICS, UNITS

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_UNITS: Mapping[str, tuple[str, float]] = {
    "ns": ("ns", 1.0),
    "us": ("ns", 1e3),
    "ms": ("ns", 1e6),
    "s": ("ns", 1e9),
    "MB/s": ("B/s", 1e6),
    "GB/s": ("B/s", 1e9),
    "x": ("x", 1.0),
    "%": ("ratio", 0.01),
    **UNITS,
}
_EXAMPLES = {"ns": "20us", "B/s": "45 GB/s", "B": "4 GB", "FLOP/s": "700 TFLOP/s", "FLOP": "4.4 TFLOP"}
"""Units that a number must name, with an example."""

QUANTIFIERS = ("every", "any", "median")
_QUANTIFIED = re.compile(rf"^\s*(?P<quantifier>{'|'.join(QUANTIFIERS)})\s+(?P<rest>.*)$", re.DOTALL)
_NAMED = re.compile(r"^(?P<variant>[\w-]+)\s*\.\s*(?P<rest>.+)$", re.DOTALL)
_CLAIM = re.compile(r"^\s*(?P<left>.+?)\s*(?P<op>>=|<=|==|>|<)\s*(?P<right>.+?)\s*$")
_NUMBER = re.compile(r"^(?P<value>[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(?P<unit>[A-Za-z/%]*)$")
SPEEDUP = "speedup"
_SPEEDUP = re.compile(r"^(?:optimized\s*\.\s*)?speedup(?:\s*\(\s*(?P<a>\w+)\s*,\s*(?P<b>\w+)\s*\))?$")


@dataclass(frozen=True, slots=True)
class Term:
    """A metric of a variant; for a speedup `variant` is "" and `compared` names the two that it compares."""

    metric: str
    variant: str
    compared: tuple[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The variants that it is about."""
        return self.compared or (self.variant,)

    @property
    def unit(self) -> str:
        if self.metric in RATE_METRICS:
            return RATE_METRICS[self.metric].unit
        return "x" if self.compared else metrics.METRICS[metrics.split(self.metric)[0]].unit

    @property
    def by_interval(self) -> bool:
        """Whether times or rates are judged by an interval over the iterations, rather than in each of them."""
        if self.metric in RATE_METRICS:
            return RATE_METRICS[self.metric].by_interval
        return metrics.METRICS[metrics.split(self.metric)[0]].by_interval


@dataclass(frozen=True, slots=True)
class Claim:
    """A parsed claim: `right` is a number in the left side's base unit (ns, B/s, ratio, count, x), or another metric."""

    text: str
    left: Term
    comparison: str
    right: float | Term
    quantifier: str = ""

    @property
    def terms(self) -> tuple[Term, ...]:
        return (self.left, self.right) if isinstance(self.right, Term) else (self.left,)

    @property
    def names(self) -> frozenset[str]:
        """The variants, or named ranges, that it is about."""
        return frozenset(name for term in self.terms for name in term.names)


def compared_in(claims: Iterable[Claim]) -> set[tuple[str, str]]:
    """The variants whose speedups these claims speak of."""
    return {term.compared for claim in claims for term in claim.terms if term.compared}


def asked_of(claims: Iterable[Claim], variants: Collection[str]) -> list[str]:
    """The metrics of a trace that these claims ask of any of these variants, each once, in their order."""
    terms = [term for claim in claims for term in claim.terms]
    asked = [term.metric for term in terms if term.variant in variants and term.metric not in RATE_METRICS]
    return list(dict.fromkeys(asked))


def parse(text: str, variants: Sequence[str] = VARIANTS, default: str = VARIANTS[1]) -> Claim:
    """Read a claim on these variants; `default` is meant where none is named, and "" where one must be.

    Raises:
        UsageError: what does not fit, with the nearest metric where a name is misspelt.
    """
    quantified = _QUANTIFIED.match(text)
    match = _CLAIM.match(quantified["rest"] if quantified else text)
    if not match:
        raise UsageError(f"claim {text!r}: no comparison", "write it like: hidden(h2d, d2h) >= 0.85")
    if _NUMBER.match(match["left"]):
        raise UsageError(f"claim {text!r}: the left side is a number", "put the metric on the left")
    left = _term(match["left"], text, variants, default)
    number = _NUMBER.match(match["right"])
    right = _scaled(number, left, text) if number else _term(match["right"], text, variants, default)
    if isinstance(right, Term) and right.unit != left.unit:
        raise UsageError(f"claim {text!r}: {left.unit} cannot be compared with {right.unit}")
    return Claim(text, left, match["op"], right, _quantifier(quantified, left, right, text))


def needs_counters(declaration: Declaration) -> bool:
    """Whether any claim of a pair is about work or rates, which only a capture that counted can show.

    Raises:
        UsageError: a claim cannot be read.
    """
    claims = [parse(text, declaration.names) for text in declaration.claims]
    terms = [side for claim in claims for side in (claim.left, claim.right) if isinstance(side, Term)]
    return any(term.metric in RATE_METRICS for term in terms)


def _quantifier(found: re.Match[str] | None, left: Term, right: float | Term, claim: str) -> str:
    quantifier = found["quantifier"] if found else ""
    if quantifier and left.compared:
        raise UsageError(f"claim {claim!r}: a speedup is of all iterations", f"leave out {quantifier!r}")
    if quantifier == "median" and isinstance(right, Term):
        raise UsageError(f"claim {claim!r}: a median is compared with a number", "for two ranges: speedup(a, b) >= 1.2")
    return quantifier


def _term(text: str, claim: str, variants: Sequence[str], default: str) -> Term:
    if found := _SPEEDUP.match(text):
        return _speedup(found, claim, variants)
    named = _NAMED.match(text)
    variant, rest = (named["variant"], named["rest"]) if named else (default, text)
    if not variant:
        raise UsageError(f"claim {claim!r}: of which range?", f"name it: {variants[0]}.{text.strip()}")
    _check_variant(variant, claim, variants)
    if rest.strip() in RATE_METRICS:
        return Term(rest.strip(), variant)
    try:
        metrics.split(rest)
    except UsageError as error:
        raise UsageError(f"claim {claim!r}: {error}", error.mend) from error
    return Term(" ".join(rest.split()), variant)


def _speedup(found: re.Match[str], claim: str, variants: Sequence[str]) -> Term:
    bare = found["a"] is None
    if bare and not set(VARIANTS) <= set(variants):
        raise UsageError(f"claim {claim!r}: the speedup of what?", "name two: speedup(before, after) >= 1.2")
    a, b = VARIANTS if bare else (found["a"], found["b"])
    for variant in (a, b):
        _check_variant(variant, claim, variants)
    return Term(SPEEDUP if bare else f"{SPEEDUP}({a}, {b})", "", (a, b))


def _check_variant(variant: str, claim: str, variants: Sequence[str]) -> None:
    if variant not in variants:
        near = get_close_matches(variant, variants, 1, 0.5)
        mend = f"did you mean {near[0]}?" if near else f"there are: {', '.join(variants)}"
        raise UsageError(f"claim {claim!r}: no variant is called {variant!r}", mend)


def _scaled(number: re.Match[str], left: Term, claim: str) -> float:
    value, unit = float(number["value"]), number["unit"]
    if not isfinite(value):
        raise UsageError(
            f"claim {claim!r}: the number is beyond all numbers that are measured", "write one that can be met"
        )
    if not unit:
        if example := _EXAMPLES.get(left.unit):
            raise UsageError(f"claim {claim!r}: {left.metric} needs a unit", f"name one: {example}")
        return value
    if unit not in _UNITS:
        raise UsageError(f"claim {claim!r}: no unit is called {unit!r}", f"there are: {', '.join(_UNITS)}")
    kind, factor = _UNITS[unit]
    if kind != left.unit:
        raise UsageError(f"claim {claim!r}: {left.metric} is not measured in {unit}")
    return value * factor
