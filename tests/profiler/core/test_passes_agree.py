"""What the compiled core does to columns is what numpy does, on random ones that hold what real ones seldom do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import engines
import numpy as np
import pytest
from aisp_prof.profiler.analysis.streams import share_their_stream
from aisp_prof.profiler.arrays.blocks import BLOCK, gathered
from aisp_prof.profiler.arrays.codes import Codes
from aisp_prof.profiler.arrays.groups import distinct_codes, distinct_values, few_codes, looked_up, mapped
from aisp_prof.profiler.arrays.growing import constant
from aisp_prof.profiler.ranges import attribution, uncounted
from aisp_prof.profiler.ranges.attribution import CallOrder
from aisp_prof.profiler.trace.cache import stored
from aisp_prof.profiler.trace.model import Calls
from aisp_prof.profiler.trace.tables import matching, nesting
from aisp_prof.profiler.trace.tables.matching import submissions
from aisp_prof.profiler.trace.tables.nesting import nesting as nested
from aisp_prof.profiler.trace.tables.validity import LATEST, timely

SEEDS = range(12)
PROCESSES = np.array([-(1 << 62), 1 << 24, 2 << 24, 1 << 60])


def by_both(patch: pytest.MonkeyPatch, work: Callable[[], Any]) -> tuple[Any, Any]:
    """The answer of each engine."""
    found = []
    for engine in engines.ENGINES:
        with patch.context() as one:
            engines.choose(one, engine)
            found.append(work())
    return found[0], found[1]


def same(one: Any, two: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(np.array_equal(one, two))


@pytest.mark.parametrize("distinct", [1, 2, 300, 4096, 4097])
@pytest.mark.parametrize("wide", [False, True])
def test_values(distinct: int, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(distinct)
    known = np.unique(draw.integers(*((-(1 << 63), 1 << 63) if wide else (0, 1 << 14)), 3 * distinct))[:distinct]
    column = np.concatenate((known, draw.choice(known, BLOCK + 17)))
    for values in (column, column[::-3], column[:0], constant(known[0], 9, np.int64)):
        assert same(*by_both(monkeypatch, lambda values=values: distinct_values(values)))
        assert same(*by_both(monkeypatch, lambda values=values: distinct_codes(values)))
        one, two = by_both(monkeypatch, lambda values=values: Codes.of(values))
        assert (one.code.dtype, same((one.code, one.values), (two.code, two.values))) == (two.code.dtype, True)
        assert same(*by_both(monkeypatch, lambda values=values: mapped(values, lambda distinct: distinct // 2)))
    by_core, by_numpy = by_both(monkeypatch, lambda: (few_codes(column) is not None,))
    assert (by_core, by_numpy) == ((distinct <= 4096,), (False,))
    for kind in (np.int8, np.uint16, np.int32, np.int64, np.float64):
        results = draw.integers(0, 100, distinct).astype(kind)
        one, two = by_both(monkeypatch, lambda results=results: looked_up(column, known, results))
        assert one.dtype == two.dtype == kind
        assert same(one, two)


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_that_stand_for_their_id(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that several calls have, at equal times too; negative, too wide, and of processes without calls."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 400))
    process = draw.choice(PROCESSES[: 1 + seed % 4], n)
    correlation = draw.choice(
        np.append(np.arange(n // 2 + 1), np.array([-1, 1 << 33, (1 << 33) - 1][: seed % 4], int)), n
    )
    start = draw.integers(0, 9, n)
    end, row = start + draw.integers(0, 3, n), draw.permutation(n)
    asked = draw.choice(np.append(PROCESSES, 5), 300), draw.integers(-2, n, 300)

    def work() -> Any:
        found, outermost = submissions(process, correlation, start, end, row)
        alone = found.of(constant(asked[0][0], 300, np.int64), asked[1])
        return outermost, found.of(*asked), alone

    assert same(*by_both(monkeypatch, work))


@pytest.mark.parametrize("seed", SEEDS)
def test_nesting(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges that nest, also equal ones and empty ones, in any order of rows; in every third case some cross."""
    draw = np.random.default_rng(seed)
    start, end = [], []

    def inner(low: int, high: int, depth: int) -> None:
        cuts = np.sort(draw.integers(low, high + 1, 2 * int(draw.integers(1, 5))))
        for a, b in zip(cuts[::2].tolist(), cuts[1::2].tolist(), strict=True):
            start.append(a)
            end.append(b)
            if depth:
                inner(a, b, depth - 1)

    inner(0, 60, 4)
    s, e = np.array(start), np.array(end)
    if seed % 3 == 0:
        e = s + draw.integers(0, 9, len(s))
    order = draw.permutation(len(s)) if seed % 2 else np.arange(len(s))
    group = draw.integers(0, 3, len(s)) if seed % 3 == 0 else np.zeros(len(s), np.int64)
    columns = group, s[order], e[order], draw.permutation(len(s))
    assert same(*by_both(monkeypatch, lambda: nested(*columns)))
    engines.choose(monkeypatch, "core")
    if seed % 3:
        assert nesting._nested(columns[0], 1, *columns[1:]) is not None, "numpy did the core's work"


def test_the_core_matches_calls_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    engines.choose(monkeypatch, "core")
    numbers = np.arange(50)
    found, _ = submissions(constant(PROCESSES[0], 50, np.int64), numbers, numbers, numbers, numbers)
    assert found.call.dtype == np.int32
    assert matching.call_keys(constant(5, 4, np.int64), np.array([1, 1 << 32, 5, 7])).sparse is not None


@pytest.mark.parametrize(
    "bad", [None, (5, 4), (LATEST, LATEST), (0, 0), (-LATEST, 1), (0, 1 << 54), (-(1 << 63), (1 << 63) - 1)]
)
def test_times(bad: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    start = np.arange(1, 1000)
    end = start + 5
    if bad:
        start[700], end[700] = bad

    def work() -> Any:
        faults: dict[tuple[str, str], int] = {}
        keep = [timely(start, end, "t", faults, zero) for zero in (True, False)]
        return (*keep, sorted(faults.items()) == []), faults

    (one, one_faults), (two, two_faults) = by_both(monkeypatch, work)
    assert same(one, two)
    assert one_faults == two_faults
    assert bool(one_faults) == (bad is not None)


@pytest.mark.parametrize("seed", SEEDS)
def test_streams_in_turn(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(seed)
    start = np.arange(0, 400, 4) + (draw.integers(0, 3, 100) if seed % 2 else 0)
    end = start + draw.integers(0, 2 + 3 * (seed % 4), 100)
    lane = draw.integers(0, 1 + seed % 5, 100).astype((np.uint8, np.uint16, np.int64)[seed % 3])
    order = draw.permutation(100) if seed % 3 == 0 else np.arange(100)
    assert same(*by_both(monkeypatch, lambda: share_their_stream(lane[order], start[order], end[order])))


def trace_of(seed: int) -> Any:
    """Calls of several threads, whose launches are in no order, some nested in others, and operations without any."""
    draw = np.random.default_rng(seed)
    n, m = 300, 200
    start = np.sort(draw.integers(0, 5000, m)) if seed % 4 else draw.integers(0, 5000, m)
    end = start + draw.integers(0, (4, 400)[seed % 2], m)
    thread = draw.choice(PROCESSES, m)
    columns = {field.name: np.zeros(m, np.int64) for field in fields(Calls)}
    calls = Calls(**{**columns, "start": start, "end": end, "thread": thread, "process": thread})
    launch = draw.integers(-1, m, n)
    gpus = Codes.of(draw.integers(0, 1 + seed % 3, n))
    operations = SimpleNamespace(launch=launch, codes=lambda _: gpus)
    return SimpleNamespace(calls=calls, operations=operations)


@pytest.mark.parametrize("seed", SEEDS)
def test_launches_in_order_and_what_ranges_hold_of_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trace, draw = trace_of(seed), np.random.default_rng(seed)
    low = draw.integers(-100, 5200, 150)
    key, high = draw.choice(np.append(PROCESSES, 3), 150), low + draw.integers(0, 900, 150)

    def work() -> Any:
        order = CallOrder.of_operations(trace, "thread")
        assert order.windows is not None
        said = (getattr(order, field.name) for field in fields(CallOrder) if field.name not in ("windows", "tidy"))
        held = tuple(part for slices in order.slices(key, low, high) for part in slices)
        return (*said, np.array(order.tidy), order.windows.shift, *held)

    one, two = by_both(monkeypatch, work)
    assert len(one) > 12
    assert same(one, two)


def test_the_core_orders_launches_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    engines.choose(monkeypatch, "core")
    trace = trace_of(1)
    codes = trace.operations.codes("gpu")
    assert attribution.ordered(trace.operations.launch, trace.calls, trace.calls.codes("thread"), codes) is not None


@pytest.mark.parametrize("width", [1, 200, 1 << 15, 1 << 31, 1 << 50])
def test_columns_of_the_cache(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by either engine and read back by either: the same bytes and the same numbers."""
    draw = np.random.default_rng(width)
    n = 2 * BLOCK + 5
    start = np.cumsum(draw.integers(0, 9, n)) - (1 << 40)
    start[::7] += draw.integers(0, width, len(start[::7]))
    end = start + draw.integers(0, width, n)
    numbers = draw.integers(0, 1 << 40, n)
    rows = {field.name: constant(0, n, np.int64) for field in fields(Calls)}
    calls = Calls(**{**rows, "start": start, "end": end, "correlation": numbers})
    names = iter(("core", "numpy"))

    def written() -> Any:
        file = stored.ColumnFile(tmp_path / next(names), new=True)
        monkeypatch.setattr(stored, "workers", lambda: 1)  # so that both lay columns in the same order
        return stored.store(calls, file), file.sums()

    (one, sums), (two, others) = by_both(monkeypatch, written)
    assert sums == others
    assert (tmp_path / "core").read_bytes() == (tmp_path / "numpy").read_bytes()
    for supply in (one, two):
        for read in by_both(monkeypatch, lambda supply=supply: Calls.supplied(supply)):
            assert all(same(getattr(read, name), getattr(calls, name)) for name in ("start", "end", "correlation"))


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.float32, np.int64, np.float64, bool])
def test_gathers(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    n, column = 2 * BLOCK + 3, draw.integers(0, 100, 100).astype(kind)
    for index in (np.uint8, np.uint16, np.uint32, np.int64, np.uint64, np.int8):
        chosen = draw.integers(0, 100, n).astype(index)
        for values, places in ((column, chosen), (column[::-1], chosen), (np.stack((column, column)).T, chosen)):
            for found in by_both(monkeypatch, lambda v=values, p=places: gathered(v, p)):
                assert found.dtype == kind
                assert same(found, values[places])
        every_third = draw.integers(0, 100, 3 * n).astype(index)[::3]
        assert same(*by_both(monkeypatch, lambda p=every_third: gathered(column, p)))
    chosen = np.full(n, -1)
    assert same(*by_both(monkeypatch, lambda: gathered(column, chosen)))  # from the end, as numpy has it
    for beyond in (np.full(n, 100), np.full(n, 100, np.uint8)):
        beyond[:-1] = 99
        for engine in engines.ENGINES:
            engines.choose(monkeypatch, engine)
            with pytest.raises(IndexError):
                gathered(column, beyond)


@pytest.mark.parametrize("seed", SEEDS)
def test_launches_inside_covers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of calls in any order, by up to three covers with groups that hold no range, ranges that touch and empty ones."""
    draw = np.random.default_rng(seed)
    n, times = int(draw.integers(1, 200)), int(draw.choice([12, 300, 1 << 40]))
    start = draw.integers(-times, times, n)
    start = np.sort(start) if seed % 2 else start
    rows = {field.name: constant(0, n, np.int64) for field in fields(Calls)}
    calls = Calls(**{**rows, "start": start, "end": start + draw.integers(0, times // 4, n)})
    launch = draw.integers(-1, n, 3 * n) if seed % 3 else np.repeat(np.arange(n), 3)

    def held() -> uncounted.Held:
        groups, ranges = int(draw.integers(1, 5)), int(draw.integers(1, 40))
        codes = Codes(draw.integers(0, groups, n).astype(draw.choice(["u1", "u2", "i8"])), np.arange(groups))
        begin = draw.integers(-times, times, ranges)
        return uncounted.Held(
            codes, draw.integers(0, groups, ranges), begin, begin + draw.integers(0, times // 3, ranges)
        )

    own, others = ([held() for _ in range(count)] for count in (1 + seed % 2, seed % 3))
    trace: Any = SimpleNamespace(calls=calls, operations=SimpleNamespace(launch=launch))
    one, two = by_both(monkeypatch, lambda: uncounted.launched_inside(trace, own, others))
    assert one == two

    def counted(some: list[uncounted.Held]) -> int:
        held = [
            any(_covered(one, call, int(calls.start[call]), int(calls.end[call])) for one in some) for call in range(n)
        ]
        return sum(held[call] for call in launch.tolist() if call >= 0)

    assert one == (counted(own), counted([*own, *others]))


def _covered(held: uncounted.Held, call: int, at: int, until: int) -> bool:
    """By going from range to range: whether those of the call's group cover all from `at` to `until`."""
    mine = [k for k in range(len(held.group)) if held.group[k] == held.codes.code[call] and held.end[k] > held.start[k]]
    reach, begun = at, False
    while True:
        further = [int(held.end[k]) for k in mine if held.start[k] <= reach <= held.end[k]]
        if not further or (begun and max(further) <= reach):
            return begun and reach >= until
        reach, begun = max(further), True


@pytest.mark.parametrize("at", [0, 3, 99_999, 262_144, 300_000])
def test_a_changed_byte_changes_a_sum(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = np.random.default_rng(at).integers(0, 256, 300_001).astype(np.uint8)

    def sums(changed: int) -> list[int]:
        file = stored.ColumnFile(tmp_path / f"{len(list(tmp_path.iterdir()))}", new=True)
        content[at] ^= changed
        file.write(content, file.room(len(content)))
        content[at] ^= changed
        return file.sums()

    whole, same_sums = by_both(monkeypatch, lambda: sums(0))
    assert whole == same_sums
    assert all(sums(1 << bit) != whole for bit in range(8))
