"""One trace into its records: what runs on a worker. An error of the user's file comes back as data, so that it sinks no other."""

from __future__ import annotations

import shlex
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from ...errors import BUG, AispError, TraceError
from ..analysis.completeness import attest
from ..analysis.overlap import busy_time
from ..arrays.groups import distinct_values
from ..arrays.types import Int64
from ..evidence import Completeness, Finding
from ..queries.reading import read_alone
from ..ranges.chosen import chosen_ranges
from ..ranges.table import RangeTables
from ..trace.devices import labels
from ..trace.model import COMM, COMPUTE, GRAPH_LAUNCH, Operations, Trace, pid_of
from .communication import communication_of
from .kept import Kept
from .measured import measured
from .question import Question
from .record import ENVIRONMENT, NAME, NOWHERE, PAYLOAD, Failure, Mapped, OnDevice, Packed, Rank, Said, packed

_OF_STEPS = ("proj_start", "proj_end", "span", "busy", "idle", "busy_by_class", "overlap_comm_compute")


def records_of(path: str, question: Question) -> Mapped:
    """The records of a trace's processes, or why there are none."""
    try:
        kept = Kept.of(Path(path), question)
        found = kept.get()
        if found is None:
            found = _records(read_alone(Path(path), question.communication), question)
            kept.put(found)
        return tuple(_named(found, path, question))
    except AispError as error:
        return _failure(path, question, type(error).__name__, str(error), error.mend, error.exit_code)
    except (OSError, MemoryError) as error:
        return _failure(path, question, type(error).__name__, str(error), "", AispError.exit_code)
    except Exception as error:  # noqa: BLE001  a bug: its place comes along, and the other traces are answered
        return _failure(path, question, "bug", f"{error!r}\n{traceback.format_exc(limit=-3)}", "", BUG)


def _failure(path: str, question: Question, kind: str, said: str, mend: str, exit_code: int) -> Failure:
    return Failure(path, kind, said, mend, exit_code, question.rank_of(Path(path).name))


def lost(path: str, question: Question, said: str) -> Failure:
    """Of a trace whose worker ended."""
    mend = f"look at it alone: aisp-prof ranks summary {shlex.quote(path)}"
    return _failure(path, question, "worker lost", said, mend, AispError.exit_code)


def _records(trace: Trace, question: Question) -> tuple[Rank, ...]:
    """All that the content of a file says; a single process has the rank of the environment, where no payload tells another."""
    completeness = attest(trace)
    made = [_record(trace, int(key), question, completeness) for key in distinct_values(trace.operations.process)]
    if not made:
        raise TraceError("no process of it used a GPU", "profile a rank itself, not its launcher")
    source = ENVIRONMENT if trace.said_rank is not None else NOWHERE
    return tuple(_ranked(made, trace.said_rank, source))


def _named(made: tuple[Rank, ...], path: str, question: Question) -> list[Rank]:
    """With what the file's name says."""
    named = _ranked(made, question.rank_of(Path(path).name), NAME)
    return [replace(one, path=path) for one in named]


def _ranked(made: Sequence[Rank], rank: int | None, source: str) -> list[Rank]:
    """With a rank that is said of the whole file, where a single process can be meant: the only one that communicates."""
    communicating = [one for one in made if one.communication.start] or list(made)
    alone = communicating[0] if len(communicating) == 1 and communicating[0].rank is None else None
    return [replace(one, rank=rank, rank_from=source) if one is alone and rank is not None else one for one in made]


def _record(trace: Trace, process: int, question: Question, completeness: Completeness) -> Rank:
    mine = trace.operations.take(trace.operations.process == process)
    communication = communication_of(trace, process)
    rank = _rank_stated(trace, process)
    return Rank(
        path="",
        rank=rank,
        rank_from=NOWHERE if rank is None else PAYLOAD,
        process=process,
        pid=pid_of(process),
        start_utc_ns=trace.start_utc_ns,
        completeness=completeness.status,
        findings=tuple(map(said, completeness.findings)),
        devices=_devices(trace, mine),
        communication=communication,
        steps=_steps(trace, process, question),
        measured=measured(trace, process, question, completeness) if question.metrics else None,
    )


def said(finding: Finding) -> Said:
    return Said(finding.code, dict(finding.values), finding.blocks)


def _rank_stated(trace: Trace, process: int) -> int | None:
    """The rank of a process in the largest communicator that it is in, where all of that size agree: what a job calls its rank."""
    stated = trace.stated.take(trace.stated.process == process)
    pairs = Counter(zip(stated.size.tolist(), stated.rank.tolist(), strict=True))
    known = [(size, rank) for size, rank in pairs if size > 0 and rank >= 0]
    ranks = {rank for size, rank in known if size == max(known)[0]}
    return ranks.pop() if len(ranks) == 1 else None


def _devices(trace: Trace, mine: Operations) -> tuple[OnDevice, ...]:
    return tuple(_on_device(trace, int(gpu), mine.take(mine.gpu == gpu)) for gpu in distinct_values(mine.gpu))


def _on_device(trace: Trace, gpu: int, mine: Operations) -> OnDevice:
    busy, compute, comm = busy_time(mine), busy_time(mine.of_kind(COMPUTE)), busy_time(mine.of_kind(COMM))
    span = int(mine.end.max() - mine.start.min())
    hidden = (comm & compute).length
    graphs = bool((mine.kind == GRAPH_LAUNCH).any())
    return OnDevice(
        gpu_uuid=trace.gpus[gpu].uuid,
        name=trace.gpus[gpu].name,
        label=labels(trace.gpus)[gpu],
        ops=len(mine),
        span=span,
        busy=busy.length,
        idle=span - busy.length,
        compute_time=compute.length,
        comm_time=comm.length,
        comm_hidden=None if graphs else hidden,
        comm_exposed=None if graphs else comm.length - hidden,
    )


def _steps(trace: Trace, process: int, question: Question) -> Packed:
    """STEP_COLUMNS of every instance, in the order of time, on whichever GPU of the process."""
    if not question.steps:
        return b""
    chosen = chosen_ranges(trace, question.domain, question.steps)
    chosen = chosen[trace.ranges.process[chosen] == process]
    chosen = chosen[np.argsort(trace.ranges.start[chosen], kind="stable")]
    table = RangeTables(trace, question.attribution, _OF_STEPS).table(chosen)
    by_class: Int64 = table.busy_by_class
    columns = (
        *(table.proj_start, table.proj_end, table.span, table.busy, table.idle),
        *(by_class[:, COMPUTE], by_class[:, COMM], table.overlap_comm_compute),
    )
    return packed(np.stack(columns, axis=1))
