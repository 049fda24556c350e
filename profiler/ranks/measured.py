"""The metrics of claims on one process: in each instance of the range that was asked for, or of the whole trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..analysis.completeness import OF_RANGES
from ..evidence import Completeness, Finding
from ..ranges.attribution import Attribution
from ..ranges.chosen import chosen_ranges
from ..ranges.faults import blocked_by
from ..ranges.instances import Instances, instances_of, whole_trace
from ..ranges.numbers import numbers
from ..ranges.work import Launches
from ..trace.model import Trace
from .question import Question
from .record import Measured, Said


def measured(trace: Trace, process: int, question: Question, completeness: Completeness) -> Measured:
    """Each metric of the question on the GPU that the process used; on several GPUs none, as they are never added together."""
    instances = _instances(trace, process, question)
    gpus = instances.gpus()
    alone = len(gpus) <= 1
    found = numbers(instances, question.metrics) if alone and len(instances) else {}
    blocked = blocked_by(completeness, {"": instances.findings})[""]
    blocked = tuple(one for one in blocked if not (instances.whole and one.code in OF_RANGES))
    several = () if alone else (Finding("several_gpus", {"count": len(gpus)}, "range"),)
    return Measured(
        values={text: [float(v) for v in found.get(text, ()) if v is not None] for text in question.metrics},
        count=len(instances),
        blocked=tuple(Said(f.code, dict(f.values), f.blocks) for f in (*blocked, *several)),
        pageable=tuple(Said(f.code, dict(f.values), f.blocks) for f in instances.pageable()),
    )


def _instances(trace: Trace, process: int, question: Question) -> Instances:
    launches = Launches(trace)
    if not question.steps:
        whole = whole_trace(launches, "trace")
        mine = trace.operations.process[whole.operation] == process
        kept = whole.operation[mine]
        return replace(whole, operation=kept, of_set=np.zeros(len(kept), np.int64))
    chosen = chosen_ranges(trace, question.domain, question.steps)
    chosen = chosen[trace.ranges.process[chosen] == process]
    chosen = chosen[np.argsort(trace.ranges.start[chosen], kind="stable")]
    return instances_of(launches, chosen, "step", question.steps, Attribution.named(question.attribution))
