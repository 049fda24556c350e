"""Count what a pair's variants do: one more run of its program, under ncu, in the iterations that are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import AispError
from ...machine.child import Watch
from ..counters.table import minimal_metrics
from .ncu import CSV, REPORT, SECTIONS, Ncu, count, find_ncu, keep_sections, measured_iterations

ITERATIONS = 2
"""Of each variant: the fewest that the harness runs."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of the counting. `tier` is `counted`, or `declared` with the reason and the mend: never silence.

    files       report and CSV in the work folder; the report holds a command line and a host name, so it stays private
    iterations  how often the report holds an iteration of each variant
    sections    the report with ncu's full sections, "" without one; `sections_reason` says why one that was asked for is not there
    """

    tier: str
    ncu: str | None
    files: tuple[str, ...]
    iterations: int
    reason: str = ""
    mend: str = ""
    sections: str = ""
    sections_reason: str = ""

    def __post_init__(self) -> None:
        whole = self.files and not self.reason if self.tier == "counted" else self.reason and not self.files
        if not whole:
            raise ValueError("counted has files and no reason, declared a reason and no files")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "files": list(self.files)}


def collect(
    pair: str,
    variants: Sequence[str],
    command: Sequence[str],
    compute_capability: str,
    work: Path,
    watch: Watch,
    sections: bool = False,
) -> Counted:
    """Run a pair's program under ncu with the smallest set of metrics; leaves `REPORT` and `CSV` in the folder `work`.

    Args:
        pair, variants: "ch09.triton" and its variants, whose measured iterations are counted.
        command: the program, with `--iterations` of `ITERATIONS`; kernels are replayed, so it should need little memory.
        compute_capability: "9.0".
        sections: run it once more for a report with the full sections, `SECTIONS`.

    What ncu lacks (it is absent, too old, has no permission, sees no kernel) does not raise: the tier is `declared` then.
    """
    include = [measured_iterations(pair, variant) for variant in variants]
    try:
        ncu = find_ncu()
        count(ncu, work, minimal_metrics(compute_capability), include, command, watch)
    except AispError as error:
        _remove(work, REPORT, CSV)
        return Counted("declared", None, (), 0, str(error), error.mend)
    counted = Counted("counted", ncu.version_text, (REPORT, CSV), ITERATIONS)
    return _with_sections(counted, ncu, include, command, work, watch) if sections else counted


def _with_sections(
    counted: Counted, ncu: Ncu, include: Sequence[str], command: Sequence[str], work: Path, watch: Watch
) -> Counted:
    """What was counted stays so when the larger run fails: it takes some forty passes a kernel, and more time than allowed."""
    try:
        keep_sections(ncu, work, include, command, watch)
    except AispError as error:
        _remove(work, SECTIONS)
        return replace(counted, sections_reason=str(error))
    return replace(counted, sections=SECTIONS)


def _remove(work: Path, *names: str) -> None:
    """Nothing half-written stays: an ncu that is ended leaves a report without an end."""
    for name in names:
        (work / name).unlink(missing_ok=True)
