"""A proven pair whose optimized variant runs on many streams."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

from aisp_prof.profiler.evidence import Evidence

KINDS = ("h2d", "compute", "d2h")


def on_streams(samples: ModuleType, count: int, more_on_every: int = 0, each: int = 6) -> Evidence:
    """Streams 100, 101, … with the same operations in the same order, one after the other, and stream 7 with one kernel.

    Args:
        more_on_every: every so manieth stream has one copy more at its end; 0 where none has.
    """
    evidence: Evidence = samples.sample()
    drawn = evidence.optimized.iterations[evidence.optimized.median_index or 0]
    step = (drawn.end - drawn.start) // (2 * count + 8 * each)
    ops = [samples.op("compute", 1, 7, drawn.start, step)]
    for stream in range(count):
        extra = more_on_every and stream % more_on_every == 0
        for place in range(each + bool(extra)):
            at = drawn.start + step * (1 + stream + 4 * place)
            ops.append(samples.op(KINDS[place % 3], len(ops) + 1, 100 + stream, at, 3 * step))
    return replace(evidence, optimized=replace(evidence.optimized, timeline=tuple(ops)))
