"""The claim language: `optimized.hidden(h2d, d2h) >= 0.85`, parsed with pointed errors.

    claim      = [quantifier] side comparison (number [unit] | [number "*"] side)
    quantifier = "every" | "any" | "median" | number "%" "of" "iterations" [":"]
    side       = [variant "."] metric ["(" operations ["," operations] ")"] | speedup ["(" variant "," variant ")"]
               | [variant "."] ("time" | "floor" | "of_floor") | "ceiling" "(" name ")"
    operations = a class (compute, comm, h2d, …) | "stream:" number | "kernel:" glob of names
    comparison = ">=" | "<=" | ">" | "<" | "=="
    unit       = "ns" | "us" | "ms" | "s" | "GB/s" | "MB/s" | "x" | "%" | those of rate_metrics.UNITS

The left side is a metric; without a variant it means the optimized one. `speedup` compares baseline and optimized,
`speedup(a, b)` any two variants of a staged pair: median(a) / median(b). On the right a floor is that of the left side's variant,
and a speedup's bound that of the variant that it begins from. Without a quantifier counts and shares hold in every iteration,
times, rates and what is of the span by the interval of their median.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from math import isfinite

from ...declaration import VARIANTS, Declaration
from ...errors import UsageError
from ..analysis import metrics
from .limits import BOUND, CEILING, FLOOR, OF_PAIR, ceiling_name, ceiling_unit
from .rate_metrics import RATE_METRICS, UNITS
from .terms import Term

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
_COMPARED = r"\s*(?P<op>>=|<=|==|>|<)\s*(?P<right>.+?)\s*$"
_CLAIM = re.compile(rf"^\s*(?P<left>.+?){_COMPARED}")
_CLAIM_ON = re.compile(rf"^\s*(?P<left>[^()<>=]*\(.*?\)){_COMPARED}")
"""With arguments on the left, whose names of kernels may hold a `<`."""
_VALUE = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_NUMBER = re.compile(rf"^(?P<value>{_VALUE})\s*(?P<unit>[A-Za-z/%]*)$")
_MULTIPLE = re.compile(rf"^(?P<value>{_VALUE})\s*(?P<unit>[A-Za-z/%]*)\s*\*\s*(?P<rest>.+)$", re.DOTALL)
_FACTOR_LAST = re.compile(rf"^(?P<rest>.+?)\s*\*\s*(?P<value>{_VALUE})$", re.DOTALL)
_SHARE = re.compile(r"^\s*(?P<share>\d+(?:\.\d+)?)\s*%\s*of\s+(?P<what>iterations\b)?\s*:?\s*(?P<rest>.*)$", re.DOTALL)
SPEEDUP = "speedup"
_CEILING = re.compile(rf"^{CEILING}\s*(?:\(\s*(?P<name>[^()]*?)\s*\))?$")
_NAMES = (*metrics.METRICS, *RATE_METRICS, *OF_PAIR, CEILING, SPEEDUP)
_SPEEDUP = re.compile(r"^(?:optimized\s*\.\s*)?speedup(?:\s*\(\s*(?P<a>\w+)\s*,\s*(?P<b>\w+)\s*\))?$")


@dataclass(frozen=True, slots=True)
class Claim:
    """A parsed claim: `right` is a number in the left side's base unit (ns, B/s, ratio, count, x), or another metric, of which
    `factor` times as much is meant where it says so. `share` is that of the iterations that must hold, where one is named."""

    text: str
    left: Term
    comparison: str
    right: float | Term
    quantifier: str = ""
    factor: float | None = None
    share: Fraction | None = None

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
    return list(dict.fromkeys(term.metric for term in terms if term.variant in variants and term.of_trace))


def parse(text: str, variants: Sequence[str] = VARIANTS, default: str = VARIANTS[1]) -> Claim:
    """Read a claim on these variants; `default` is meant where none is named, and "" where one must be.

    Raises:
        UsageError: what does not fit, with the nearest metric where a name is misspelt.
    """
    quantifier, share, rest = _quantified(text)
    match = _CLAIM_ON.match(rest) or _CLAIM.match(rest)
    if not match:
        raise UsageError(f"claim {text!r}: no comparison", "write it like: hidden(h2d, d2h) >= 0.85")
    left = _left(match["left"], text, variants, default)
    right, factor = _right(match["right"], left, text, variants, default)
    claim = Claim(text, left, match["op"], right, quantifier, factor, share)
    _check_quantifier(claim)
    return claim


def ceilings_named(declaration: Declaration) -> set[str]:
    """The ceilings that a pair's claims hold something against.

    Raises:
        UsageError: a claim cannot be read.
    """
    terms = {term for text in declaration.claims for term in parse(text, declaration.names).terms}
    return {name for term in terms if (name := ceiling_name(term.metric))}


def _left(side: str, claim: str, variants: Sequence[str], default: str) -> Term:
    if _NUMBER.match(side) or _MULTIPLE.match(side):
        raise UsageError(f"claim {claim!r}: the left side is a number", "put the metric on the left")
    left = _term(side, claim, variants, default)
    if left.fixed:
        mend = "optimized.time <= 1.15 * floor" if left.metric == FLOOR else "optimized.rate(h2d) >= 0.9 * ceiling(h2d)"
        raise UsageError(
            f"claim {claim!r}: {left.metric} is what a metric is held against", f"put it on the right: {mend}"
        )
    return left


def _right(
    side: str, left: Term, claim: str, variants: Sequence[str], default: str
) -> tuple[float | Term, float | None]:
    """The number in the left side's unit; or the metric, and how many times it is meant where that is said."""
    if number := _NUMBER.match(side):
        return _scaled(number, left.metric, left.unit, claim), None
    multiple = _MULTIPLE.match(side)
    if not multiple and (last := _FACTOR_LAST.match(side)):
        raise UsageError(f"claim {claim!r}: a factor comes first", f"write {last['value']} * {last['rest']}")
    factor = _factor(multiple, claim) if multiple else None
    text = multiple["rest"] if multiple else side
    right = _term(text, claim, variants, _meant(text.strip(), left, default))
    if right.unit != left.unit:
        raise UsageError(f"claim {claim!r}: {left.unit} cannot be compared with {right.unit}")
    return right, factor


def _meant(text: str, left: Term, default: str) -> str:
    """Whose metric is meant on the right where no variant is named: the floor of what is on the left, the bound of what a speedup
    begins from."""
    if text == FLOOR and left.variant:
        return left.variant
    return left.compared[0] if text == BOUND and left.compared else default


def _factor(multiple: re.Match[str], claim: str) -> float:
    value, rest = float(multiple["value"]), multiple["rest"].strip()
    if multiple["unit"]:
        raise UsageError(f"claim {claim!r}: a factor has no unit", f"write it like: 0.9 * {rest}")
    if not 0 < value < float("inf"):
        raise UsageError(f"claim {claim!r}: a factor is above 0", f"write it like: 0.9 * {rest}")
    return value


def needs_counters(declaration: Declaration) -> bool:
    """Whether any claim of a pair is about work or rates, which only a capture that counted can show.

    Raises:
        UsageError: a claim cannot be read.
    """
    claims = [parse(text, declaration.names) for text in declaration.claims]
    terms = [side for claim in claims for side in (claim.left, claim.right) if isinstance(side, Term)]
    return any(term.metric in RATE_METRICS for term in terms)


def _quantified(text: str) -> tuple[str, Fraction | None, str]:
    """The quantifier, the share of the iterations where it is one, and what follows it."""
    if found := _QUANTIFIED.match(text):
        return found["quantifier"], None, found["rest"]
    if not (found := _SHARE.match(text)):
        return "", None, text
    share, rest = Fraction(found["share"]) / 100, found["rest"]
    if not found["what"]:
        raise UsageError(
            f"claim {text!r}: {found['share']}% of what?", f"write {found['share']}% of iterations: {rest}"
        )
    if not 0 < share <= 1:
        raise UsageError(
            f"claim {text!r}: no {found['share']}% of the iterations are there", "name more than 0% and at most 100%"
        )
    return "share", share, rest


def _check_quantifier(claim: Claim) -> None:
    """A speedup has no iterations; and of two metrics only multiples have medians that are held against each other."""
    quantifier, right = claim.quantifier, claim.right
    said = {"": "", "share": "the share of iterations"}.get(quantifier, repr(quantifier))
    if quantifier and claim.left.compared:
        raise UsageError(f"claim {claim.text!r}: a speedup is of all iterations", f"leave out {said}")
    if not isinstance(right, Term) or right.fixed:
        return
    if quantifier == "median" and claim.factor is None:
        raise UsageError(
            f"claim {claim.text!r}: a median is compared with a number", "for two ranges: speedup(a, b) >= 1.2"
        )
    if quantifier == "share":
        raise UsageError(
            f"claim {claim.text!r}: in a share of iterations a metric is compared with a number",
            "or with a ceiling, or the floor",
        )


def _term(text: str, claim: str, variants: Sequence[str], default: str) -> Term:
    if found := _SPEEDUP.match(text):
        return _speedup(found, claim, variants)
    if found := _CEILING.match(text):
        return _ceiling(found["name"] or "", claim)
    named = _NAMED.match(text)
    variant, rest = (named["variant"], named["rest"]) if named else (default, text)
    if not variant:
        raise UsageError(f"claim {claim!r}: of which range?", f"name it: {variants[0]}.{text.strip()}")
    _check_variant(variant, claim, variants)
    if rest.strip() in RATE_METRICS or rest.strip() in OF_PAIR:
        return Term(rest.strip(), variant)
    rest = metrics.in_full(rest)
    try:
        metrics.split(rest)
    except UsageError as error:
        raise UsageError(f"claim {claim!r}: {error}", _nearest_of_all(rest) or error.mend) from error
    return Term(rest, variant)


def _nearest_of_all(text: str) -> str:
    """The name that a misspelt one is nearest to, where it is none of a trace's metrics."""
    name = text.partition("(")[0].strip()
    if meant := metrics.MEANT.get(name):
        return f"did you mean {meant}?"
    near = [] if name in metrics.METRICS else get_close_matches(name, _NAMES, 1, 0.5)
    return f"did you mean {near[0]}?" if near else ""


def _ceiling(name: str, claim: str) -> Term:
    metric = f"{CEILING}({name})"
    try:
        ceiling_unit(metric)
    except UsageError as error:
        raise UsageError(f"claim {claim!r}: {error}", error.mend) from error
    return Term(metric, "")


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


def split_comparison(text: str) -> tuple[str, str, str]:
    """A claim without a quantifier into its left side, its comparison and its right side.

    Raises:
        UsageError: there is no comparison.
    """
    match = _CLAIM.match(text)
    if not match:
        raise UsageError(f"claim {text!r}: no comparison", "write it like: hidden(h2d, d2h) >= 0.85")
    return match["left"], match["op"], match["right"]


def number_of(side: str, metric: str, unit: str, claim: str) -> float:
    """The number on the right of a claim, in the base unit of its metric.

    Raises:
        UsageError: it is none, or has another unit.
    """
    number = _NUMBER.match(side)
    if number is None:
        raise UsageError(f"claim {claim!r}: {metric} is compared with a number", f"not with {side}")
    return _scaled(number, metric, unit, claim)


def _scaled(number: re.Match[str], metric: str, of: str, claim: str) -> float:
    value, unit = float(number["value"]), number["unit"]
    if not isfinite(value):
        raise UsageError(
            f"claim {claim!r}: the number is beyond all numbers that are measured", "write one that can be met"
        )
    if not unit:
        if example := _EXAMPLES.get(of):
            raise UsageError(f"claim {claim!r}: {metric} needs a unit", f"name one: {example}")
        return value
    if unit not in _UNITS:
        raise UsageError(f"claim {claim!r}: no unit is called {unit!r}", f"there are: {', '.join(_UNITS)}")
    kind, factor = _UNITS[unit]
    if kind != of:
        raise UsageError(f"claim {claim!r}: {metric} is not measured in {unit}")
    return value * factor
