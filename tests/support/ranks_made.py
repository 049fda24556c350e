"""Runs of many ranks whose truth is known: collectives on true time, seen by clocks that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from aisp_prof.profiler.ranks.record import ONE, Communication, Communicator, Rank, Signature, packed

KERNEL = "ncclDevKernel_AllReduce_Sum_f32_RING_LL"
ALL_REDUCE = Signature("AllReduce", KERNEL)


@dataclass
class Made:
    """Times as each rank's clock has them, shape (n, k), how far it is ahead of true time, and the true times."""

    start: np.ndarray
    end: np.ndarray
    ahead: np.ndarray
    came: np.ndarray
    left: np.ndarray


def made(
    seed: int,
    ranks: int,
    count: int,
    step: int = 10_000_000,
    slow: int | None = None,
    transfer: tuple[int, int] = (150_000, 250_000),
) -> Made:
    """Everybody comes when it comes, and leaves some microseconds after the data is there."""
    rng = np.random.default_rng(seed)
    base = np.cumsum(rng.integers(step // 2, step, count)) + 1_000_000_000
    came = base + rng.integers(0, 90_000, (ranks, count))
    if slow is not None:
        came[slow] += 700_000
    left = came.max(axis=0) + rng.integers(*transfer, count) + rng.integers(0, 6_000, (ranks, count))
    ahead = np.concatenate([[0], rng.integers(-40_000_000, 40_000_000, ranks - 1)])
    return Made(came + ahead[:, None], left + ahead[:, None], ahead, came, left)


def record(
    start: Sequence[int],
    end: Sequence[int],
    rank: int | None = 0,
    signature: Sequence[int] | None = None,
    signatures: Sequence[Signature] = (ALL_REDUCE,),
    communicators: Sequence[Communicator] = (Communicator("", ONE),),
    communicator: Sequence[int] | None = None,
    utc: int | None = None,
) -> Rank:
    """A record of these collectives."""
    zeros = np.zeros(len(start), np.int64)
    said = Communication(
        tuple(communicators),
        tuple(signatures),
        packed(np.asarray(start, np.int64)),
        packed(np.asarray(end, np.int64)),
        packed(zeros if communicator is None else np.asarray(communicator, np.int64)),
        packed(zeros if signature is None else np.asarray(signature, np.int64)),
    )
    return Rank(f"rank{rank}.sqlite", rank, "file name", 1 << 24, 1, utc, "complete", (), (), said, b"")


def records(run: Made) -> list[Rank]:
    return [record(run.start[r], run.end[r], r) for r in range(len(run.start))]
