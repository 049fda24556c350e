"""What the profiler itself says of a trace: how many events it collected, and what went wrong meanwhile."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ..arrays.groups import distinct_values
from ..evidence import Finding
from ..trace.model import LOSS, Diagnostic, Trace

WINDOW = re.compile(r"Profiling started due to\b")
"""Only a capture range was recorded (--capture-range)."""
_STOPPED = re.compile(r"Not all (?:CUDA|NVTX) events might have been collected")
_DELIVERED = re.compile(r"Number of CUPTI events produced:(?!.*might be missing)")
"""A process's injection ended in order and handed over its buffers; a killed program's never says so (seen)."""
_STATED = r"Number of {} events collected:\s*([0-9,]{{1,26}})(?![0-9,])"
"""64 bits have 20 digits and 6 commas."""
_HARMLESS = re.compile(
    # of processes that never used CUDA or NVTX, such as a compiler that the program started
    r"No (CUDA|NVTX) events collected|CUDA profiling might have not been started correctly"
)
_SEVERITY = {2: "warning", 3: "error"}


def stated(trace: Trace, what: str) -> int | None:
    """Σ over processes of the `what` (CUDA, NVTX) events that the profiler says it collected; None where it says nothing, as Kineto never
    does: whatever stands in its messages is no count."""
    if trace.schema.kineto:
        return None
    pattern = re.compile(_STATED.format(what))
    matches = [pattern.search(diagnostic.text) for diagnostic in trace.diagnostics or ()]
    counts = [int(match[1].replace(",", "")) for match in matches if match]
    return sum(counts) if counts else None


def messages(trace: Trace) -> Iterator[Finding]:
    """Errors, and whatever speaks of lost events, block; other warnings are passed on, except what is said of processes
    without any GPU work. The same text is one finding, with its count.

    A capture range ends while its program runs on, and nsys then always warns that not all events might have been collected
    (seen with 2025.3). Where the process handed over its buffers, that is said of what lies outside the range.
    """
    working = set(distinct_values(trace.operations.process).tolist())  # a launcher may ask how many GPUs there are
    window = _window(trace)
    found: Counter[tuple[str, int, str]] = Counter()
    for message in trace.diagnostics or ():
        text = message.text.strip()
        if LOSS.search(text):
            found["capture_range" if _explained(message, window) else "may_be_missing", 0, text] += 1
        elif message.severity in _SEVERITY and not (message.process not in working and _HARMLESS.search(text)):
            found["diagnostic", message.severity, text] += 1
    for (code, severity, text), count in found.items():
        values: dict[str, str | int | float] = {"text": text, **({"count": count} if count > 1 else {})}
        if severity:
            values["severity"] = _SEVERITY[severity]
        yield Finding(code, values, "range" if code == "may_be_missing" or severity == 3 else "")


def _window(trace: Trace) -> set[int]:
    """The processes that handed over the events of a capture range; none where everything was to be recorded."""
    said = trace.diagnostics or ()
    if not any(WINDOW.search(message.text) for message in said):
        return set()
    return {message.process for message in said if _DELIVERED.search(message.text)}


def _explained(message: Diagnostic, window: set[int]) -> bool:
    return message.process in window and _STOPPED.search(message.text) is not None
