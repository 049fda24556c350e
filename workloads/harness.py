"""Runs one pair from a bare device to a record: build, validate and, if the outputs are right, measure."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from .annotate import Notes, open_notes
from .device import Kind, enough_memory, open_device
from .hardware import check_needs, choose_size, present_gpu, shrunk, versions
from .measure import ITERATIONS, measure, order
from .pair import Pair
from .record import Record
from .validate import validate


def run_pair(
    pair: Pair,
    *,
    device: Kind = "cuda",
    size: str | None = None,
    seed: int | None = None,
    iterations: int = ITERATIONS,
    validate_only: bool = False,
    profiling: bool = False,
    say: Callable[[str], None] = lambda line: None,
    notes: Notes | None = None,
) -> Record:
    """Run `pair` and return its record; no times where the outputs are not valid, or with `validate_only`.

    None chooses: `size` by the hardware, `seed` at random, `notes` the domain `aisp`. `iterations` are each variant's.
    `profiling` is for a profiler that runs every kernel several times and restores all memory in between: the times
    mean nothing, so one iteration warms up, and memory that only the check needed is given back first.

    Raises:
        EnvironmentLacks: no such device, or it lacks what the pair needs.
        UsageError: no such size, or `iterations` is odd.
    """
    order(iterations, pair.declaration.names)  # refuse an odd count before minutes are spent
    opened = open_device(device)
    gpu = present_gpu(opened)
    check_needs(pair.declaration, gpu)
    size_key, sizes = choose_size(pair.declaration, gpu, size, pair.memory)
    seed = secrets.randbits(31) if seed is None else seed
    notes = notes or open_notes()
    why = "" if gpu is None or size else shrunk(pair.declaration, size_key, pair.memory, gpu.memory_bytes)
    say(f"{pair.key}: size {size_key}{why and f' ({why})'}, seed {seed}, on {gpu.name if gpu else 'the CPU'}")
    with enough_memory():
        with notes.range(f"{pair.key}.setup", "setup"):
            workload = pair.build(opened, sizes)
        say("checking every variant against the fp64 reference")
        validation = validate(pair.declaration, workload, opened, notes, seed)
        timed = validation.valid and not validate_only
        say(f"measuring {iterations} iterations of each variant" if timed else "measuring nothing")
        if profiling:
            opened.release()
        settle = not profiling
        measured = measure(pair.declaration, workload, opened, notes, iterations, settle) if timed else None
    work = {} if pair.declared is None else {v: pair.declared(sizes, v) for v in pair.declaration.names}
    code = {} if pair.code is None else pair.code(workload)
    chosen = {} if pair.chosen is None else pair.chosen(workload)
    phases = {} if pair.phases is None else {v: pair.phases(sizes, v) for v in pair.declaration.names}
    sources = () if pair.sources is None else pair.sources()
    return Record(
        pair=pair.key,
        device=opened.kind,
        size=size_key,
        sizes=sizes,
        seed=seed,
        versions=versions(),
        gpu=gpu,
        validation=validation,
        measured=measured,
        declared=work,
        code=code,
        chosen=chosen,
        phases=phases,
        sources=sources,
    )
