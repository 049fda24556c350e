"""Claims on ranks: what they mean, and which verdict an interval, a missing rank and a broken trace allow."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.judging.bootstrap import median_interval
from aisp_prof.profiler.ranks.claims import parsed
from aisp_prof.profiler.ranks.judged import RanksAnswer, judged
from aisp_prof.profiler.ranks.rank_files import RankFiles
from aisp_prof.profiler.ranks.record import Failure, Measured, Rank
from aisp_prof.profiler.ranks.run import Run
from msgspec.structs import replace
from ranks_made import made, record, records

RUNS = Path(__file__).parents[2] / "traces" / "ranks"
SLOW = str(RUNS / "slow-rank*.sqlite.xz")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))


def run(*ranks: Rank, failures: int = 0) -> Run:
    lost = [Failure(f"x{i}", "TraceError", "cut", "", 2) for i in range(failures)]
    return Run(tuple(str(i) for i in range(len(ranks) + failures)), (*((one,) for one in ranks), *lost))


def ask(of: Run, claim: str) -> RanksAnswer:
    return judged(of, [parsed(claim, "trace")], "trace")


def verdict(of: Run, claim: str) -> str:
    return ask(of, claim).verdict.value


def test_an_interval_decides_or_leaves_open() -> None:
    of = run(*records(made(1, ranks=4, count=30)))
    low, high = int(of.joined.wait_low.max()), int(of.joined.wait_high.max())
    assert low < high
    assert verdict(of, f"comm_wait <= {high} ns") == "proven"
    assert verdict(of, f"comm_wait < {low - 1} ns") == "refuted"
    (one,) = ask(of, f"comm_wait <= {high - 1} ns").claims
    assert one.claim.verdict is Verdict.UNPROVEN
    assert [reason.code for reason in one.claim.reasons][-1] == "ranks_bounds_straddle"
    assert one.rank == f"rank {int(of.joined.wait_high.argmax())}"


def test_a_missing_rank_leaves_every_rank_unproven_and_refutations_stand() -> None:
    of = run(*records(made(1, ranks=4, count=30)), failures=1)
    most = int(of.joined.wait_low.max())
    assert verdict(of, "comm_wait <= 1 s") == "unproven"
    assert verdict(of, f"comm_wait <= {most - 1} ns") == "refuted"
    assert verdict(of, "clock_error <= 1 s") == "unproven"
    assert verdict(of, "clock_error <= 1 ns") == "refuted"
    assert verdict(of, "comm_transfer >= 1 ns") == "unproven"
    assert {reason.code for reason in ask(of, "comm_wait <= 1 s").claims[0].claim.reasons} >= {"ranks_trace_failed"}


def test_contradicting_clocks_allow_no_verdict_on_them() -> None:
    base = made(7, ranks=4, count=200)
    base.start[3, 100:] += 400_000
    base.end[3, 100:] += 400_000
    of = run(*records(base))
    assert [one.code for one in of.findings] == ["ranks_clocks_disagree"]
    for claim in ("clock_error <= 1 s", "comm_wait <= 1 ns", "comm_wait <= 10 s", "arrival_skew <= 1 s"):
        assert verdict(of, claim) == "unproven"


def test_nothing_matched_is_never_proven() -> None:
    alone = run(record([1], [2], 0))
    for claim in ("comm_wait <= 1 s", "comm_transfer <= 1 s", "arrival_skew <= 1 s", "clock_error <= 1 s"):
        assert verdict(alone, claim) == "unproven"
        assert verdict(Run((), ()), claim) == "unproven"


def test_ranks_without_a_common_clock_have_no_clock_error() -> None:
    a, b = records(made(30, ranks=2, count=10)), made(31, ranks=2, count=10)
    from aisp_prof.profiler.ranks.record import STATED, Communicator

    other = (Communicator("b", STATED, 2),)
    both = [*a, *(record(b.start[r], b.end[r], 2 + r, communicators=other) for r in range(2))]
    assert verdict(run(*both), "clock_error <= 1 s") == "unproven"


def values(path: Path, sql: str) -> list[int]:
    import lzma

    plain = path.parent / "plain.sqlite"
    plain.write_bytes(lzma.decompress(path.read_bytes()))
    with sqlite3.connect(plain) as database:
        return [int(row[0]) for row in database.execute(sql)]


def test_real_claims() -> None:
    answer = RankFiles.named(SLOW).check(
        "every rank hidden(comm) >= 0.8",
        "straggler_spread(busy(compute)) <= 5%",
        "comm_wait <= 2ms",
        "clock_error <= 20us",
        "any rank comm_wait <= 5ms",
        "every rank kernels >= 100",
        "any rank kernels >= 100000",
    )
    assert answer.verdict.exit_code == 1
    told = [one.claim.verdict.value for one in answer.claims]
    assert told == ["refuted", "refuted", "refuted", "proven", "proven", "proven", "refuted"]
    assert answer.claims[2].rank == "rank 0"


def test_the_spread_of_a_metric_is_that_of_sql(tmp_path: Path) -> None:
    """busy(compute): the kernels that are not NCCL's lie one after the other on one stream."""
    busy = []
    for rank in (0, 1):
        copy = tmp_path / f"rank{rank}.sqlite.xz"
        copy.write_bytes((RUNS / f"slow-rank{rank}.sqlite.xz").read_bytes())
        sql = """select sum(end - start) from CUPTI_ACTIVITY_KIND_KERNEL k join StringIds s on s.id = shortName
            where s.value not like 'nccl%'"""
        busy += values(copy, sql)
    (one,) = RankFiles.named(SLOW).check("straggler_spread(sum(compute)) >= 50%").claims
    assert one.claim.measured == pytest.approx(max(busy) / min(busy) - 1)
    assert one.claim.verdict is Verdict.PROVEN


def test_claims_on_a_range_are_on_its_instances() -> None:
    answer = RankFiles.named(SLOW).check(
        "every rank step.kernels >= 13", "straggler_spread(busy) <= 1000%", ranges=["step=step"]
    )
    assert answer.instances == 20
    assert answer.verdict is Verdict.PROVEN
    missing = RankFiles.named(SLOW).check("every rank kernels >= 20", ranges=["no_such*"])
    assert missing.verdict is Verdict.UNPROVEN


def test_of_few_instances_no_spread_is_told() -> None:
    of = run(*(replace(one, measured=Measured({"busy": [1.0, 2.0, 3.0]}, 3, (), ())) for one in records(made(1, 2, 9))))
    (one,) = judged(of, [parsed("straggler_spread(busy) <= 5%", "step")], "step").claims
    assert [reason.code for reason in one.claim.reasons] == ["few_iterations"]


def test_a_spread_of_medians_has_the_bounds_of_their_intervals() -> None:
    mixed = np.random.default_rng(4).permutation(40)
    values = [(100.0 + mixed).tolist(), (150.0 + mixed).tolist()]
    ranks = [
        replace(one, measured=Measured({"busy": some}, 40, (), ()))
        for one, some in zip(records(made(1, 2, 9)), values, strict=True)
    ]
    (one,) = judged(run(*ranks), [parsed("straggler_spread(busy) <= 60%", "step")], "step").claims
    (a, b), (c, d) = (median_interval(some) for some in values)
    assert (one.claim.low, one.claim.high) == (pytest.approx(c / b - 1), pytest.approx(d / a - 1))
    assert one.claim.low < 169.5 / 119.5 - 1 < one.claim.high


def test_kineto_proves_nothing_and_refutes() -> None:
    files = RankFiles.named(str(RUNS / "kineto-slow-rank*.json.gz"))
    answer = files.check(
        "comm_wait <= 10 s", "comm_wait <= 1 ms", "every rank busy <= 1 ns", "every rank hidden(comm) >= 0"
    )
    assert [one.claim.verdict.value for one in answer.claims] == ["unproven", "refuted", "refuted", "unproven"]
    assert answer.verdict.exit_code == 1


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("comm_wait", "no comparison"),
        ("comm_wait <= 2", "needs a unit"),
        ("comm_wait <= 2 GB/s", "not measured in GB/s"),
        ("comm_wait <= busy", "compared with a number"),
        ("straggler_spread <= 5%", "of what"),
        ("straggler_spread(bussy) <= 5%", "no metric"),
        ("any rank clock_error <= 5us", "of all ranks together"),
        ("every rank hiden(comm) >= 0.8", "no metric"),
        ("com_wait <= 2ms", "no metric"),
        ("every rank rate(h2d) >= 0.9 * ceiling(h2d)", "only its trace"),
        ("speedup >= 2", "speedup of what"),
    ],
)
def test_slips_are_told(claim: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed(claim, "trace")


def test_a_misspelt_metric_has_its_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        parsed("com_wait <= 2ms", "trace")
    assert caught.value.mend == "did you mean comm_wait?"
