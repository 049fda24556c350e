"""`aisp-prof capture`, and capturing several pairs in one go for the commands that do: ceilings once, then pair after pair."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from . import counters, named, programs
from .choosing import to_run
from .options import AsJson, CapturesFolder, Iterations, Timeout, TracerChoice

if TYPE_CHECKING:
    from ..profiler.capture.run import Profile
    from ..profiler.manifest import Manifest
    from ..profiler.store.captures import Capture
    from ..workloads.pair import Pair


def capture(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHAPTER[:PAIR] | -- COMMAND…",
            help="What to run: pairs, e.g. ch11 or ch11:streams; or, after --, a program of one's own.",
        ),
    ] = None,
    baseline: programs.Baseline = "",
    optimized: programs.Optimized = "",
    ranges: named.Ranges = None,
    claim: named.Claims = None,
    claims: named.ClaimsFile = None,
    title: named.Title = "",
    domain: named.Domain = None,
    attribution: named.Attribution = None,
    name: programs.Name = "",
    repeat: programs.Repeat = None,
    keep_report: programs.KeepReport = False,
    iterations: Iterations = 20,
    size: Annotated[str, typer.Option(help="A size key of the pair; this GPU's own by default.")] = "",
    profile: Annotated[
        str,
        typer.Option(
            help="none: bare, timed by CUDA events. minimal: under a tracer too. roofline: counted by Nsight Compute "
            "besides, against ceilings measured first. deep: with Nsight Compute's full sections. By default what each pair's "
            "claims need: roofline where they speak of work or rates, else minimal."
        ),
    ] = "",
    ceilings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Ceilings that aisp-prof calibrate -o stored of this GPU, not measured anew."
        ),
    ] = None,
    tracer: TracerChoice = "auto",
    timeout: Timeout = 600,
    captures: CapturesFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run pairs, or programs of one's own, bare and under NVIDIA's profilers, and store a capture of each. Needs an NVIDIA GPU."""
    from ..profiler.store.captures import captures_folder
    from ..reports.terminal.answers import print_data

    commands = programs.commands_of(targets or [], baseline, optimized)
    words = named.Words(ranges or [], claim or [], claims, title, domain, attribution)
    if commands:
        one = programs.capture_of(
            commands, words, name, repeat, timeout, keep_report, captures_folder(captures), tracer
        )
        row = {"pair": one.manifest.pair, "id": one.id, "folder": str(one.folder), "counters": None}
        print_data({"rows": [row]}, as_json, programs.lines(one, captures))
        return
    selector = _selector(targets or [], words.given or bool(name) or repeat is not None or keep_report)
    done = capture_pairs(
        to_run(selector), captures_folder(captures), profile, iterations, size, timeout, ceilings, tracer
    )
    made = [
        {
            "pair": one.manifest.pair,
            "id": one.id,
            "folder": str(one.folder),
            "counters": one.manifest.as_written.get("counters"),
        }
        for one in done
    ]
    lines = [line for one in done for line in _captured(one.manifest)]
    where = f" --captures {shlex.quote(str(captures))}" if captures else ""
    print_data({"rows": made}, as_json, [*lines, f"next: aisp-prof report {selector}{where}"])


def _selector(targets: Sequence[str], of_programs: bool) -> str:
    if len(targets) != 1:
        what = f"{targets[1]!r} is one too many" if targets else "what to capture is not said"
        raise UsageError(what, "aisp-prof capture ch11:streams; of a program: aisp-prof capture -- python train.py")
    if of_programs:
        raise UsageError(
            f"{targets[0]} says itself what is compared, and how often",
            "of a program: aisp-prof capture --range step -- python …",
        )
    return targets[0]


def _captured(made: Manifest) -> list[str]:
    """How one pair went; where FLOPs have a lower tier than was asked for, the line says so and gives the mend."""
    lines, counted = [f"{made.pair}  captured as {made.id}"], made.counters
    if counted and counted.reason:
        lines += [f"  FLOPs are declared only: {counted.reason}"]
        lines += [f"  → {counted.mend}"] if counted.mend else []
    if counted and counted.sections_reason:
        lines.append(f"  without ncu's full sections: {counted.sections_reason}")
    return lines


def capture_pairs(
    pairs: Sequence[Pair],
    folder: Path,
    profile: str,
    iterations: int,
    size: str,
    timeout_s: float,
    ceilings: Path | None = None,
    tracer: str = "auto",
) -> list[Capture]:
    """Run pairs as `profile` says and publish a capture of each below `folder`; each step is announced on stderr.

    Without a profile each pair is run as its claims require: counted where one of them is about work or rates, else
    only traced.

    `ceilings` is a file of `aisp-prof calibrate -o` on this GPU. Without it they are measured, once for all pairs: all of them
    where a profile counts, else those that the pairs' floors and claims need, in some seconds.

    Raises:
        UsageError: there is no such profile, tracer, size or number of iterations, or the ceilings are another GPU's.
        EnvironmentLacks: no GPU, or a profiler that the profile needs.
        AispError: `folder` cannot be written, which is found out before anything runs.
    """
    from ..profiler.capture.run import capture_pair, check_folder
    from ..reports.terminal.progress import steps

    wanted, made = [_profile(pair, profile) for pair in pairs], []
    command = ["aisp-prof", *sys.argv[1:]]
    with steps() as progress:
        needed = {pair.key: _needed(pair, one) for pair, one in zip(pairs, wanted, strict=True)}
        only = set() if any(one.counts for one in wanted) else set().union(*needed.values())
        check_folder(folder)
        measures = bool(only) or any(one.counts for one in wanted)
        roofs = _ceilings(ceilings, timeout_s, progress, only) if measures else None
        for pair, chosen_profile in zip(pairs, wanted, strict=True):
            key, chosen, why = hardware(pair, size)
            if why:
                progress(f"{pair.key}: {why}")
            made.append(
                capture_pair(
                    pair.declaration,
                    pair.program,
                    key,
                    chosen,
                    folder,
                    iterations,
                    command,
                    timeout_s,
                    progress,
                    chosen_profile,
                    roofs if chosen_profile.counts or needed[pair.key] else None,
                    tracer,
                )
            )
    return made


def _profile(pair: Pair, name: str) -> Profile:
    from ..profiler.capture.run import Profile, profile_of
    from ..profiler.judging.language import needs_counters

    if name:
        return profile_of(name)
    return Profile.ROOFLINE if needs_counters(pair.declaration) else Profile.MINIMAL


def _needed(pair: Pair, profile: Profile) -> set[str]:
    """The ceilings that a pair's claims name and that the floors of its variants hang on, where it is traced at all."""
    from ..profiler.capture.run import Profile
    from ..profiler.judging.floor import phases_of, rates_of
    from ..profiler.judging.language import ceilings_named
    from ..profiler.manifest import Work

    if profile is Profile.NONE:
        return set()
    declaration, sizes = pair.declaration, pair.declaration.sizes["default"]
    stated = [pair.phases(sizes, v) for v in declaration.names] if pair.phases else []
    works = [pair.declared(sizes, v) for v in declaration.names] if pair.declared and not stated else []
    every = [*stated, *(phases_of((), Work(work.flops, work.bytes, work.ceiling)) for work in works)]
    return ceilings_named(declaration).union(*map(rates_of, every))


def _ceilings(
    stored: Path | None, timeout_s: float, progress: Callable[[str], None], only: Collection[str]
) -> dict[str, Any]:
    """What this GPU can do: measured now, or read from a file."""
    from ..profiler.capture.calibrate import read_calibration
    from ..profiler.capture.conditions import open_gpu

    if stored is None:
        return counters.measure_ceilings(timeout_s, progress, only)
    with open_gpu() as gpu:
        return read_calibration(stored, gpu.facts()["uuid"] if gpu else None)


def hardware(pair: Pair, size: str) -> tuple[str, str, str]:
    """The hardware key of the GPU in this machine, the size to run on it, and why it is a smaller one than usual, if it is; the child
    looks at the GPU itself."""
    from ..profiler.capture.conditions import open_gpu
    from ..workloads.hardware import fitting, hardware_key, shrunk

    with open_gpu() as gpu:
        facts = gpu.facts() if gpu else {}
    declaration, name, total = pair.declaration, facts.get("name"), facts.get("memory_bytes")
    key = hardware_key(name) if name else "unknown"
    usual = size or (key if key in declaration.sizes else "default")
    if size or total is None or pair.memory is None:
        return key, usual, ""
    chosen, _ = fitting(pair.key, usual, declaration.sizes[usual], pair.memory, total)
    return key, chosen, shrunk(declaration, chosen, pair.memory, total)


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(capture)
