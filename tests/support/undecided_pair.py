"""A pair whose runs spread around what is claimed of them, judged as any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
from aisp_prof.profiler.evidence import Evidence, Verdict
from aisp_prof.profiler.judging.grounds import Grounds
from aisp_prof.profiler.judging.judge import judge
from aisp_prof.profiler.judging.language import parse
from aisp_prof.profiler.judging.speedup import speedup_of

CLAIMS = ("speedup >= 2.10", "median optimized.busy(compute) <= 2 ms", "optimized.kernels_per_iteration == 16")
PAIR = ("baseline", "optimized")


def left_open(samples: ModuleType, claims: Sequence[str] = CLAIMS, spread: float = 0.04) -> Evidence:
    """Twenty runs of each variant in turn, their times around 12.65 and 5.80 ms, the kernels' around 1.99 ms."""
    evidence: Evidence = samples.sample()
    rng = np.random.default_rng(11)
    made = []
    for at, variant in enumerate((evidence.baseline, evidence.optimized)):
        runs = []
        for place, run in enumerate(variant.iterations):
            off, other = 1 + spread * rng.standard_normal(2)
            start = 40_000_000 * place + 20_000_000 * (at ^ (place % 2))
            numbers = {**run.numbers, "busy(compute)": round(1_990_000 * other), "kernels_per_iteration": 16}
            runs.append(replace(run, start=start, end=start + round((run.end - run.start) * off), numbers=numbers))
        shift = runs[variant.median_index or 0].start - variant.iterations[variant.median_index or 0].start
        moved = tuple(replace(op, start=op.start + shift, end=op.end + shift) for op in variant.timeline)
        made.append(replace(variant, iterations=tuple(runs), timeline=moved))
    speedup = speedup_of(*made, "trace")
    variants = dict(zip(PAIR, made, strict=True))
    grounds = Grounds(variants, {PAIR: speedup}, dict.fromkeys(PAIR, ()), dict.fromkeys(PAIR, ()), ())
    results = tuple(judge(parse(claim), grounds) for claim in claims)
    verdict = Verdict.worst([one.verdict for one in results])
    more = {"claims": results, "speedup": speedup, "verdict": verdict, "gain": ()}
    return replace(evidence, baseline=made[0], optimized=made[1], **more)
