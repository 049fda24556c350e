"""What the gate makes of the ends of its children on a GPU, with children that are made up: no GPU is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.kernels.emit.artifacts import Artifacts
from aisp_prof.kernels.emit.cuda import write
from aisp_prof.kernels.emit.spec import read_spec
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.gate import gate as module
from aisp_prof.workloads.gate.gate import Limits, Request, find_sanitizer, gate
from aisp_prof.workloads.gate.isolate import Outcome
from aisp_prof.workloads.gate.job import Job
from aisp_prof.workloads.gate.runners import find_runner
from aisp_prof.workloads.gate.spec_task import SpecTask
from aisp_prof.workloads.gate.verdict import Verdict

SPEC = read_spec("l2norm")
RIGHT = Outcome("done", 0, [{"check": "1 x 1", "words": "right", "passed": True}], "")
RACED = Outcome("done", 0, [{"timed": v, "ns": ns} for v, ns in [("baseline", 2000), ("optimized", 1000)] * 20], "")
INVALID = """========= COMPUTE-SANITIZER
========= Invalid __global__ read of size 2 bytes
=========     at aisp_l2norm+0x120 in kernel.cu:12
========= ERROR SUMMARY: 1 error
"""
RACE = (
    "========= Error: Race reported between Write access at aisp_l2norm+0x20\n========= RACECHECK SUMMARY: 1 hazard\n"
)

Judge = Callable[..., tuple[Verdict, list[tuple[str, list[str]]]]]


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Judge an emitted kernel by children that end as given: by phase, and under a tool by the tool's name."""
    monkeypatch.setenv("AISP_FEATURES", "candidate.l2norm")
    monkeypatch.setattr(module, "open_device", lambda kind: CpuDevice())
    (tmp_path / "test.cu").write_text(write(SPEC))

    def call(
        sanitizer: str | None = "/opt/compute-sanitizer", **ends: Outcome
    ) -> tuple[Verdict, list[tuple[str, list[str]]]]:
        made: list[tuple[str, list[str]]] = []

        def run_job(job: Job, timeout_s: float, tool: list[str] | tuple[()] = ()) -> Outcome:
            made.append((job.phase, list(tool)))
            name = tool[tool.index("--tool") + 1] if tool else job.phase
            return ends.get(name, RACED if job.phase == "race" else RIGHT)

        monkeypatch.setattr(module, "run_job", run_job)
        monkeypatch.setattr(module, "find_sanitizer", lambda: sanitizer)
        runner = find_runner(str(tmp_path / "test.cu"))
        asked = Request(
            SpecTask(SPEC), runner, find_runner("eager"), "cuda", 1, "candidate.l2norm", 40, limits=Limits(10)
        )
        return gate(asked, Artifacts(tmp_path / "artifacts"))[0], made

    return call


def test_all_is_well(judge: Judge) -> None:
    verdict, made = judge()
    assert verdict.status == "admitted"
    assert [phase for phase, _ in made] == ["check", "brief", "brief", "race"]
    assert made[1][1][:3] == ["/opt/compute-sanitizer", "--tool", "memcheck"]
    assert made[1][1][-2:] == ["--kernel-name", "kernel_substring=aisp_l2norm"]
    assert [(name, passed) for name, _, passed in verdict.checks][-2:] == [("memcheck", True), ("racecheck", True)]


def test_without_a_sanitizer_that_is_said(judge: Judge) -> None:
    verdict, made = judge(sanitizer=None)
    assert verdict.status == "admitted"
    assert [phase for phase, _ in made] == ["check", "race"]
    assert verdict.checks[-1] == ("compute-sanitizer", "not run: compute-sanitizer is not there", None)


@pytest.mark.parametrize("code", [86, 1])
@pytest.mark.parametrize(
    ("tool", "tail", "words"),
    [("memcheck", INVALID, "Invalid __global__ read of size 2 bytes"), ("racecheck", RACE, "Error: Race")],
)
def test_what_a_sanitizer_finds_refuses(judge: Judge, tool: str, tail: str, words: str, code: int) -> None:
    """The kernel's failure also raises in Python, and then the exit code is Python's."""
    verdict, made = judge(**{tool: Outcome("exit", code, [{"step": "running"}], tail)})
    assert verdict.status == "refused"
    assert verdict.reason.startswith(f"compute-sanitizer's {tool} found: {words}")
    assert made[-1][0] == "brief"


def test_a_hang_under_a_sanitizer_refuses(judge: Judge) -> None:
    verdict, _ = judge(memcheck=Outcome("timeout", 9, [{"step": "running the candidate at 1 x 1"}], ""))
    assert verdict.reason == "under memcheck: it hung: no end after 10 s, running the candidate at 1 x 1"


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (Outcome("timeout", 9, [{"step": "timing the candidate"}], ""), "refused", "it hung"),
        (Outcome("timeout", 9, [{"step": "timing the current best"}], ""), "unknown", "it hung"),
        (Outcome("memory", 9, [{"step": "timing the candidate"}], ""), "refused", "it took more than 4 GiB"),
        (Outcome("exit", 1, [], "Traceback (most recent call last):\n  x\nRuntimeError: CUDA error: an illegal address"),
         "refused", "it raised RuntimeError: CUDA error: an illegal address"),
        (Outcome("exit", 1, [], "torch.OutOfMemoryError: CUDA out of memory."), "refused", "it took more than 4 GiB"),
        (Outcome("done", 0, [{"wrong": "baseline", "words": "off"}], ""), "unknown", "the current best itself is wrong: off"),
        (Outcome("done", 0, [{"wrong": "optimized", "words": "off"}], ""), "refused", "wrong while it was timed: off"),
    ],
)  # fmt: skip
def test_ends_of_the_race(judge: Judge, outcome: Outcome, status: str, reason: str) -> None:
    verdict, _ = judge(race=outcome)
    assert verdict.status == status
    assert verdict.reason.startswith(reason)


def test_a_machine_that_lacks_something_says_nothing_of_the_candidate(judge: Judge, tmp_path: Path) -> None:
    lacks = {"error": "nvcc is not there", "lacks": True, "mend": "install it"}
    with pytest.raises(EnvironmentLacks, match="nvcc is not there"):
        judge(check=Outcome("exit", 3, [lacks], ""))
    assert not list((tmp_path / "artifacts").glob("verdict-*"))


def test_a_compilers_refusal_is_the_reason(judge: Judge) -> None:
    error = {"error": "nvcc refuses test.cu for sm_90a:\nmany words", "lacks": False, "mend": ""}
    verdict, _ = judge(check=Outcome("exit", 1, [{"step": "loading the candidate"}, error], ""))
    assert verdict.reason == "it cannot be run: nvcc refuses test.cu for sm_90a, loading the candidate"
    assert verdict.checks[-1][1].endswith("many words")


def test_another_specs_kernel_is_not_judged(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "test.cu").write_text(write(read_spec("row_energy")))
    with pytest.raises(UsageError, match="was written for another spec"):
        judge()


def test_where_the_sanitizer_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "compute-sanitizer"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert find_sanitizer() == str(tool)
