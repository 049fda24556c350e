"""The longest overlaps, with the rows that show them and the commands for looking them up."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...profiler.evidence import Evidence, Op, VariantEvidence, Witness
from ...profiler.manifest import PROGRAM, Manifest, Origin
from ..catalog import Catalog
from ..hostile import shell_word, shorten, visible
from ..units import duration, fixed
from .identity import trace_file, trace_files

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,80}")


@dataclass(frozen=True, slots=True)
class SeenOp:
    """One of a witness' two operations, as shown in its row."""

    name: str
    kind: str
    table: str
    row: int
    stream: int
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class WitnessRow:
    """Two operations and how long they were in flight together."""

    shared: str
    ops: tuple[SeenOp, SeenOp]


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run and, in words, what it does."""

    text: str
    does: str


def witness_rows(variant: VariantEvidence, say: Catalog) -> tuple[WitnessRow, ...]:
    """The longest overlaps of the drawn iteration."""
    return tuple(
        WitnessRow(duration(witness.end - witness.start), (_seen(witness.a, say), _seen(witness.b, say)))
        for witness in variant.witnesses
    )


def witness_words(evidence: Evidence, say: Catalog) -> str:
    """What overlaps in the optimized iteration, and in the baseline's as the control; if that is unknown, the sentence
    says so."""
    return f"{_found(evidence.optimized, say)} {_control(evidence.baseline, say)}"


def _found(variant: VariantEvidence, say: Catalog) -> str:
    shared = _shared_ns(variant)
    if variant.witnesses:
        return say("witness.about")
    if shared is None:
        return say("witness.unknown")
    return say("witness.others", shared=duration(shared)) if shared else say("witness.none")


def _control(variant: VariantEvidence, say: Catalog) -> str:
    shared = _shared_ns(variant)
    if shared is None:
        return say("witness.control_unknown")
    return say("witness.control_some", shared=duration(shared)) if shared else say("witness.control_none")


def _shared_ns(variant: VariantEvidence) -> float | None:
    """How long operations of different streams were in flight together in the drawn iteration; None if unknown."""
    if variant.median_index is None:
        return None
    return variant.iterations[variant.median_index].numbers.get("overlap")


def _seen(op: Op, say: Catalog) -> SeenOp:
    name = "" if op.name == op.kind else shorten(visible(op.name), 84)
    kind = say.get(f"kind.{op.kind}", op.kind)
    return SeenOp(name, kind, op.table, op.row, op.stream, fixed(op.start, 0), fixed(op.end, 0))


def commands(evidence: Evidence, say: Catalog) -> tuple[Command, ...]:
    """How to make this page again from the same capture, how to capture anew, and how to read the first witness by hand."""
    made = _of_pair(evidence, say) if evidence.manifest.origin is None else _of_origin(evidence.manifest, say)
    of_optimized, of_baseline = evidence.optimized.witnesses, evidence.baseline.witnesses
    witness = next(iter(of_optimized + of_baseline), None)
    query = _query(witness) if witness else None
    trace = trace_file(evidence.manifest, second=bool(of_optimized))
    return (*made, *_by_hand(trace, query, say)) if query else tuple(made)


def _of_pair(evidence: Evidence, say: Catalog) -> list[Command]:
    pair = evidence.manifest.declaration
    stage = shell_word(f"{pair.chapter}:{pair.name}")
    counted = shell_word(evidence.manifest.profile) if evidence.manifest.counters else ""
    return [
        Command(f"aisp-prof report --stage {stage} --capture {shell_word(evidence.capture_id)}", say("check.report")),
        *([Command(f"aisp-prof roofline {shell_word(evidence.capture_id)}", say("check.roofline"))] if counted else []),
        Command(f"aisp-prof capture {stage}{f' --profile {counted}' if counted else ''}", say("check.capture")),
    ]


def _of_origin(manifest: Manifest, say: Catalog) -> list[Command]:
    """The question once more, to the trace as it lies in the capture; programs are named by their capture's id."""
    origin = manifest.origin
    if origin is None:
        return []
    if origin.kind == PROGRAM:
        name = shell_word(f"{manifest.declaration.chapter}:{manifest.declaration.name}")
        return [Command(f"aisp-prof report {name} --capture {shell_word(manifest.id)}", say("check.report"))]
    words = ["aisp-prof report", *map(shell_word, trace_files(manifest)), *map(shell_word, _options(manifest, origin))]
    return [Command(" ".join(words), say("check.again"))]


def _options(manifest: Manifest, origin: Origin) -> list[str]:
    same = origin.apart and len(set(origin.ranges.values())) == 1
    ranges = (
        [next(iter(origin.ranges.values()))] if same else [f"{name}={glob}" for name, glob in origin.ranges.items()]
    )
    words = [word for one in ranges for word in ("--range", one)]
    words += [word for claim in manifest.declaration.claims for word in ("--claim", claim)]
    words += [word for word in ("--title", manifest.declaration.title["en"]) if "ko" not in manifest.declaration.title]
    words += ["--domain", origin.domain] if origin.domain is not None else []
    attribution = manifest.declaration.attribution
    return [*words, *(["--attribution", attribution] if attribution != "thread" else [])]


def _by_hand(trace: str, query: str, say: Catalog) -> list[Command]:
    plain = trace.removesuffix(".xz").removesuffix(".gz")
    packer = {".xz": "xz", ".gz": "gzip"}.get(trace.removeprefix(plain))
    unpack = [Command(f"{packer} -dk {shell_word(trace)}", say("check.unpack"))] if packer else []
    return [*unpack, Command(f'sqlite3 -readonly {shell_word(plain)} "{query}"', say("check.query"))]


def _query(witness: Witness) -> str | None:
    """SQL for both rows; None if a table's name is not a plain word, which nobody should paste into a shell."""
    if not all(_PLAIN.fullmatch(op.table) for op in (witness.a, witness.b)):
        return None
    selects = [
        f"select rowid, streamId, start, end from {op.table} where rowid = {op.row}" for op in (witness.a, witness.b)
    ]
    return " union all ".join(selects)
