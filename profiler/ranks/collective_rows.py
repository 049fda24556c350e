"""`ranks collectives`: every collective that several ranks ran, when, how long, who came last and who waited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..evidence import Finding
from .join import Joined
from .run import Run


@dataclass(frozen=True, slots=True)
class CollectiveRow:
    """One collective; times in ns.

    communicator  NCCL's own number of it in hexadecimal; "" of the only one
    bytes         of one rank's message, None where nothing says it
    at            when it ended, about, on the clock of the first of its ranks
    shortest      the shortest duration of a rank: no transfer took longer; `transfer_low`: for so long all were inside
    skew_low, skew_high  from the first to come to the last; None where not every rank is known
    last          who came last by the middle of the clocks' intervals, "" where clocks do not tell
    waited_most   who was inside for longest, and `waited` by how much longer than the shortest
    """

    operation: str
    detail: str
    communicator: str
    bytes: int | None
    ranks: int
    at: int
    shortest: int
    transfer_low: int
    skew_low: int
    skew_high: int | None
    last: str
    last_proven: bool
    waited_most: str
    waited: int


@dataclass(frozen=True, slots=True)
class RunCollectives:
    """The answer: `rows` in the order of time, and what stands against the run."""

    files: int
    whole: bool
    ranks: int
    findings: tuple[Finding, ...]
    rows: tuple[CollectiveRow, ...]


def collectives(run: Run) -> RunCollectives:
    """All of the answer."""
    return RunCollectives(len(run.files), run.whole, len(run.ranks), run.findings, tuple(_rows(run.joined)))


def _rows(joined: Joined) -> list[CollectiveRow]:
    found = joined.collectives
    longest = [_longest(joined, number) for number in range(len(joined.blocks))]
    rows = []
    for k in range(len(found)):
        block, column = int(found.block[k]), int(found.column[k])
        signature = joined.signatures[int(found.signature[k])]
        row, lasted = (int(values[column]) for values in longest[block])
        last, high = int(found.last[k]), int(found.skew_high[k])
        rows.append(
            CollectiveRow(
                operation=signature.operation,
                detail=signature.detail,
                communicator=joined.blocks[block].key,
                bytes=signature.bytes if signature.bytes >= 0 else None,
                ranks=int(found.ranks[k]),
                at=int(found.at[k]),
                shortest=int(found.shortest[k]),
                transfer_low=int(found.transfer_low[k]),
                skew_low=int(found.skew_low[k]),
                skew_high=high if high >= 0 else None,
                last=joined.names[last] if last >= 0 else "",
                last_proven=bool(found.proven[k]),
                waited_most=joined.names[int(joined.blocks[block].members[row])],
                waited=lasted - int(found.shortest[k]),
            )
        )
    return rows


def _longest(joined: Joined, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each collective of a block the member that was inside for longest, and how long."""
    block = joined.blocks[number]
    lasted = block.end - block.start
    if block.there is not None:
        lasted[~block.there] = -1
    row = lasted.argmax(axis=0)
    return row, lasted[row, np.arange(block.count)]
