"""How the time of a pair's variants grows with one of its sizes: measured runs, and what a parabola through their medians says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from ...errors import CannotTell, UsageError
from ...machine.records import convert, parsed
from ..judging.bootstrap import median_interval, student
from ..manifest import Facts, Record

LEAST = 4
"""Two numbers are fitted, and what the rest are off by makes their intervals."""
MEND = "aisp-prof bench scaling measures anew; --record FILE keeps every run"


class Sweep(Struct, frozen=True):
    """What a sweep wrote (docs/json.md): a record a size. `over` is the size that grows, `per` the one that times are divided by."""

    schema: Annotated[int, Meta(ge=1, le=1)]
    pair: str
    over: str
    per: str
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Measured:
    """One variant at one size: times and work of one of `per`. `fitted_ns` is what the fit says, `residual` how far the median
    lies above it, as a share of the median."""

    size: int
    n: int
    median_ns: float
    low_ns: float
    high_ns: float
    flops: float
    fitted_ns: float
    residual: float
    square: float

    @property
    def rate(self) -> float:
        """FLOP/s, of the declared operations."""
        return self.flops / self.median_ns * 1e9


@dataclass(frozen=True, slots=True)
class Term:
    """A fitted number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Growth:
    """time = linear · size + square · size², in ns, fitted to the medians with all sizes weighing alike.

    rate        FLOP/s that the time approaches as the square outgrows the rest, of the declared operations
    even_at     the size at which both terms are alike; None where the linear one is not above nought
    spread      standard deviation of the residuals, as a share of the time
    """

    variant: str
    linear: Term
    square: Term
    rate: Term | None
    even_at: float | None
    spread: float
    points: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Scaling:
    pair: str
    over: str
    per: str
    gpu: Facts | None
    growths: tuple[Growth, ...]


def read_scaling(path: Path) -> Scaling:
    """Read what a sweep stored and fit it.

    Raises:
        UsageError: no such file, or it holds no sweep.
        CannotTell: too few sizes for a fit with an interval.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", MEND) from error
    return scaling(convert(parsed(raw, str(path)), Sweep, str(path)), str(path))


def scaling(sweep: Sweep, where: str) -> Scaling:
    """The fit of each variant, in the order in which the first record names them. Raises as `read_scaling`."""
    records = [(_size(one, sweep.over, where), _size(one, sweep.per, where), one) for one in sweep.records]
    if len({size for size, _, _ in records}) < LEAST:
        raise CannotTell(f"{where} holds {len(records)} sizes; a fit with an interval takes {LEAST} that differ", MEND)
    if any(one.validation is None or one.validation.valid is not True for _, _, one in records):
        raise UsageError(f"{where}: a record's outputs were not checked, or were wrong", MEND)
    names = list(dict.fromkeys(timed.variant for timed in records[0][2].iterations or ()))
    growths = tuple(_growth(name, records, where) for name in names)
    return Scaling(sweep.pair, sweep.over, sweep.per, sweep.records[0].gpu, growths)


def _size(record: Record, name: str, where: str) -> int:
    size = (record.sizes or {}).get(name, 0)
    if size < 1:
        raise UsageError(f"{where}: a record has no size {name!r}", MEND)
    return size


def _growth(variant: str, records: Sequence[tuple[int, int, Record]], where: str) -> Growth:
    times = [[one.event_ns for one in record.iterations or () if one.variant == variant] for _, _, record in records]
    works = [(record.declared or {}).get(variant) for _, _, record in records]
    if not all(times):
        raise UsageError(f"{where}: {variant} was not measured at every size", MEND)
    sizes = np.array([size for size, _, _ in records], np.float64)
    share = np.array([per for _, per, _ in records], np.float64)
    flops = np.array([0 if work is None else work.flops for work in works]) / share
    linear, square, spread = parabola(sizes, np.array([median(one) for one in times]) / share)
    points = [
        _measured(int(size), per, one, float(work), (linear.value, square.value))
        for (size, per, _), one, work in zip(records, times, flops, strict=True)
    ]
    points.sort(key=lambda point: point.size)
    even_at = linear.value / square.value if linear.value > 0 < square.value else None
    return Growth(variant, linear, square, _rate(square, sizes, flops), even_at, spread, tuple(points))


def _measured(size: int, per: int, times: Sequence[int | float], flops: float, terms: tuple[float, float]) -> Measured:
    middle = median(times) / per
    low, high = median_interval(times)
    of_square = terms[1] * size**2
    fitted = terms[0] * size + of_square
    return Measured(
        size=size,
        n=len(times),
        median_ns=middle,
        low_ns=low / per,
        high_ns=high / per,
        flops=flops,
        fitted_ns=fitted,
        residual=(middle - fitted) / middle,
        square=of_square,
    )


def parabola(sizes: np.ndarray, times: np.ndarray) -> tuple[Term, Term, float]:
    """Least squares of a · size + b · size² to the times, in shares of each time: a, b, and the residuals' standard deviation.

    The intervals are Student's, of the residuals' own spread: what the runs of one size differ by is far less than what a
    parabola is off by, and says nothing of it.
    """
    design = np.column_stack([sizes, sizes**2]) / times[:, None]
    scale = np.linalg.norm(design, axis=0)
    found, *_ = np.linalg.lstsq(design / scale, np.ones_like(times), rcond=None)
    freedom = len(times) - 2
    off = design / scale @ found - 1
    spread = float(np.sqrt(off @ off / freedom))
    wide = student(freedom) * spread * np.sqrt(np.diag(np.linalg.inv((design / scale).T @ (design / scale))))
    linear, square = (
        Term(*(float(number / scale[i]) for number in (found[i], found[i] - wide[i], found[i] + wide[i])))
        for i in range(2)
    )
    return linear, square, spread


def _rate(square: Term, sizes: np.ndarray, flops: np.ndarray) -> Term | None:
    """Where the declared operations are so many a square, that many over the square's time; None where they are not, or where
    the time's square may be nought."""
    each = flops / sizes**2
    if square.low <= 0 or not each.all() or np.ptp(each) > 0.01 * each.max():
        return None
    most = float(each[np.argmax(sizes)]) * 1e9
    return Term(most / square.value, most / square.high, most / square.low)
