"""The gate itself: the flag, then the checks, the sanitizer and the race, each in a child process, and a verdict that
is kept."""

from __future__ import annotations

import re
import signal
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...declaration import VARIANTS
from ...errors import CannotTell, EnvironmentLacks, UsageError
from ...kernels.emit.artifacts import Artifacts
from ...machine.tools import of_cuda
from ..device import Kind, open_device
from ..hardware import present_gpu, versions
from ..measure import order
from .features import VARIABLE, enabled
from .isolate import Outcome, run_job
from .job import Job
from .runners import Runner
from .task import Task
from .verdict import MIN_ROUNDS, Status, Verdict, genuine, judge, make_key, signed, timing

SANITIZERS = ("memcheck", "racecheck")
SANITIZER_EXIT = 86
SANITIZER_TIME = 5
"""Under a sanitizer, the time limit is multiplied by this."""

_FAULT = re.compile(r"Invalid|Misaligned|Uninitialized|Error: |Warning: Race|Race reported|Potential|Program hit")

Check = tuple[str, str, bool | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of each child: seconds, and bytes that the candidate may take (of host memory on a CPU, of the GPU's and
    the host's)."""

    timeout_s: float = 300
    memory_bytes: int = 4 << 30


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be judged, and how."""

    task: Task
    candidate: Runner
    against: Runner
    device: Kind
    seed: int
    feature: str
    iterations: int = 20
    min_speedup: float = 1.0
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        order(self.iterations)
        if self.iterations < 2 * MIN_ROUNDS:
            raise UsageError(f"{self.iterations} iterations are too few for an interval", f"at least {2 * MIN_ROUNDS}")
        if not self.min_speedup > 0 or not self.limits.timeout_s > 0 or self.limits.memory_bytes < 1:
            raise UsageError("the speedup, the timeout and the memory must be above 0")


def gate(
    request: Request, artifacts: Artifacts, say: Callable[[str], None] = lambda line: None
) -> tuple[Verdict, Path]:
    """Judge a candidate; returns the verdict and where it lies among the artifacts.

    Nothing of the candidate is compiled, imported or run unless its feature, where it has one, is on, and then only in
    children. What is judged is the copy in the artifacts.

    Raises:
        CannotTell: the feature is off.
        EnvironmentLacks: no such device, or it or the machine lacks what is needed to run anything.
        UsageError: the candidate is for another task, or the reference cannot be evaluated.
    """
    if request.feature and not enabled(request.feature):
        raise CannotTell(
            f"{request.candidate.name} was not run: the feature {request.feature} is off",
            f"set {VARIABLE}={request.feature}",
        )
    device = open_device(request.device)
    make_key()
    request = _kept(request, artifacts)
    verdict = _Gate(request, say).verdict()
    gpu = present_gpu(device)
    return verdict, artifacts.put_json("verdict", signed(_record(request, verdict, gpu.name if gpu else "cpu")))


def _kept(request: Request, artifacts: Artifacts) -> Request:
    """The request, with its candidate's source copied to the artifacts, so that what runs is what was hashed."""
    runner = request.candidate
    if runner.source is None:
        return request
    if runner.kind == "cuda":
        request.task.entry(runner.source)
        if request.device != "cuda":
            raise UsageError(f"{runner.name} runs on CUDA alone", "--device cuda")
    path = artifacts.put("kernel", runner.source.suffix[1:], runner.source.read_bytes()).resolve()
    if runner.sha256 not in path.name:
        raise UsageError(f"{runner.name} changed while it was read")
    return replace(request, candidate=replace(runner, source=path))


class _Gate:
    """One judgement: phase after phase until one refuses."""

    def __init__(self, request: Request, say: Callable[[str], None]) -> None:
        self._request, self._say = request, say
        self._checks: list[Check] = []
        self._slow = False

    def verdict(self) -> Verdict:
        for phase in (self._values, self._sanitized):
            if reason := phase():
                return Verdict("unknown" if self._slow else "refused", reason, tuple(self._checks))
        return self._raced()

    def _values(self) -> str:
        self._say("checking the candidate's outputs against the fp64 reference")
        outcome = self._child("check", self._request.limits.timeout_s)
        if reason := self._noted(outcome):
            return reason
        return "" if outcome.ending == "done" else self._died(outcome)

    def _sanitized(self) -> str:
        """Run under compute-sanitizer, if there is one, and a kernel to look at."""
        tool = find_sanitizer()
        why = self._why_not() or ("" if tool else "compute-sanitizer is not there")
        if why or tool is None:
            self._checks.append(("compute-sanitizer", f"not run: {why}", None))
            return ""
        # racecheck sees shared memory: of a candidate's own kernels, not of those that PyTorch brings
        for name in SANITIZERS if self._request.candidate.kind == "cuda" else SANITIZERS[:1]:
            self._say(f"running it under compute-sanitizer's {name}")
            outcome = self._child("brief", SANITIZER_TIME * self._request.limits.timeout_s, self._command(tool, name))
            fault = _first_fault(outcome.tail)
            if outcome.ending == "exit" and (fault or outcome.code == SANITIZER_EXIT):
                self._checks.append((name, outcome.tail, False))
                return f"compute-sanitizer's {name} found: {fault or 'a fault'}"
            if outcome.ending != "done":
                reason = self._noted(outcome) or self._died(outcome)
                return f"under {name}: {reason}"
            self._checks.append((name, "no fault", True))
        return ""

    def _why_not(self) -> str:
        """Why no sanitizer can check this candidate; "" if one can."""
        if self._request.device != "cuda":
            return "not on a CPU"
        behind_walls = self._request.candidate.kind == "python"
        return "it finds no GPU behind the walls that are around a Python candidate" if behind_walls else ""

    def _command(self, tool: str, name: str) -> list[str]:
        # cuda-bindings asks an older driver for newer functions, which is an API error, not the kernel's fault
        command = [tool, "--tool", name, "--error-exitcode", str(SANITIZER_EXIT), "--report-api-errors", "no"]
        source = self._request.candidate.source
        if self._request.candidate.kind != "cuda" or source is None:
            return command
        return [*command, "--kernel-name", f"kernel_substring={self._request.task.entry(source)}"]

    def _raced(self) -> Verdict:
        self._say("timing it against the current best")
        outcome = self._child("race", self._request.limits.timeout_s)
        wrong = next((one for one in outcome.results if "wrong" in one), None)
        if wrong is not None:
            return self._wrong_in_race(str(wrong["wrong"]), str(wrong["words"]))
        if outcome.ending != "done":
            reason = self._died(outcome)
            status: Status = "unknown" if self._slow or "the current best" in _last_step(outcome) else "refused"
            return Verdict(status, reason, tuple(self._checks))
        times: dict[str, list[int]] = {variant: [] for variant in VARIANTS}
        for one in outcome.results:
            if "timed" in one:
                times[one["timed"]].append(int(one["ns"]))
        timed = timing(times)
        status, reason = judge(timed, self._request.min_speedup)
        return Verdict(status, reason, tuple(self._checks), timed)

    def _wrong_in_race(self, variant: str, words: str) -> Verdict:
        if variant == "optimized":
            return Verdict("refused", f"wrong while it was timed: {words}", tuple(self._checks))
        return Verdict("unknown", f"the current best itself is wrong: {words}", tuple(self._checks))

    def _child(self, phase: Any, timeout_s: float, tool: list[str] | None = None) -> Outcome:
        asked = self._request
        with tempfile.TemporaryDirectory(prefix="aisp-gate-") as folder:
            job = Job(
                phase, asked.task, asked.candidate, asked.against, asked.device, asked.seed, asked.iterations,
                asked.limits.memory_bytes, Path(folder) / "results",
            )  # fmt: skip
            outcome = run_job(job, timeout_s, tool or ())
        error = next((one for one in outcome.results if "error" in one), None)
        if error is not None and error.get("lacks"):
            raise EnvironmentLacks(str(error["error"]), str(error["mend"]))
        if error is not None and error.get("reference"):
            raise UsageError(str(error["error"]), str(error["mend"]))
        if asked.task.foreign and outcome.ending == "memory" and outcome.results and "own" in outcome.results[-1]:
            raise UsageError("the reference takes more memory than there is for it", "smaller sizes, or --memory GIB")
        return outcome

    def _noted(self, outcome: Outcome) -> str:
        """Add what the child checked, and which walls it lacked; returns the reason of the first check that failed."""
        for one in outcome.results:
            if one.get("missing"):
                self._checks.append(("confinement", f"none: this machine refuses it: {one['missing']}", None))
            if "check" in one:
                self._checks.append((str(one["check"]), str(one["words"]), bool(one["passed"])))
                if not one["passed"]:
                    return f"at {one['check']}: {one['words']}"
        return ""

    def _died(self, outcome: Outcome) -> str:
        doing = _last_step(outcome)
        error = next((str(one["error"]) for one in outcome.results if "error" in one), "")
        self._slow = outcome.ending == "slow"
        self._checks.append((doing, error or outcome.tail, None if self._slow else False))
        return f"{_ending(outcome, self._request.limits, error)}, {doing}"


def _ending(outcome: Outcome, limits: Limits, error: str) -> str:
    if outcome.ending == "timeout":
        return f"it hung: no end after {limits.timeout_s:g} s"
    if outcome.ending == "slow":
        return f"cannot tell: no end after {limits.timeout_s:g} s, on a host that was busy with other work (--timeout)"
    if outcome.ending == "stray":
        return "it left processes that could not be ended"
    last = outcome.tail.splitlines()[-1] if outcome.tail else ""
    starved = ("MemoryError", "out of memory", "OutOfMemory", "can't allocate memory", "bad_alloc")
    if outcome.ending == "memory" or (outcome.ending == "exit" and any(word in outcome.tail for word in starved)):
        return f"it took more than {limits.memory_bytes / 2**30:.3g} GiB of memory"
    if outcome.ending == "signal":
        return f"it crashed: {signal.Signals(outcome.code).name}"
    if error:
        return f"it cannot be run: {error.splitlines()[0].rstrip(':')}"
    if "Traceback (most recent call last)" in outcome.tail:
        return f"it raised {last[:300]}"
    return f"it ended its process early, with exit code {outcome.code}"


def _last_step(outcome: Outcome) -> str:
    return next((str(one["step"]) for one in reversed(outcome.results) if "step" in one), "starting")


def _first_fault(tail: str) -> str:
    """The sanitizer's first line that reports a fault; "" if there is none."""
    lines = [line.strip("= \t") for line in tail.splitlines() if line.startswith("=========")]
    return next((line for line in lines if _FAULT.match(line)), "")


def find_sanitizer() -> str | None:
    """compute-sanitizer as `of_cuda` finds it; None where there is none."""
    return of_cuda("compute-sanitizer")


def _record(request: Request, verdict: Verdict, device: str) -> dict[str, Any]:
    """The record that is kept of a judgement."""
    runners = {
        "candidate": {"kind": request.candidate.kind, "sha256": request.candidate.sha256},
        "against": {"kind": request.against.kind, "sha256": request.against.sha256},
    }
    return {
        "schema": 2,
        **verdict.to_json(),
        **runners,
        "spec": {"name": request.task.name, "sha256": request.task.digest},
        "feature": request.feature,
        "device": device,
        "seed": request.seed,
        "limits": asdict(request.limits),
        "min_speedup": request.min_speedup,
        "versions": versions(),
        "made_utc": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def admitted(artifacts: Artifacts, runner: Runner, task: Task, device: str) -> bool:
    """Whether the newest verdict on exactly this candidate, task and device admits it. Only verdicts signed by this
    account's gate count: a folder may hold anything.

    Raises:
        AispError: a verdict was altered.
        UsageError: the key cannot be read.
    """
    mine = [
        one
        for one in artifacts.verdicts()
        if genuine(one)
        and (one["candidate"]["sha256"], one["spec"]["sha256"], one["device"]) == (runner.sha256, task.digest, device)
    ]
    return bool(mine) and mine[-1]["status"] == "admitted"
