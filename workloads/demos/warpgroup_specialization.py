"""The roles of warp groups as seen in the machine code: what can be reached from each setmaxnreg, and what it does."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ...kernels.building.contract import disassemble
from ...kernels.building.nvcc import cubin
from ...kernels.gemm import ladder
from ..device import Device
from .demo import Demo

_LINE = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+([^;]+);", re.MULTILINE)
_JUMP = re.compile(r"\b(?:BRA|BSSY|CALL)\b.*?0x([0-9a-f]+)")
_ENDS = re.compile(r"^(?:BRA(?:\.\w+)*\s|EXIT\b|RET\b)")
_SET = re.compile(r"USETMAXREG\.(DEALLOC|TRY_ALLOC)\.CTAPOOL\s.*?(0x[0-9a-f]+)")
RUNGS = ("04_warp_specialized", "05_persistent", "06_multicast")
"""Rungs with roles; the last one's jumps by a table, to tiles of many widths, are not followed."""
COLUMNS = {
    "UTMALDG": r"\bUTMALDG\b",
    "HGMMA": r"\bHGMMA\b",
    "UTMASTG": r"\bUTMASTG\b",
    "STG": r"\bSTG\b",
    "waits": r"\bSYNCS\.PHASECHK\b",
    "arrivals": r"\bSYNCS\.ARRIVE\b",
}


@dataclass(frozen=True, slots=True)
class Role:
    """Warp groups that give registers back, or take them: how many a thread has afterwards, and which instructions only
    they reach."""

    name: str
    registers: int
    counts: Mapping[str, int]


def roles(sass: str) -> list[Role]:
    """The roles in a kernel's disassembly, the producer first; empty if it has no setmaxnreg."""
    code = {int(address, 16): text.strip() for address, text in _LINE.findall(sass)}
    starts = [(at, setting) for at, text in code.items() if (setting := _SET.search(text))]
    reached = [_reachable(code, at) for at, _ in starts]
    shared = set.intersection(*reached) if len(reached) > 1 else set()
    told = []
    for (_, setting), places in zip(starts, reached, strict=True):
        lines = [code[place] for place in places - shared]
        counts = {name: sum(bool(re.search(pattern, line)) for line in lines) for name, pattern in COLUMNS.items()}
        told.append(Role("producer" if setting[1] == "DEALLOC" else "consumer", int(setting[2], 16), counts))
    return sorted(told, key=lambda role: role.registers)


def _reachable(code: Mapping[int, str], start: int) -> set[int]:
    """Addresses that control flow can reach from `start`."""
    after = dict(zip(sorted(code), sorted(code)[1:], strict=False))
    seen: set[int] = set()
    todo = [start]
    while todo:
        at = todo.pop()
        if at in seen or at not in code:
            continue
        seen.add(at)
        text = code[at]
        if jump := _JUMP.search(text):
            todo.append(int(jump[1], 16))
        if not _ENDS.match(text) and at in after:
            todo.append(after[at])
    return seen


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """One line per role."""
    step = ladder.STEPS[asked.rung]
    warpgroups = roles(disassemble(cubin(step.source, "90a"))[f"gemm_{step.name}_bf16"].sass)
    head = f"{'role':<10}{'registers':>10}" + "".join(f"{name:>10}" for name in COLUMNS)
    lines = [
        f"{role.name:<10}{role.registers:>10}" + "".join(f"{n:>10}" for n in role.counts.values())
        for role in warpgroups
    ]
    about = f"{step.source.name} for sm_90a, instructions in the machine code that only one role reaches:"
    return [about, head, *lines]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rung", choices=RUNGS, default="05_persistent", help="of the GEMM ladder (05_persistent)")


DEMO = Demo(
    "ch10-warpgroup-specialization",
    "The roles of warp groups, read from the machine code of a rung of the GEMM ladder. Needs nvcc, but no GPU.",
    (),
    _options,
    measure,
)
