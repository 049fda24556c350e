"""The gate on a GPU: CUDA candidates of each kind that must be refused, and one that is admitted.

The sources are the same bytes everywhere. To run this on a host without nvcc, run the test that compiles them elsewhere with
AISP_CACHE set to a folder, and carry that folder there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from aisp_prof.kernels.building.nvcc import cubin, find_nvcc
from aisp_prof.kernels.emit.artifacts import Artifacts
from aisp_prof.kernels.emit.cuda import write
from aisp_prof.kernels.emit.spec import parse_spec
from aisp_prof.workloads.gate.gate import Limits, Request, find_sanitizer, gate
from aisp_prof.workloads.gate.runners import find_runner
from aisp_prof.workloads.gate.spec_task import SpecTask
from aisp_prof.workloads.gate.verdict import Verdict

builds = pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not on PATH, below CUDA_HOME or /usr/local/cuda")
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the candidates cannot run here")

SPEC = parse_spec(
    """
    version = 1
    name = "gated"
    dtype = "bf16"
    shape = [8192, 4096]
    [inputs]
    x = "tensor"
    gain = "column"
    [[steps]]
    op = "l2norm"
    [[steps]]
    op = "mul"
    input = "gain"
    """,
    "gated",
)

GOOD = write(SPEC)
LAST = "else streamed<1>(in_x, in_gain, out, row, columns, thread, partial);"
ENTRY = '\nextern "C" __global__'


def ending(code: str, before: str = "") -> str:
    """The good kernel with statements after its work, and declarations before it."""
    assert GOOD.count(LAST) == GOOD.count(ENTRY) == 1
    return GOOD.replace(LAST, f"{LAST}\n    {code}").replace(ENTRY, f"\n{before}{ENTRY}")


def beginning(code: str) -> str:
    start = "    const int thread = threadIdx.x;\n"
    assert GOOD.count(start) == 1
    return GOOD.replace(start, f"{start}    {code}\n")


SAME = "it returned the same output for two different inputs"

REFUSED = {
    "crash": (ending("*reinterpret_cast<volatile int*>(16) = 1;"), r"it (raised|crashed).*(illegal|unspecified|CUDA)"),
    "trap": (ending("__trap();"), r"it (raised|crashed).*(launch failure|illegal|CUDA)"),
    "hang": (
        ending("while (*reinterpret_cast<const volatile int*>(in_x) != 0x12345678) __nanosleep(1000);"),
        "it hung",
    ),
    "writes-after-its-output": (
        ending("if (row == rows - 1 && thread == 0) out[rows * columns] = narrow(1.0f);"),
        "it wrote outside its output",
    ),
    "writes-before-its-output": (ending("if (thread == 0) out[-1] = narrow(1.0f);"), "it wrote outside its output"),
    "changes-inputs": (
        ending("__syncthreads(); if (thread == 0) const_cast<In*>(in_gain)[0] = In(wide(in_gain[0]) + 1.0f);"),
        "it changed its inputs",
    ),
    "constant": (
        ending(
            "__syncthreads(); for (int64_t i = thread; i < columns; i += 128) out[row * columns + i] = narrow(0.5f);"
        ),
        SAME,
    ),
    "stale": (
        ending(
            "__syncthreads(); for (int64_t i = thread; row == 0 && i < columns && i < 4096; i += 128)\n"
            "        if (launched) out[i] = kept[i]; else kept[i] = out[i];\n"
            "    __syncthreads(); if (row == 0 && thread == 0) launched = 1;",
            "__device__ uint16_t kept_words[4096];\n__device__ int launched;\n"
            "#define kept (reinterpret_cast<Out*>(kept_words))",
        ),
        SAME,
    ),
    "writes-nothing": (beginning("return;"), "it wrote nothing"),
    "wrong-on-an-edge": (GOOD.replace(LAST, ""), "at 3 x 1: it wrote nothing"),
    "wrong-on-nan": (
        GOOD.replace(
            "{ return __bfloat162float(value); }", "{ const float v = __bfloat162float(value); return v == v ? v : 0; }"
        ),
        "with NaN, infinities and zeros: .* instead of nan",
    ),
    "slow": (
        beginning("for (int k = 0; k < 5; ++k) __nanosleep(1000000);"),
        "right in every case, but .* was asked for",
    ),
    "does-not-compile": (ending("this is no C++;"), "it cannot be run: nvcc refuses"),
}

# volatile in PTX too: ptxas drops a plain load whose result nobody uses
READS_BEYOND = ending(
    'uint16_t beyond; asm volatile("ld.volatile.global.u16 %0, [%1];" : "=h"(beyond) : "l"(in_x + rows * columns));'
)
ALL = {**{name: text for name, (text, _) in REFUSED.items()}, "good": GOOD, "reads-beyond": READS_BEYOND}


@builds
@pytest.mark.parametrize("name", [name for name in ALL if name != "does-not-compile"])
def test_nvcc_takes_every_candidate(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", os.environ.get("AISP_CACHE", str(tmp_path / "cache")))
    assert cubin(Artifacts(tmp_path).put("kernel", "cu", ALL[name].encode()), "90a").stat().st_size > 1000


def judged(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 120) -> tuple[str, str]:
    """Status and reason, against PyTorch's operators."""
    monkeypatch.setenv("AISP_FEATURES", "test.gate")
    (folder / "candidate.cu").write_text(text)
    runner = find_runner(str(folder / "candidate.cu"))
    asked = Request(SpecTask(SPEC), runner, find_runner("eager"), "cuda", 5, "test.gate", 20, limits=Limits(timeout_s))
    verdict, _ = gate(asked, Artifacts(folder / "artifacts"))
    return verdict.status, verdict.reason


@pytest.mark.gpu
@gpu
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "does-not-compile" and find_nvcc() is None:
        pytest.skip("nvcc is not there, so nothing is compiled")
    text, reason = REFUSED[kind]
    status, found = judged(text, tmp_path, monkeypatch, 40 if kind == "hang" else 120)
    assert status == "refused"
    assert re.search(reason, found), found
    torch.ones(1, device="cuda").add_(1).cpu()  # the GPU and this process are none the worse


@pytest.mark.gpu
@gpu
@pytest.mark.timeout(900)
def test_the_emitted_kernel_is_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, reason = judged(GOOD, tmp_path, monkeypatch)
    assert status == "admitted", reason


@pytest.mark.gpu
@gpu
@pytest.mark.timeout(900)
@pytest.mark.skipif(find_sanitizer() is None, reason="compute-sanitizer is not there")
def test_a_read_that_spoils_nothing_is_found_by_the_sanitizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, reason = judged(READS_BEYOND, tmp_path, monkeypatch)
    assert status == "refused"
    assert "compute-sanitizer's memcheck found: Invalid __global__ read" in reason


RIGHT = """
import torch
def run(inputs, output):
    x, gain = inputs[0].float(), inputs[1].float()
    output.copy_(x / x.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-6) * gain)
"""

PYTHON = {
    "late": (
        RIGHT.replace("def run", "def work")
        + "pending, clone = [], torch.Tensor.clone\n"
        "def late(self, *a, **k):\n"
        "    while pending: work(*pending.pop())\n"
        "    return clone(self, *a, **k)\n"
        "torch.Tensor.clone = late\n"
        "def run(inputs, output): pending.append((inputs, output))\n",
        "it wrote nothing",
    ),
    "stops-the-clock": (
        RIGHT + "    torch.cuda._sleep(200_000_000)\ntorch.cuda.Event.elapsed_time = lambda *_: 1e-3\n",
        "right in every case, but .* was asked for",
    ),
    "another-stream": (
        RIGHT.replace("def run", "def work")
        + "import time\ntorch.cuda.synchronize = lambda *_: None\nside = torch.cuda.Stream()\n"
        "def run(inputs, output):\n"
        "    with torch.cuda.stream(side):\n"
        "        torch.cuda._sleep(400_000_000)\n"
        "        work(inputs, output)\n",
        "it wrote nothing|elements are wrong",
    ),
    "writes-after-its-output": (RIGHT + "    output.as_strided((1,), (1,), output.storage_offset() + output.numel()).zero_()\n",
                                "it wrote outside its output"),
}  # fmt: skip


def python_judged(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Verdict:
    monkeypatch.setenv("AISP_FEATURES", "test.gate")
    monkeypatch.setenv("AISP_GATE_KEY", str(folder / "state" / "key"))
    (folder / "candidate.py").write_text(text)
    (folder / "current.py").write_text(RIGHT + "    torch.cuda._sleep(20_000_000)\n")
    runners = [find_runner(str(folder / name)) for name in ("candidate.py", "current.py")]
    asked = Request(SpecTask(SPEC), *runners, "cuda", 5, "test.gate", 20, limits=Limits(120))
    return gate(asked, Artifacts(folder / "artifacts"))[0]


@pytest.mark.gpu
@gpu
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", PYTHON)
def test_python_that_deceives_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, reason = PYTHON[kind]
    verdict = python_judged(text, tmp_path, monkeypatch)
    assert verdict.status == "refused", verdict.reason
    assert re.search(reason, verdict.reason), verdict.reason
    torch.ones(1, device="cuda").add_(1).cpu()


@pytest.mark.gpu
@gpu
@pytest.mark.timeout(900)
def test_python_is_judged_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = python_judged(RIGHT, tmp_path, monkeypatch)
    print(*verdict.checks, verdict.reason, sep="\n")
    assert verdict.status == "admitted", verdict.reason
    assert [name for name, _, _ in verdict.checks if name == "confinement"] == []
