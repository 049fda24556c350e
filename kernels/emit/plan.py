"""How a spec is laid out on threads: vector width, threads and registers, from its shape and dtype alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from .spec import DTYPES, Spec

VECTOR_BYTES = 16
WARP = 32
MAX_THREADS = 1024
HELD_PER_THREAD = 32
"""Elements of a row that a thread keeps in registers, as fp32."""

FLAT_THREADS = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """A launch: blocks of `threads`, of which each handles `per_block` rows (or, of a flat kernel, elements).

    width    elements of one vector load: 16 bytes' worth where the spec's columns are a multiple of it, else fewer
    vectors  of a row, held by a thread in registers; rows that are longer are read once a pass
    """

    threads: int
    per_block: int
    width: int
    vectors: int

    @property
    def row_threads(self) -> int:
        """Threads that share a row: one warp, or the whole block."""
        return WARP if self.per_block > 1 else self.threads

    @property
    def capacity(self) -> int:
        """Columns of the longest row that is held in registers."""
        return self.row_threads * self.width * self.vectors


def plan(spec: Spec) -> Plan:
    widest = VECTOR_BYTES // DTYPES[spec.dtype]
    if spec.flat:
        return Plan(FLAT_THREADS, FLAT_THREADS * widest, widest, 1)
    columns = spec.shape[1]
    width = gcd(columns, widest)
    threads = min(MAX_THREADS, WARP * max(1, -(-columns // (HELD_PER_THREAD * WARP))))
    vectors = min(-(-columns // (threads * width)), HELD_PER_THREAD // width)
    if threads == WARP:
        return Plan(4 * WARP, 4, width, vectors)  # a block of one warp would leave most of a multiprocessor empty
    return Plan(threads, 1, width, vectors)
