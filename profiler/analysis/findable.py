"""Operations as records that anyone can look up in the trace: `select * from <table> where rowid = <row>`."""

from __future__ import annotations

from ..evidence import Op
from ..trace.model import KINDS, Operations, Trace


def findable(trace: Trace, operations: Operations, index: int) -> Op:
    """One operation, by the table that the export holds it in; its name is "" where it has none."""
    size = int(operations.bytes[index])
    return Op(
        table=trace.tables[operations.table[index]],
        row=int(operations.row[index]),
        name=trace.text(int(operations.name[index])),
        kind=KINDS[operations.kind[index]],
        device=int(operations.device[index]),
        stream=int(operations.stream[index]),
        start=int(operations.start[index]),
        end=int(operations.end[index]),
        bytes=size if size >= 0 else None,
    )
