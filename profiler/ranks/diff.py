"""`ranks diff`: two runs rank by rank, with bounds of every change."""

from __future__ import annotations

from dataclasses import dataclass

from ..evidence import Finding
from .record import COMPLETE
from .run import Run
from .summary import RankRow, summary


@dataclass(frozen=True, slots=True)
class Change:
    """A number of two runs, ns, each with its bounds, and from where to where the change (after - before) lies. `attested`: the traces of
    both runs state that they are complete."""

    before_low: int
    before_high: int
    after_low: int
    after_high: int
    attested: bool

    @property
    def low(self) -> int:
        return self.after_low - self.before_high

    @property
    def high(self) -> int:
        return self.after_high - self.before_low

    @property
    def proven(self) -> bool:
        """Whether it rose or fell, whatever the clocks are."""
        return self.attested and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True)
class RankChange:
    """One rank in both runs; `exposed` is None where graphs traced as a whole hide it."""

    name: str
    rank: int | None
    comm: Change
    wait: Change
    late: Change
    busy: Change
    idle: Change
    compute: Change
    exposed: Change | None


@dataclass(frozen=True, slots=True)
class RunDiff:
    """The answer. `only_before` and `only_after` name ranks that the other run lacks; findings are those of each."""

    ranks: tuple[RankChange, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    latest_before: str
    latest_after: str
    transfer: Change
    findings_before: tuple[Finding, ...]
    findings_after: tuple[Finding, ...]


def diff(before: Run, after: Run) -> RunDiff:
    """All of the answer. Ranks are the same where their number is, or, without one, what they are called."""
    a, b = summary(before), summary(after)
    first, second = ({one.name: one for one in answer.ranks} for answer in (a, b))
    before_sums, after_sums = a.collectives, b.collectives
    attested = all(one.completeness == COMPLETE for answer in (a, b) for one in answer.ranks)
    return RunDiff(
        ranks=tuple(_change(one, second[name], attested) for name, one in first.items() if name in second),
        only_before=tuple(name for name in first if name not in second),
        only_after=tuple(name for name in second if name not in first),
        latest_before=a.latest,
        latest_after=b.latest,
        transfer=Change(
            before_sums.transfer_low,
            before_sums.transfer_high,
            after_sums.transfer_low,
            after_sums.transfer_high,
            attested,
        ),
        findings_before=a.findings,
        findings_after=b.findings,
    )


def _change(a: RankRow, b: RankRow, attested: bool) -> RankChange:
    def exactly(before: int, after: int) -> Change:
        return Change(before, before, after, after, attested)

    hidden = a.comm_exposed is None or b.comm_exposed is None
    return RankChange(
        name=a.name,
        rank=a.rank,
        comm=exactly(a.comm, b.comm),
        wait=Change(a.wait_low, a.wait_high, b.wait_low, b.wait_high, attested),
        late=Change(a.late_low, a.late_high, b.late_low, b.late_high, attested),
        busy=exactly(a.busy, b.busy),
        idle=exactly(a.idle, b.idle),
        compute=exactly(a.compute_time, b.compute_time),
        exposed=None if hidden else exactly(a.comm_exposed or 0, b.comm_exposed or 0),
    )
