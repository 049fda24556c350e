"""Ranks joined, against a brute force over all pairs, against true times, and on four real ranks."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.profiler.ranks.join import Joined, join
from aisp_prof.profiler.ranks.record import STATED, Communicator, Rank, Signature
from ranks_by_force import late, offsets, surely_last, together, waits_at_least
from ranks_made import ALL_REDUCE, Made, made, record, records

ROOT = Path(__file__).parents[3]


def joined(ranks: Sequence[Rank], whole: bool = True) -> Joined:
    return join(ranks, [f"rank {one.rank}" for one in ranks], whole)


def clocks(found: Joined) -> list[tuple[int, int]]:
    (window,) = found.windows
    return list(zip(window.low.tolist(), window.high.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_every_number_is_that_of_a_brute_force(seed: int) -> None:
    run = made(seed, ranks=2 + seed % 6, count=3 + 2 * seed)
    found = joined(records(run))
    start, end = run.start.tolist(), run.end.tolist()
    assert found.wait_low.tolist() == waits_at_least(start, end)
    known = offsets(start, end)
    assert known is not None
    low, high = zip(*known, strict=True)
    assert clocks(found) == known
    inside = together(start, end, low, high)
    assert found.collectives.transfer_low.tolist() == inside
    assert found.wait_high.tolist() == [sum(e) - sum(s) - sum(inside) for s, e in zip(start, end, strict=True)]
    assert (found.late_low.tolist(), found.late_high.tolist()) == late(start, low, high)
    sure = surely_last(start, low, high)
    assert np.where(found.collectives.proven, found.collectives.last, -1).tolist() == sure


@pytest.mark.parametrize("seed", range(12))
def test_the_truth_lies_within_every_bound(seed: int) -> None:
    run = made(100 + seed, ranks=3 + seed, count=40, slow=1 if seed % 2 else None)
    found = joined(records(run))
    (window,) = found.windows
    assert bool(((window.low <= -run.ahead) & (-run.ahead <= window.high)).all())
    transfer = run.left.min(axis=0) - run.came.max(axis=0)
    assert bool((found.collectives.transfer_low <= transfer).all())
    assert bool((transfer <= found.collectives.shortest).all())
    waited = (run.left - run.came - transfer).sum(axis=1)
    assert bool(((found.wait_low <= waited) & (waited <= found.wait_high)).all())
    skew = run.came.max(axis=0) - run.came.min(axis=0)
    assert bool(((found.collectives.skew_low <= skew) & (skew <= found.collectives.skew_high)).all())
    last = run.came.argmax(axis=0)
    assert (found.collectives.last == last)[found.collectives.proven].all()
    truly = late(run.came.tolist(), [0] * len(run.came), [0] * len(run.came))[0]
    assert bool(((found.late_low <= truly) & (truly <= found.late_high)).all())


def test_what_needs_no_clock_holds_when_ranks_are_missing() -> None:
    run = made(5, ranks=8, count=30)
    transfer = run.left.min(axis=0) - run.came.max(axis=0)
    waited = (run.left - run.came - transfer).sum(axis=1)
    some = [0, 2, 5]
    found = joined([records(run)[r] for r in some], whole=False)
    assert bool((found.wait_low <= waited[some]).all())
    assert bool((waited[some] <= found.wait_high).all())
    assert found.wait_high.tolist() == found.comm.tolist()  # a missing rank may have come later than all
    assert not found.collectives.proven.any()
    assert found.late_low.tolist() == [0, 0, 0]


def four() -> tuple[list[list[int]], list[list[int]]]:
    with (ROOT / "tests/traces/ranks/four_real_ranks.csv").open() as file:
        rows = list(csv.DictReader(file))
    start, end = (
        [[int(row[name]) for row in rows if row["rank"] == str(r)] for r in range(4)] for name in ("start", "end")
    )
    return start, end


def test_four_real_ranks() -> None:
    start, end = four()
    found = joined([record(start[r][24:], end[r][24:], r) for r in range(4)])
    assert found.wait_low.tolist() == [11037384, 37560823, 41892230, 40538962]
    (window,) = found.windows
    assert int(window.width[1]) == 22371
    pair = joined([record(start[r][24:], end[r][24:], r) for r in (0, 1)])
    assert int(pair.windows[0].width[1]) == 22371
    assert clocks(found) == offsets([s[24:] for s in start], [e[24:] for e in end])


def test_clocks_that_drift_are_judged_in_windows() -> None:
    run = made(3, ranks=4, count=60, step=4_000_000_000)  # three to four minutes
    drift = np.array([0, 3e-6, -2e-6, 1e-6])[:, None]
    slow = Made(*(t + (t * drift).astype(np.int64) for t in (run.start, run.end)), run.ahead, run.came, run.left)
    found = joined(records(slow))
    assert len(found.windows) >= 3
    assert found.clocks_agree
    assert not found.findings
    assert offsets(slow.start.tolist(), slow.end.tolist()) is None  # no offset holds for all of it
    assert found.wait_low.tolist() == waits_at_least(slow.start.tolist(), slow.end.tolist())


def test_a_clock_that_steps_by_40_us_midway_is_found_and_durations_stand() -> None:
    start, end = four()
    start, end = [s[24:] for s in start], [e[24:] for e in end]
    before = joined([record(start[r], end[r], r) for r in range(4)])
    start[3][48:], end[3][48:] = ([ns + 40_000 for ns in times[48:]] for times in (start[3], end[3]))
    assert offsets(start, end) is None
    found = joined([record(start[r], end[r], r) for r in range(4)])
    assert [one.code for one in found.findings] == ["ranks_clocks_disagree"]
    assert "rank 3" in str(found.findings[0].values["ranks"])
    assert not found.clocks_agree
    assert found.wait_low.tolist() == before.wait_low.tolist()
    assert found.wait_high.tolist() == found.comm.tolist()
    assert found.collectives.last.tolist() == [-1] * 96


def test_a_trace_of_another_run_is_left_out() -> None:
    run, other = made(8, ranks=6, count=80), made(9, ranks=6, count=80)
    without = joined([one for one in records(run) if one.rank != 4], whole=False)
    odd = [record(other.start[4], other.end[4], 4) if one.rank == 4 else one for one in records(run)]
    found = joined(odd)
    assert found.excluded == (4,)
    assert [one.code for one in found.findings] == ["ranks_of_another_run"]
    rest = [0, 1, 2, 3, 5]
    assert found.wait_low[rest].tolist() == without.wait_low.tolist()
    assert (int(found.wait_low[4]), int(found.wait_high[4])) == (0, int(found.comm[4]))
    assert int(found.left[4]) == 80


def test_the_first_rank_may_be_the_one_of_another_run() -> None:
    run, other = made(8, ranks=6, count=80), made(9, ranks=6, count=80)
    found = joined([record(other.start[0], other.end[0], 0), *records(run)[1:]])
    assert found.excluded == (0,)
    assert found.clocks_agree


def test_wall_clocks_an_hour_apart_are_of_another_run() -> None:
    run = made(8, ranks=3, count=80)
    utc = [1_700_000_000_000_000_000 - int(ahead) for ahead in run.ahead]
    near = [record(run.start[r], run.end[r], r, utc=utc[r] + r * 5_000_000) for r in range(3)]
    assert joined(near).excluded == ()
    near[2] = record(run.start[2], run.end[2], 2, utc=utc[2] + 3_600_000_000_000)
    assert joined(near).excluded == (2,)


@pytest.mark.parametrize("gone", [[0], [41], [79], [3, 4, 50], [0, 79]])
def test_collectives_that_a_rank_lacks_are_found_by_causality(gone: list[int]) -> None:
    """All are called alike, so that only their times can tell."""
    run = made(11, ranks=5, count=80)
    kept = [k for k in range(80) if k not in gone]
    ranks = [
        record(run.start[r][kept], run.end[r][kept], r) if r == 2 else record(run.start[r], run.end[r], r)
        for r in range(5)
    ]
    found = joined(ranks)
    assert [one.code for one in found.findings] == ["ranks_collectives_missing"]
    assert found.findings[0].values == {"rank": "rank 2", "missing": len(gone), "more": 0, "count": 80}
    assert found.matched.tolist() == [80, 80, 80 - len(gone), 80, 80]
    assert found.left.tolist() == [0] * 5
    others = [0, 1, 3, 4]
    start, end = run.start.tolist(), run.end.tolist()
    with_all = waits_at_least([[s[k] for k in kept] for s in start], [[e[k] for k in kept] for e in end])
    only = waits_at_least([[start[r][k] for k in gone] for r in others], [[end[r][k] for k in gone] for r in others])
    assert found.wait_low[others].tolist() == [with_all[r] + ns for r, ns in zip(others, only, strict=True)]
    assert int(found.wait_low[2]) == with_all[2]
    assert found.clocks_agree


def test_a_collective_that_only_one_rank_has() -> None:
    run = made(12, ranks=4, count=50)
    start, end = np.insert(run.start[1], 20, run.end[1][19] + 1000), np.insert(run.end[1], 20, run.end[1][19] + 9000)
    ranks = [record(start, end, 1) if r == 1 else record(run.start[r], run.end[r], r) for r in range(4)]
    found = joined(ranks)
    assert [one.code for one in found.findings] == ["ranks_collectives_missing"]
    assert found.left.tolist() == [0, 1, 0, 0]
    assert found.wait_low.tolist() == waits_at_least(run.start.tolist(), run.end.tolist())


def test_two_that_are_swapped_are_found_and_the_rest_stands() -> None:
    run = made(13, ranks=4, count=50)
    kinds = np.arange(50) % 2
    signatures = (ALL_REDUCE, Signature("AllGather", "ncclDevKernel_AllGather_RING_LL"))
    swapped = kinds.copy()
    swapped[[30, 31]] = swapped[[31, 30]]
    ranks = [record(run.start[r], run.end[r], r, swapped if r == 3 else kinds, signatures) for r in range(4)]
    found = joined(ranks)
    assert [(one.code, one.values["missing"]) for one in found.findings] == [("ranks_order_differs", 2)]
    assert found.left.tolist() == [0, 0, 0, 2]
    kept = [k for k in range(50) if k not in (30, 31)]
    start, end = run.start.tolist(), run.end.tolist()
    assert (
        int(found.wait_low[3])
        == waits_at_least([[s[k] for k in kept] for s in start], [[e[k] for k in kept] for e in end])[3]
    )
    assert found.clocks_agree


def test_two_communicators_over_the_same_ranks_are_told_apart() -> None:
    """Interleaved differently on each rank, as two threads of a program launch them."""
    a, b = made(20, ranks=3, count=30), made(21, ranks=3, count=30)
    keys = (Communicator("a", STATED, 3), Communicator("b", STATED, 3))
    ranks = []
    for r in range(3):
        start = np.append(a.start[r], b.start[r] + a.ahead[r] - b.ahead[r])
        end = np.append(a.end[r], b.end[r] + a.ahead[r] - b.ahead[r])
        order = np.argsort(np.append(np.arange(30) + 2.5 * r, np.arange(30)), kind="stable")
        ranks.append(record(start[order], end[order], r, communicators=keys, communicator=order >= 30))
    found = joined(ranks)
    assert len(found.collectives) == 60
    assert not found.findings
    both = [waits_at_least(run.start.tolist(), run.end.tolist()) for run in (a, b)]
    assert found.wait_low.tolist() == [x + y for x, y in zip(*both, strict=True)]


def test_ranks_of_which_no_pair_shares_a_communicator_have_no_clock_in_common() -> None:
    a, b = made(30, ranks=2, count=10), made(31, ranks=2, count=10)
    left, right = Communicator("a", STATED, 2), Communicator("b", STATED, 2)
    ranks = [record(a.start[r], a.end[r], r, communicators=(left,)) for r in range(2)]
    ranks += [record(b.start[r], b.end[r], 2 + r, communicators=(right,)) for r in range(2)]
    (window,) = joined(ranks).windows
    assert window.reference.tolist() == [0, 0, 2, 2]


def test_a_sub_communicator_ties_clocks_through_others() -> None:
    """Rank 2 meets rank 0 only through rank 1: its interval is as wide as both together."""
    run = made(32, ranks=3, count=40)
    first, second = Communicator("a", STATED, 2), Communicator("b", STATED, 2)
    ranks = [
        record(run.start[0][:20], run.end[0][:20], 0, communicators=(first,)),
        record(run.start[1], run.end[1], 1, communicators=(first, second), communicator=np.repeat([0, 1], 20)),
        record(run.start[2][20:], run.end[2][20:], 2, communicators=(second,)),
    ]
    (window,) = joined(ranks).windows
    near = offsets(run.start[:2, :20].tolist(), run.end[:2, :20].tolist())
    far = offsets(run.start[1:, 20:].tolist(), run.end[1:, 20:].tolist())
    assert near is not None
    assert far is not None
    assert (int(window.low[2]), int(window.high[2])) == (near[1][0] + far[1][0], near[1][1] + far[1][1])
    assert bool((window.low <= -run.ahead).all() and (-run.ahead <= window.high).all())


def test_a_broadcast_says_nothing_of_clocks() -> None:
    run = made(33, ranks=3, count=20)
    ranks = [record(run.start[r], run.end[r], r, signatures=(Signature("Broadcast", "b"),)) for r in range(3)]
    found = joined(ranks)
    assert len(found.collectives) == 20
    assert [window.reference.tolist() for window in found.windows] == [[-1, -1, -1]]
    assert found.wait_low.tolist() == waits_at_least(run.start.tolist(), run.end.tolist())
    assert found.wait_high.tolist() == found.comm.tolist()


def test_without_ranks_there_is_nothing() -> None:
    found = joined([])
    assert len(found.collectives) == 0
    assert found.windows == ()


def faulty(fault: str) -> tuple[Made, list[Rank]]:
    """64 ranks of which rank 40 is at fault."""
    run = made(50, ranks=64, count=200, step=2_000_000, transfer=(5_000, 15_000))
    ranks = records(run)
    start, end = run.start[40].copy(), run.end[40].copy()
    if fault == "another run":
        other = made(51, ranks=64, count=200, step=2_000_000, transfer=(5_000, 15_000))
        ranks[40] = record(other.start[40], other.end[40], 40)
    elif fault == "stepped by 40 us":
        start[100:] += 40_000
        end[100:] += 40_000
        ranks[40] = record(start, end, 40)
    elif fault == "one missing":
        ranks[40] = record(np.delete(start, 77), np.delete(end, 77), 40)
    elif fault == "two swapped":
        signatures = (ALL_REDUCE, Signature("AllGather", "ncclDevKernel_AllGather_RING_LL"))
        kinds = np.arange(200) % 2
        ranks = [record(run.start[r], run.end[r], r, kinds, signatures) for r in range(64)]
        kinds = kinds.copy()
        kinds[[90, 91]] = kinds[[91, 90]]
        ranks[40] = record(start, end, 40, kinds, signatures)
    return run, ranks


@pytest.mark.parametrize(
    ("fault", "code", "out"),
    [
        ("", "", []),
        ("another run", "ranks_of_another_run", range(200)),
        ("stepped by 40 us", "ranks_clocks_disagree", []),
        ("one missing", "ranks_collectives_missing", [77]),
        ("two swapped", "ranks_order_differs", [90, 91]),
    ],
)
def test_faults_among_64_ranks_are_found_and_what_needs_no_clock_is_unchanged(
    fault: str, code: str, out: Sequence[int]
) -> None:
    """What rank 40 ran of `out` is compared with nothing; every other number is that of a brute force."""
    run, ranks = faulty(fault)
    found = joined(ranks)
    assert [one.code for one in found.findings] == [code] * bool(code)
    lasted = run.end - run.start
    compared = np.ones(lasted.shape, bool)
    compared[40, list(out)] = False
    shortest = np.where(compared, lasted, 1 << 60).min(axis=0)
    waited = np.where(compared, lasted - shortest, 0).sum(axis=1)
    assert found.wait_low.tolist() == waited.tolist()


def test_times_since_1970_are_as_good() -> None:
    """As torch.profiler wrote them before PyTorch 2.4."""
    run, epoch = made(60, ranks=4, count=30, slow=2), 1_790_857_026_000_000_000
    near = joined(records(run))
    far = joined([record(run.start[r] + epoch, run.end[r] + epoch, r) for r in range(4)])
    assert clocks(far) == clocks(near)
    assert far.wait_high.tolist() == near.wait_high.tolist()
    assert (far.late_low.tolist(), far.late_high.tolist()) == (near.late_low.tolist(), near.late_high.tolist())
    assert (far.collectives.at - near.collectives.at).tolist() == [epoch] * 30
    assert far.windows[0].until - near.windows[0].until == epoch


COST = """
import sys, time
from pathlib import Path
import numpy as np
from aisp_prof.profiler.ranks.join import join
from ranks_made import record
rng, base = np.random.default_rng(1), np.arange(1000) * 10_000_000
ahead = rng.integers(-40_000_000, 40_000_000, 4096)
ranks = [record(base + rng.integers(0, 60_000, 1000) + a, base + 260_000 + rng.integers(0, 5_000, 1000) + a, r) for r, a in enumerate(ahead)]
names = [str(r) for r in range(4096)]
began = time.process_time()
found = join(ranks, names, True)
spent = time.process_time() - began
# not ru_maxrss, which a child takes over from the process that started it
peak = next(line.split()[1] for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
print(len(found.collectives), len(found.findings), spent, peak)
"""


def test_4096_ranks_with_1000_collectives_each_are_joined_in_4_cpu_seconds_and_700_mb() -> None:
    path = os.pathsep.join([str(ROOT / ".pythonpath"), str(ROOT / "tests/support")])
    done = subprocess.run(
        [sys.executable, "-c", COST], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    matched, findings, seconds, kilobytes = map(float, done.stdout.split())
    assert (matched, findings) == (1000, 0)
    assert seconds <= 4
    assert kilobytes * 1024 <= 0.7e9
