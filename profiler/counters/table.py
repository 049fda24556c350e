"""The table of metrics.toml: what each chip's counters count, and the smallest set worth collecting."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

Weights = Mapping[str, int]
"""Metric name -> floating-point operations that one count stands for."""


@dataclass(frozen=True, slots=True)
class Chip:
    """What one compute capability's counters count: `flops` by type, `witness` counters that show which instructions ran.

    `machine` names counters of what tensor cores and the copy engine did, `sharing` of shared memory and its clusters: name -> metric.
    """

    name: str
    compute_capability: str
    flops: Mapping[str, Weights]
    witness: tuple[str, ...]
    machine: Mapping[str, str]
    sharing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Common:
    """Metrics of every chip. They are read in ns, Hz, bytes and per cent."""

    duration: str
    clock: str
    dram: tuple[str, ...]
    dram_total: str
    l2: str
    tensor_active: str


@dataclass(frozen=True, slots=True)
class Table:
    """`chips` by compute capability, "9.0"."""

    common: Common
    chips: Mapping[str, Chip]


@cache
def table() -> Table:
    """The table that ships with the package."""
    data = tomllib.loads((files(__package__) / "metrics.toml").read_text(encoding="utf-8"))
    row = data["common"]
    dram = tuple(row["dram"])
    common = Common(row["duration"], row["clock"], dram, row["dram_total"], row["l2"], row["tensor_active"])
    chips = {
        key: Chip(row["name"], key, row["flops"], tuple(row["witness"]), row.get("machine", {}), row.get("sharing", {}))
        for key, row in data["chips"].items()
    }
    return Table(common, chips)


def known_metrics(compute_capability: str) -> frozenset[str]:
    """Every metric of the table that a report of this chip may hold: what numbers are computed from, and what may be
    published."""
    return frozenset((*minimal_metrics(compute_capability), table().common.dram_total))


def minimal_metrics(compute_capability: str) -> tuple[str, ...]:
    """The smallest set that gives FLOPs by type, DRAM and L2 bytes, tensor activity and the clock on this chip.

    On a chip that is not in the table, everything but the FLOPs.
    """
    common, chip = table().common, table().chips.get(compute_capability)
    metrics = [common.duration, common.clock, *common.dram, common.l2, common.tensor_active]
    if chip is not None:
        metrics += [metric for weights in chip.flops.values() for metric in weights]
        metrics += [*chip.witness, *chip.machine.values(), *chip.sharing.values()]
    return tuple(dict.fromkeys(metrics))
