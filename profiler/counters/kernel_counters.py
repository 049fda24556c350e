"""What a report of Nsight Compute says of one kernel launch, the same from every reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Dim = tuple[int, int, int]
"""x, y, z."""


@dataclass(frozen=True, slots=True)
class NvtxRange:
    """A range that was open on the launching thread (`push_pop`), or in the process (`start_end`)."""

    domain: str
    name: str
    kind: Literal["push_pop", "start_end"]


@dataclass(frozen=True, slots=True)
class KernelCounters:
    """One kernel launch.

    index               in the report, from 0
    name                demangled, with parameters; a CSV may hold it shortened: compare `function_name` of both
    compute_capability  "9.0"; "" where the report does not say
    metrics             by ncu's names, in base units (ns, bytes, Hz, per cent); what was not counted is absent
    nvtx                outermost first; push/pop before start/end
    derived             totals that the report does not hold but that follow exactly from its rates (`totals.exact_totals`)
    """

    index: int
    name: str
    grid: Dim
    block: Dim
    device: int
    compute_capability: str
    metrics: Mapping[str, float]
    nvtx: tuple[NvtxRange, ...]
    derived: Mapping[str, float] = field(default_factory=dict)

    def total(self, metric: str) -> float | None:
        """A metric as counted, else as derived, else None."""
        return self.metrics.get(metric, self.derived.get(metric))


def function_name(demangled: str) -> str:
    """The bare name of a kernel, as nsys' shortName: no return type, namespaces, template arguments or parameters.

    >>> function_name("void at::native::reduce_kernel<512, std::array<char *, 3>>(int, T2)")
    'reduce_kernel'
    """
    bare = demangled
    for innermost in (r"<[^<>]*>", r"\([^()]*\)"):
        shorter = re.sub(innermost, "", bare)
        while shorter != bare:
            bare, shorter = shorter, re.sub(innermost, "", shorter)
    return bare.replace("::", " ").split()[-1] if bare.replace("::", " ").split() else demangled
