"""Kernels of one's own at the gate: docs/examples/gate as they ship, on a CPU, and what is refused."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.kernels.building.nvcc import cubin, find_nvcc
from aisp_prof.kernels.emit.artifacts import Artifacts
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.gate import arena, host
from aisp_prof.workloads.gate.buffers import Plain
from aisp_prof.workloads.gate.cases import Case
from aisp_prof.workloads.gate.checking import Bench, Examination
from aisp_prof.workloads.gate.contender import Local
from aisp_prof.workloads.gate.gate import Limits, Request, gate
from aisp_prof.workloads.gate.job import Results
from aisp_prof.workloads.gate.own.launch_lines import read_launch
from aisp_prof.workloads.gate.own.task import OwnTask, read_task
from aisp_prof.workloads.gate.runners import find_runner, module_of
from aisp_prof.workloads.gate.task import ReferenceFails
from aisp_prof.workloads.gate.verdict import Verdict
from host_kernels import FLAGS, SHIM, find_compiler

if TYPE_CHECKING:
    from aisp_prof.workloads.gate.task import Run

pytestmark = pytest.mark.usefixtures("forked")

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples" / "gate"

MATMUL = """
version = 1
name = "matmul"
[sizes]
m = 64
n = 48
k = 32
[inputs]
a = { shape = ["m", "k"], dtype = "fp32" }
b = { shape = ["k", "n"], dtype = "fp32" }
[outputs]
c = { shape = ["m", "n"], dtype = "fp32" }
[[cases]]
m = 1
n = 1
k = 1
[[cases]]
m = 33
n = 65
k = 17
"""
REFERENCE = "def matmul(a, b):\n    return a @ b\n"
SLOW = "import time\ndef matmul(a, b):\n    time.sleep(0.02)\n    return a @ b\n"
TOP = """
version = 1
name = "largest"
[sizes]
n = 40
d = 100
[options]
k = 3
[inputs]
x = { shape = ["n", "d"], dtype = "fp32" }
picked = { shape = ["n"], dtype = "int64", below = "d" }
[outputs]
values = { shape = ["n", 3], dtype = "fp32" }
places = { shape = ["n", 3], dtype = "int64" }
at = { shape = ["n"], dtype = "fp32" }
"""
LARGEST = """
def largest(x, picked, k):
    values, places = x.topk(k, -1)
    return values, places, x.gather(1, picked[:, None])[:, 0]
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AISP_GATE_KEY", str(tmp_path / "state" / "key"))
    monkeypatch.delenv("AISP_FEATURES", raising=False)


def task_of(folder: Path, inputs: str, reference: str) -> OwnTask:
    (folder / "inputs.toml").write_text(inputs)
    (folder / "reference.py").write_text(dedent(reference))
    return read_task(folder / "reference.py", folder / "inputs.toml")


def judged(
    task: OwnTask,
    folder: Path,
    candidate: str,
    against: str = "eager",
    min_speedup: float = 1.0,
    timeout_s: float = 120,
) -> Verdict:
    names = ["candidate.py", "against.py"]
    for name, text in zip(names, (candidate, against), strict=True):
        (folder / name).write_text(dedent(text))
    runners = [find_runner("eager" if text == "eager" else str(folder / name))
               for name, text in zip(names, (candidate, against), strict=True)]  # fmt: skip
    asked = Request(task, *runners, "cpu", 5, task.feature, 12, min_speedup, Limits(timeout_s, 1 << 30))
    return gate(asked, Artifacts(folder / "artifacts"))[0]


@pytest.mark.timeout(300)
def test_a_matmul_that_fills_its_output_is_admitted_without_a_flag(tmp_path: Path) -> None:
    task = task_of(tmp_path, MATMUL, REFERENCE)
    verdict = judged(task, tmp_path, "import torch\ndef matmul(c, b, a): torch.matmul(a, b, out=c)", SLOW)
    assert verdict.status == "admitted", verdict.reason
    assert [name for name, _, passed in verdict.checks if passed] == [
        "m = 1, n = 1, k = 1",
        "m = 33, n = 65, k = 17",
        "m = 64, n = 48, k = 32",
        "m = 1, n = 1, k = 1, at pointers without alignment",
    ]


WRONG = {
    "an-edge": (
        "def matmul(a, b):\n    c = a @ b\n    c[32:] = 0\n    return c",
        {"m = 33, n = 65, k = 17": "65 elements are wrong, the first at [32, 0]: 0 instead of "},
    ),
    "its-precision": (
        "def matmul(a, b): return (a.bfloat16() @ b.bfloat16()).float()",
        {"m = 1, n = 1, k = 1": "1 elements are wrong, the first at [0, 0]: "},
    ),
    "constant": (
        "def matmul(a, b, c): c.fill_(1.5)",
        {"m = 64, n = 48, k = 32": "it returned the same output for two different inputs"},
    ),
    "nothing": ("def matmul(a, b, c): pass", {"m = 1, n = 1, k = 1": "it wrote nothing"}),
    "its-inputs": (
        "def matmul(a, b):\n    c = a @ b\n    b.zero_()\n    return c",
        {"m = 1, n = 1, k = 1": "it changed its inputs"},
    ),
    "beyond-its-output": (
        "def matmul(a, b, c):\n    c.copy_(a @ b)\n    c.as_strided((1,), (1,), c.storage_offset() + c.numel()).zero_()",
        {"m = 1, n = 1, k = 1": "it wrote outside its output"},
    ),
}


def examined(task: OwnTask, run: Run, folder: Path) -> dict[str, str]:
    """What is wrong in each case, in this process."""
    folder.mkdir(exist_ok=True)
    with closing(Results(folder / "results")) as results:
        bench = Bench(task, CpuDevice(), Local(run), results, Plain("cpu"))
        every = {str(case): Examination(bench, case, guards=True).result(11) for case in task.cases("cpu")}
    return {case: words for case, words in every.items() if words}


def loaded(task: OwnTask, text: str) -> Run:
    return task.python(module_of(Path("candidate.py"), text.encode(), "candidate"), "candidate.py")


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_found(kind: str, tmp_path: Path) -> None:
    text, expected = WRONG[kind]
    task = task_of(tmp_path, MATMUL, REFERENCE)
    found = examined(task, loaded(task, text), tmp_path)
    for case, words in expected.items():
        assert found[case].startswith(words)


def test_what_is_right_is_found_right(tmp_path: Path) -> None:
    task = task_of(tmp_path, MATMUL, REFERENCE)
    assert examined(task, loaded(task, REFERENCE), tmp_path) == {}
    assert examined(task, task.eager(), tmp_path) == {}
    assert examined(task, loaded(task, "def matmul(b, a, m, spare=None): return a.view(m, -1) @ b"), tmp_path) == {}


@pytest.mark.timeout(300)
def test_another_shape_is_refused_with_the_exception(tmp_path: Path) -> None:
    verdict = judged(task_of(tmp_path, MATMUL, REFERENCE), tmp_path, "def matmul(a, b): return (a @ b)[0]")
    assert (verdict.status, verdict.reason) == (
        "refused",
        "it raised ValueError: c: [1] was returned instead of [1, 1], running the candidate at m = 1, n = 1, k = 1",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def run(inputs, output): pass", "has no function matmul"),
        ("def matmul(a, b, alpha): return a @ b", "matmul takes alpha, which the inputs file does not state"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason):
        loaded(task_of(tmp_path, MATMUL, REFERENCE), text)


def test_one_output_of_two_cannot_be_filled_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes values but not every output"):
        loaded(task_of(tmp_path, TOP, LARGEST), "def largest(x, picked, values): ...")


def test_each_of_several_outputs_counts_and_integers_must_be_equal(tmp_path: Path) -> None:
    task, case = task_of(tmp_path, TOP, LARGEST), "n = 40, d = 100, k = 3"
    assert examined(task, loaded(task, LARGEST), tmp_path) == {}
    text = LARGEST.replace("return values, places,", "return values, places.flip(-1),")
    found = examined(task, loaded(task, text), tmp_path)
    assert found[case].startswith("places: 80 elements are wrong, the first at [0, 0]: ")
    found = examined(task, loaded(task, LARGEST.replace("[:, 0]\n", "[:, 0].fill_(0.5)\n")), tmp_path)
    assert found[case] == "at: it returned the same output for two different inputs: it is stale or constant"


FAILING = {
    "raises": ("def matmul(a, b): raise RuntimeError('no such luck')", "RuntimeError: no such luck"),
    "import": ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
    "shape": ("def matmul(a, b): return a", r"c: \[1, 2\] was returned instead of \[1, 1\]"),
    "number": ("def matmul(a, b): return 1.0", "c: float was returned instead of a tensor"),
    "no-function": ("def multiply(a, b): return a @ b", "has no function matmul"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_reference_that_fails_is_named(kind: str, tmp_path: Path) -> None:
    text, reason = FAILING[kind]
    task = task_of(tmp_path, MATMUL.replace("k = 1\n", "k = 2\n", 1), text)
    case = task.cases("cpu")[0]
    inputs = [torch.ones(slot.shape) for slot in task.inputs(case)]
    with pytest.raises(ReferenceFails, match=reason):
        task.reference(case, inputs)


@pytest.mark.timeout(300)
def test_a_reference_that_fails_says_nothing_of_the_candidate(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="RuntimeError: no such luck"):
        judged(task_of(tmp_path, MATMUL, FAILING["raises"][0]), tmp_path, REFERENCE)
    assert not list((tmp_path / "artifacts").glob("verdict-*"))


def interpreted(text: str) -> str:
    """A Triton module for Triton's interpreter, as tests/support/interpreted.py helps it."""
    support = (ROOT / "tests" / "support" / "interpreted.py").read_text()
    start = support.index("def help_the_interpreter")
    helped = support[start : support.index("\n\n\n", start)]
    head = 'import os\nos.environ["TRITON_INTERPRET"] = "1"\nimport numpy as np\nfrom typing import Any\n'
    return f"{head}from triton.runtime import interpreter\n{helped}\nhelp_the_interpreter()\n{text}"


@pytest.mark.timeout(600)
def test_the_attention_example_is_right_in_both_outputs(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    task = read_task(EXAMPLES / "attention_reference.py", EXAMPLES / "attention.toml")
    text = interpreted((EXAMPLES / "attention.py").read_text())
    verdict = judged(task, tmp_path, text, min_speedup=1e-6, timeout_s=300)
    assert verdict.status == "admitted", verdict.reason
    wrong = text.replace("most + tl.log(total)", "most + tl.log2(total)")
    assert wrong != text
    verdict = judged(task, tmp_path, wrong, timeout_s=300)
    assert (verdict.status, "lse: " in verdict.reason) == ("refused", True), verdict.reason


def norm_task() -> OwnTask:
    return read_task(EXAMPLES / "add_rms_norm_reference.py", EXAMPLES / "add_rms_norm.toml")


@pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not on PATH, below CUDA_HOME or /usr/local/cuda")
def test_the_cuda_example_compiles_and_holds_the_kernel_that_its_launch_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path))
    source = EXAMPLES / "add_rms_norm.cu"
    entry = read_launch(source, norm_task().stated).entry
    assert f".text.{entry}\0".encode() in cubin(source, "90a").read_bytes()


def on_the_host(task: OwnTask, source: Path, folder: Path) -> Run:
    """The CUDA source compiled by g++, launched with the grid, block and arguments that its first lines state."""
    launch = read_launch(source, task.stated)
    kinds = ["float" if text.startswith("float ") else "int" if " " in text else "void*" for text in launch.arguments]
    names = [f"a{number}" for number in range(len(kinds))]
    casts = [f"static_cast<__nv_bfloat16*>({name})" if kind == "void*" else name
             for name, kind in zip(names, kinds, strict=True)]  # fmt: skip
    parameters = ", ".join(f"{kind} {name}" for kind, name in zip(kinds, names, strict=True))
    code = (
        f'#include "device.h"\n{source.read_text()}\nextern "C" void run_on_host(int64_t grid, int block, {parameters})'
        f" {{ host::launch(grid, block, [=] {{ {launch.entry}({', '.join(casts)}); }}); }}\n"
    )
    (folder / "kernel.cpp").write_text(code)
    command = [find_compiler() or "g++", *FLAGS, "-shared", f"-I{SHIM}", "-o", str(folder / "kernel.so")]
    subprocess.run([*command, str(folder / "kernel.cpp")], check=True)
    function = ctypes.CDLL(str(folder / "kernel.so")).run_on_host

    def run(case: Case, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        settings = dict(case.settings)
        tensors = dict(zip([*task.stated.inputs, *task.stated.outputs], [*inputs, *outputs], strict=True))
        values = [kind(value) for value, kind in launch.values(settings, tensors)]
        sizes = task.stated.sizes_in(settings)
        grid, block = (launch.grid_of(sizes, "grid"), launch.shape_of(sizes, "block").block)
        assert isinstance(grid, tuple)
        assert isinstance(block, tuple)
        assert grid[1:] == block[1:] == (1, 1)
        function(ctypes.c_int64(grid[0]), ctypes.c_int(block[0]), *values)

    return run


@pytest.mark.skipif(find_compiler() is None, reason="g++ is not on PATH")
@pytest.mark.timeout(300)
def test_the_cuda_example_is_right_as_it_is_launched(tmp_path: Path) -> None:
    task = norm_task()

    def found(source: Path, folder: Path) -> dict[str, str]:
        folder.mkdir()
        return examined(task, on_the_host(task, source, folder), folder)

    source = EXAMPLES / "add_rms_norm.cu"
    assert found(source, tmp_path / "right") == {}
    wrong = tmp_path / "wrong.cu"
    wrong.write_text(source.read_text().replace("normed[start + i] =", "if (i + THREADS < d) normed[start + i] ="))
    assert "rows = 3, d = 1000, eps = 1e-06" in found(wrong, tmp_path / "wrong")


MALFORMED = {
    "unknown-size": (MATMUL.replace('["m", "k"]', '["m", "q"]'), "a: 'q' has no value: no size is called q"),
    "no-expression": (MATMUL.replace('["m", "k"]', '["m", "k ** 2"]'), "a: 'k \\*\\* 2' has no value"),
    "code": (MATMUL.replace('["m", "k"]', '["m", "__import__(1)"]'), "has no value"),
    "unknown-field": (MATMUL.replace('dtype = "fp32" }', 'dtype = "fp32", layout = "row" }', 1), "layout"),
    "dtype": (MATMUL.replace('"fp32"', '"fp8"', 1), "a.dtype is 'fp8', and must be one of: fp32, bf16"),
    "version": (MATMUL.replace("version = 1", "version = 2"), "version is 2"),
    "two-names": (MATMUL.replace("b = {", "m = {"), "two things are called m"),
    "case": (MATMUL + "[[cases]]\nq = 3\n", "a case sets q, which is no size or option"),
    "case-type": (MATMUL + '[[cases]]\nm = "3"\n', "a case sets m to '3'"),
    "empty": (MATMUL + "[[cases]]\nm = 0\n", "has no element in a case"),
    "toml": ("version = ", "cannot be read"),
    "tolerance": (MATMUL.replace("version = 1", "version = 1\ntolerance = 2.0"), "a tolerance is not"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_inputs_file_is_refused_by_place(kind: str, tmp_path: Path) -> None:
    text, reason = MALFORMED[kind]
    with pytest.raises(UsageError, match=reason):
        task_of(tmp_path, text, REFERENCE)


LAUNCH = (
    '// aisp-prof launch\n// entry = "f"\n// grid = ["cdiv(m, 8)"]\n// block = [8, 4]\n// arguments = ["a", "int k"]\n'
)
MISLAUNCHED = {
    "none": ("__global__ void f() {}", "does not say how it is launched"),
    "toml": (LAUNCH.replace("= [8", "[8"), "are no TOML"),
    "argument": (LAUNCH.replace('"a"', '"z"'), "argument 'z' is not understood"),
    "untyped-size": (LAUNCH.replace('"int k"', '"k"'), "argument 'k' is not understood"),
    "threads": (LAUNCH.replace("[8, 4]", '[8, "4 * n"]'), "a block has 1536 threads"),
    "extents": (LAUNCH.replace("[8, 4]", "[1, 1, 1, 1]"), "one to three extents"),
    "field": (LAUNCH + "// blocks = [1]\n", "no field is called 'blocks'"),
    "entry": (LAUNCH.replace('"f"', '"f<int>"'), "is no name of a kernel"),
}


@pytest.mark.parametrize("kind", MISLAUNCHED)
def test_a_launch_that_cannot_be_is_refused(kind: str, tmp_path: Path) -> None:
    text, reason = MISLAUNCHED[kind]
    (tmp_path / "one.cu").write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_launch(tmp_path / "one.cu", task_of(tmp_path, MATMUL, REFERENCE).stated)


def test_the_launch_is_what_its_lines_say(tmp_path: Path) -> None:
    (tmp_path / "one.cu").write_text(LAUNCH + '// shared = "4 * k"\n\n// no more of it = 7\n')
    stated = task_of(tmp_path, MATMUL, REFERENCE).stated
    launch = read_launch(tmp_path / "one.cu", stated)
    sizes = {"m": 33, "n": 65, "k": 17}
    assert launch.grid_of(sizes, "") == (5, 1, 1)
    assert (launch.shape_of(sizes, "").block, launch.shape_of(sizes, "").shared) == ((8, 4, 1), 68)
    a = torch.zeros(3)
    assert launch.values({"k": 17}, {"a": a}) == [(a.data_ptr(), ctypes.c_void_p), (17, ctypes.c_int32)]


def test_what_is_right_has_a_hash_of_its_own(tmp_path: Path) -> None:
    """A verdict counts for exactly one reference and one file of inputs; comments in the latter do not count."""

    def digest(inputs: str, reference: str) -> str:
        return task_of(tmp_path, inputs, reference).digest

    same = digest(MATMUL, REFERENCE)
    assert digest("# a comment\n" + MATMUL, REFERENCE) == same
    assert digest(MATMUL, REFERENCE + "\n") != same
    assert digest(MATMUL.replace("n = 65", "n = 64"), REFERENCE) != same


class Driver:
    """Interprocess handles as CUDA's driver keeps them: memory that is mapped cannot be opened again, and freed memory comes back
    under the handle that it had."""

    class CUipcMemHandle:
        reserved = b""

    class CUipcMem_flags:
        class CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS:
            value = 1

    def __init__(self) -> None:
        self.mapped: set[int] = set()

    def cuIpcOpenMemHandle(self, handle: Any, flag: int) -> tuple[int, int]:
        address = int.from_bytes(handle.reserved, "little")
        if address in self.mapped:
            return 208, 0
        self.mapped.add(address)
        return 0, address

    def cuIpcCloseMemHandle(self, address: int) -> tuple[int]:
        self.mapped.remove(address)
        return (0,)


def test_memory_that_comes_back_under_its_handle_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on an H200: memory of a third case of five tensors lay where a mapped one had been freed, and the driver answered 208."""
    driver, bindings = Driver(), ModuleType("cuda.bindings")
    bindings.driver = driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    handle = (4096).to_bytes(64, "little")
    blocks: dict[int, tuple[Any, Any]] = {}
    for number in (1, 2):
        memory = arena._GpuMemory.opened(handle, 64)
        blocks[number] = (None, memory)
        with pytest.raises(OSError, match="208"):
            arena._GpuMemory.opened(handle, 64)
        host._forget(blocks)
    assert (blocks, driver.mapped) == ({}, set())
