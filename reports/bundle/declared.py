"""What a bundle's pairs claim, against what this code's own pairs of the same names do; and what no trace shows at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...declaration import Declaration
from ...errors import UsageError
from ...profiler.expect.files import expectations_folder, read_pair
from ...profiler.judging.language import Claim, parse
from ...profiler.judging.terms import Term
from ...profiler.manifest import FILE_NAME, Manifest
from .layout import EXPECTATIONS, capture_folder
from .opened import Opened
from .proof import Proven
from .verification import Check, Problem, Status


@dataclass(frozen=True, slots=True)
class Own:
    """What is known here: pairs, by their keys, the folder of what is expected of them (None: where each pair's lies), and the folders
    in which the files lie that pairs of the user's own are made of."""

    pairs: Mapping[str, Declaration]
    expectations: Path | None = None
    folders: tuple[Path, ...] = ()


def check_declared(bundle: Opened, own: Own | None) -> Check:
    """Whether each pair that this code knows claims, and is held to, no less than here.

    Whoever makes a bundle writes its declaration too: a claim of `speedup >= 0.5` is proven by anything. A bundle may be older than
    a claim, so that this is no lie, but no proof of the pair as it is known here either.
    """
    known = [] if own is None else [one for one in bundle.proofs if one.capture.manifest.pair in own.pairs]
    if own is None or not known:
        return Check(
            "declared", Status.ABSENT, "no pair that this code knows: its claims are as strict as its maker chose"
        )
    problems = tuple(problem for one in known for problem in _weaker(bundle, one, own))
    if problems:
        about = "weaker than, or other than, this code's own"
        mend = "read what its claims leave out, or ask for a capture made by this version"
        return Check("declared", Status.UNPROVEN, about, problems, mend)
    return Check("declared", Status.OK, f"{len(known)} pairs claim and expect no less than this code's own")


def check_word(bundle: Opened) -> Check:
    """What is the manifest's word alone: said each time, as no check of a bundle can find that it is a lie."""
    if any(one.capture.manifest.origin for one in bundle.proofs):
        about = (
            "only the manifests say which ranges are whose, how their programs were run and with which driver; nothing says that "
            "outputs were right; who says so, only a signature shows"
        )
        return Check("word", Status.ABSENT, about)
    timed = sum(1 for one in bundle.proofs if one.evidence.speedup and one.evidence.speedup.source == "events")
    about = (
        "only the manifests say that outputs were right, which conditions held, how high the roofs are, and the untraced times"
        + (f" (the speedup of {timed} rests on them)" if timed else "")
        + "; who says so, only a signature shows"
    )
    return Check("word", Status.ABSENT, about)


def _weaker(bundle: Opened, one: Proven, own: Own) -> Iterator[Problem]:
    manifest = one.capture.manifest
    known, file = own.pairs[manifest.pair], f"{capture_folder(manifest.id)}/{FILE_NAME}"
    told = [*_claims(manifest.declaration, known), *_limits(manifest.declaration, known), *_sizes(manifest, known)]
    told += [*_texts(manifest.declaration, known)]
    yield from (Problem(file, where, what) for where, what in told)
    kept = expectations_folder(own.expectations, manifest.pair)
    held = _expectations(one, bundle.found.folder / EXPECTATIONS, kept)
    yield from (Problem(one.expectations, manifest.pair, what) for what in held)


def _claims(theirs: Declaration, known: Declaration) -> Iterator[tuple[str, str]]:
    made = [parse(text, theirs.names) for text in theirs.claims]
    for text in known.claims:
        wanted = parse(text, known.names)
        if not any(_no_weaker(claim, wanted) for claim in made):
            near = next((claim.text for claim in made if claim.left == wanted.left), "nothing of it")
            yield "declaration: claims", f"claims {near!r}, where this code claims {text!r}"


def _no_weaker(claim: Claim, wanted: Claim) -> bool:
    """Whether the one holds wherever the other does not fail."""
    (metric, number), (other, least) = _limit(claim), _limit(wanted)
    alike = (claim.left, claim.quantifier, metric) == (wanted.left, wanted.quantifier, other)
    if not alike or claim.comparison[0] != wanted.comparison[0] or (claim.share or 0) < (wanted.share or 0):
        return False
    if number == least:
        return claim.comparison == wanted.comparison or len(claim.comparison) < len(wanted.comparison)
    return (number > least) == (wanted.comparison[0] == ">") and wanted.comparison != "=="


def _limit(claim: Claim) -> tuple[Term | None, float]:
    """What is held against: a metric, and how many times as much of it; or a number alone."""
    return (claim.right, claim.factor or 1.0) if isinstance(claim.right, Term) else (None, claim.right)


def _limits(theirs: Declaration, known: Declaration) -> Iterator[tuple[str, str]]:
    for field in ("tolerance", "perturbation_band"):
        mine, other = getattr(known, field), getattr(theirs, field)
        if other > mine:
            yield f"declaration: {field}", f"accepts {other:g}, this code {mine:g}"
    if known.bitwise and not theirs.bitwise:
        yield "declaration: bitwise", "does not compare bit for bit, as this code does"
    for field in ("queued", "attribution", "names"):
        if getattr(theirs, field) != getattr(known, field):
            yield f"declaration: {field}", f"says {getattr(theirs, field)!r}, this code {getattr(known, field)!r}"


def _sizes(manifest: Manifest, known: Declaration) -> Iterator[tuple[str, str]]:
    usual = manifest.hardware_key if manifest.hardware_key in known.sizes else "default"
    if manifest.size != usual:
        yield "size", f"was measured at the size {manifest.size!r}; this code measures it at {usual!r}"
    elif manifest.sizes != dict(known.sizes.get(usual, {})):
        yield "sizes", f"says {_told(manifest.sizes)}, this code {_told(known.sizes.get(usual, {}))}"


def _told(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(sizes.items()))


def _texts(theirs: Declaration, known: Declaration) -> Iterator[tuple[str, str]]:
    """What the page says of the pair: a number may be right below a sentence that is not."""
    for field in ("title", "topic", "sentence", "compares"):
        yield from _differing(f"declaration: {field}", getattr(theirs, field), getattr(known, field))
    for name in set(theirs.names) & set(known.names):
        yield from _differing(f"declaration: variants: {name}", theirs.variants[name], known.variants[name])


def _differing(where: str, theirs: Mapping[str, str], known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for lang in sorted(theirs.keys() | known.keys()):
        if theirs.get(lang) != known.get(lang):
            yield f"{where}: {lang}", f"says {theirs.get(lang)!r}, this code {known.get(lang)!r}"


def _expectations(one: Proven, theirs: Path, known: Path) -> Iterator[str]:
    """Where the bundle expects less of a pair than this code does on the same hardware."""
    pair, key = one.capture.manifest.pair, one.observed.hardware_key
    try:
        expected, found = read_pair(known, key, pair), read_pair(theirs, key, pair)
    except UsageError:
        return  # damaged ones are named where the page is made again
    if expected is None:
        return
    if found is None:
        yield f"expects nothing, this code {len(expected.entries)} numbers"
        return
    for entry in expected.entries:
        other = found.entry(entry.key)
        if other is None:
            yield f"expects nothing of {entry.name}, this code {entry.bound.to_json()}"
        elif other.bound.weaker_than(entry.bound):
            yield f"expects {other.bound.to_json()} of {entry.name}, this code {entry.bound.to_json()}"
