"""Which classes of operations a fault of the trace touches: what is said of the others stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from ..arrays.types import Int64
from ..evidence import Finding
from ..trace import api
from ..trace.model import COMM, COMPUTE, COPIES, D2D, D2H, H2D, KINDS, MEMORY_SET, OTHER, P2P, Trace

_BY_EFFECT = {api.KERNEL: (COMPUTE, COMM), api.COPY: (*COPIES, OTHER), api.MEMSET: (MEMORY_SET,)}
_BY_DIRECTION = (
    (re.compile(r"cu(?:da)?Memcpy(?:.*Peer)"), (P2P,)),
    (re.compile(r"cuMemcpyHto[DA]"), (H2D,)),
    (re.compile(r"cuMemcpy[DA]toH"), (D2H,)),
    (re.compile(r"cuMemcpy[DA]to[DA]"), (D2D,)),
)
"""Copies whose direction the driver's name tells; cudaMemcpyAsync tells none."""


def of_calls(trace: Trace, calls: Int64) -> frozenset[int]:
    """The classes of what these submitting calls (row indices) would have run; all of them where one launched a graph."""
    columns = np.stack([trace.calls.effect[calls].astype(np.int64), trace.calls.name[calls]])
    pairs = np.unique(columns, axis=1).T.tolist()
    return frozenset(kind for effect, name in pairs for kind in _of_call(effect, trace.text(name)))


def _of_call(effect: int, name: str) -> Iterable[int]:
    if effect == api.COPY:
        for pattern, kinds in _BY_DIRECTION:
            if pattern.match(name):
                return kinds
    return _BY_EFFECT.get(effect, range(len(KINDS)))


def of_operations(trace: Trace, operations: Int64) -> frozenset[int]:
    """The classes of these operations."""
    return frozenset(np.unique(trace.operations.kind[operations]).tolist())


def limited(code: str, count: int, kinds: frozenset[int]) -> Finding:
    """A finding that blocks what is said of these classes, and nothing else; of all classes, whatever is said."""
    names = [KINDS[kind] for kind in sorted(kinds)]
    classes = {"classes": ", ".join(names)} if len(names) < len(KINDS) else {}
    return Finding(code, {"count": count, **classes}, "range")


def touches(finding: Finding, kinds: Iterable[int]) -> bool:
    """Whether a finding speaks against numbers of these classes."""
    named = finding.values.get("classes")
    return named is None or not {KINDS[kind] for kind in kinds}.isdisjoint(str(named).split(", "))


def whole_classes(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The classes that nothing speaks against."""
    blocking = [finding for finding in findings if finding.blocks]
    return tuple(name for kind, name in enumerate(KINDS) if not any(touches(one, (kind,)) for one in blocking))
