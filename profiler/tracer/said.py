"""What the tracer says of its own recording, as messages of DIAGNOSTIC_EVENT: how much there is, and what may be missing."""

from __future__ import annotations

from collections.abc import Iterator

from .buffers import CONTEXT, COUNTED, DEVICE, ENTRY, NODE, NVTX, Process, Recording
from .ranges import END, POP

CLOCK_SLACK_NS = 1_000_000
"""By how much CUPTI's clock may be read outside of two readings of ours: a thread that is put aside meanwhile is no other clock."""

INFORMATION, WARNING, ERROR = 1, 2, 3
Message = tuple[int, str]
"""Severity and text. The texts that begin with `Number of` and `Not all`, and `CUPTI dropped`, are worded as Nsight Systems words them:
readers of its exports know these."""


def said(process: Process) -> Iterator[Message]:
    """The counts that its closing record states, and every reason to doubt them."""
    close = process.close
    if close is None:
        yield ERROR, _unclosed(process)
        return
    handed = int(close["handed"]) - sum(int(close["rows"][kind]) for kind in (DEVICE, CONTEXT))
    if process.cupti:
        yield INFORMATION, f"Number of CUDA events collected: {handed}."
    yield INFORMATION, f"Number of NVTX events collected: {int(close['calls']) - _second_halves(process)}."
    yield from _doubts(process)


def _unclosed(process: Process) -> str:
    what = "CUDA" if process.cupti else "NVTX"
    why = process.problem or "it was killed, crashed, called _exit, or its file could not be written"
    return f"Not all {what} events might have been collected: process {process.pid} has no closing record ({why})."


def _second_halves(process: Process) -> int:
    """Pops and ends, which are no rows of their own."""
    events = process.rows(NVTX)["event"]
    return int(((events == POP) | (events == END)).sum())


def _doubts(process: Process) -> Iterator[Message]:
    close = process.close
    kinds = (*COUNTED, DEVICE, CONTEXT, NVTX, NODE, ENTRY)
    differing = [kind for kind in kinds if len(process.rows(kind)) != int(close["rows"][kind])]
    written = sum(int(close["rows"][kind]) for kind in (*COUNTED, DEVICE, CONTEXT))
    lost = int(close["asked"]) - int(close["returned"])
    if written != int(close["handed"]):
        yield (
            ERROR,
            f"Not all CUDA events might have been collected: {close['handed']} were handed over, {written} written.",
        )
    if differing or int(close["rows"][NVTX]) != int(close["calls"]):
        yield (
            ERROR,
            f"Not all NVTX events might have been collected: rows of process {process.pid} are missing in its file.",
        )
    if int(close["rows"][NODE]) != int(close["nodes"]):
        yield (
            ERROR,
            f"Not all CUDA events might have been collected: nodes of graphs of process {process.pid} are missing.",
        )
    if close["dropped"]:
        yield ERROR, f"CUPTI dropped {close['dropped']} records of process {process.pid}."
    if lost and not close["at_end"]:
        never = f"{lost} of {close['asked']} buffers never came back from CUPTI; another client may have taken it over."
        yield ERROR, f"Not all CUDA events might have been collected: {never}"
    elif lost:
        yield (
            WARNING,
            f"{lost} of {close['asked']} buffers did not come back from CUPTI's last flush, which returns all that hold a record.",
        )
    if abs(int(close["clock_off"])) > CLOCK_SLACK_NS:
        yield ERROR, f"CUPTI's clock is {close['clock_off']} ns off the clock of NVTX: their times cannot be compared."


def of_the_whole(recording: Recording) -> Iterator[Message]:
    if recording.missing:
        yield (
            ERROR,
            "Not all CUDA events might have been collected: a process could not make its file (is the disk full?).",
        )
