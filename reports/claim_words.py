"""A claim as a line of words, made from its structure: "optimized: at least 80% of the time of copies in runs under copies out".

Nothing here knows a pair: each metric, class of operations, comparison and quantifier of the claim language has its words in the
catalog (`[words]`), and a number is written exactly as it is claimed, so that the words can be held against the code beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import UsageError
from ..profiler.analysis import metrics
from ..profiler.judging.language import SPEEDUP, Claim, parse
from ..profiler.judging.limits import CEILING, OF_PAIR, ceiling_name
from ..profiler.judging.rate_metrics import RATE_METRICS
from ..profiler.judging.terms import Term
from .catalog import Catalog
from .units import exactly

_BOUNDS = {">=": "at_least", "<=": "at_most", "==": "exactly", ">": "more_than", "<": "less_than"}


def read(text: str, names: Sequence[str]) -> Claim | None:
    """A claim on these variants; None where it is none of this language, as another version's may be: it is shown as it is written."""
    try:
        return parse(text, names)
    except UsageError:
        return None


def terms_explained(claims: Iterable[Claim], say: Catalog) -> list[tuple[str, str]]:
    """Each metric that these claims name, and what it means; once, in the order of its first use."""
    keys = dict.fromkeys(_key(term) for claim in claims for term in claim.terms)
    return [(_shown(key), say(f"words.metric.{key}.means")) for key in keys]


def _shown(key: str) -> str:
    return f"{key.removesuffix('_of')}(…)" if key.endswith("_of") else key


def in_words(claim: Claim, say: Catalog) -> str:
    """One claim; its default quantifier, which the table's head states, is left out."""
    bound = _bound(claim, say)
    key = f"words.metric.{_key(claim.left)}.said"
    values = {"who": _who(claim.left, say), **_arguments(claim.left, say), "amount": bound}
    if isinstance(claim.right, Term) or key not in say.words:
        alone = not claim.left.variant
        said = say("words.said_alone" if alone else "words.said", **values, noun=_noun(claim.left, say))
    else:
        said = say(key, **values)
    if not claim.quantifier:
        return said
    share = "" if claim.share is None else exactly(float(claim.share), "ratio")
    return say(f"words.over.{claim.quantifier}", said=said, share=share)


def _bound(claim: Claim, say: Catalog) -> str:
    """What the left side is held against: "at least 80%", "at most 0.5× that of baseline"."""
    right = claim.right
    value = _other(claim.left, right, say) if isinstance(right, Term) else exactly(right, claim.left.unit)
    if claim.factor is not None:
        value = say("words.times", factor=exactly(claim.factor, ""), what=value)
    return say(f"claims.{_BOUNDS[claim.comparison]}", value=value)


def _other(left: Term, right: Term, say: Catalog) -> str:
    """The metric on the right: where it is that on the left, of which variant is all there is to say."""
    if right.variant and right.metric == left.metric:
        return say("words.that", who=_who(right, say))
    return say("words.other" if right.variant else "words.alone", noun=_noun(right, say), who=_who(right, say))


def _noun(term: Term, say: Catalog) -> str:
    arguments = _arguments(term, say)
    key = f"words.metric.{_key(term)}.noun"
    return say(key, **arguments) if arguments else say(key)


def _key(term: Term) -> str:
    """The metric's name in the catalog; `sum(h2d)` has other words than `sum`."""
    if term.compared:
        return SPEEDUP
    if not term.variant:
        return CEILING
    if term.metric in RATE_METRICS or term.metric in OF_PAIR:
        return term.metric
    name, arguments = metrics.split(term.metric)
    return f"{name}_of" if arguments and 0 in metrics.METRICS[name].arguments else name


def _arguments(term: Term, say: Catalog) -> dict[str, str]:
    """What `{a}` and `{b}` stand for in a metric's words."""
    if term.compared:
        return dict(zip("ab", (_variant(one, say) for one in term.compared), strict=True))
    if not term.variant:
        return {"a": say(f"words.ceiling.{ceiling_name(term.metric)}")}
    if not term.of_trace:
        return {}
    name, arguments = metrics.split(term.metric)
    told: Sequence[str] = arguments if metrics.METRICS[name].globs else [_operations(one, say) for one in arguments]
    return dict(zip("ab", told, strict=False))


def _operations(selector: str, say: Catalog) -> str:
    prefix, colon, rest = selector.partition(":")
    return say(f"words.operations.{prefix}", glob=rest) if colon else say(f"words.operations.{prefix}")


def _who(term: Term, say: Catalog) -> str:
    return _variant(term.variant, say)


def _variant(name: str, say: Catalog) -> str:
    return say.get(f"variant.{name}", name)
