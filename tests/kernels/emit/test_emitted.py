"""Emitted kernels: what they compute, run on the host thread by thread, and their machine code, built by nvcc."""

from __future__ import annotations

import itertools
import os
from contextlib import closing
from pathlib import Path

import pytest
import torch
from aisp_prof.kernels.building.contract import Code, Contract, disassemble, find_tools
from aisp_prof.kernels.building.nvcc import cubin, find_nvcc
from aisp_prof.kernels.emit.candidate import read_candidate
from aisp_prof.kernels.emit.cuda import header, write
from aisp_prof.kernels.emit.header import Header
from aisp_prof.kernels.emit.ops import OPS
from aisp_prof.kernels.emit.plan import plan
from aisp_prof.kernels.emit.spec import DTYPES, SHIPPED, Spec, parse_spec, read_spec
from aisp_prof.workloads.device import CpuDevice, CudaDevice
from aisp_prof.workloads.gate.buffers import Plain
from aisp_prof.workloads.gate.cases import cases
from aisp_prof.workloads.gate.checking import Bench, Examination
from aisp_prof.workloads.gate.contender import Local
from aisp_prof.workloads.gate.job import Results
from aisp_prof.workloads.gate.spec_task import SpecTask, one_output
from host_kernels import find_compiler, host_run

builds = pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not on PATH, below CUDA_HOME or /usr/local/cuda")
disassembles = pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")
compiles = pytest.mark.skipif(find_compiler() is None, reason="g++ is not on PATH")

GIVEN = {"scale": "by = -1.5", "shift": "by = 0.25", "clamp": "min = -0.5\nmax = 1.25"}


def spec_of(
    steps: list[str], *, dtype: str = "fp32", shape: str = "[37, 96]", inputs: str = "", more: str = ""
) -> Spec:
    """A spec of one step a line, `op` or `op input`."""
    chain = ""
    for step in steps:
        op, _, operand = step.partition(" ")
        chain += f'[[steps]]\nop = "{op}"\n{GIVEN.get(op, "")}\n' + (f'input = "{operand}"\n' if operand else "")
    head = f'version = 1\nname = "one"\ndtype = "{dtype}"\nshape = {shape}\n{more}\n[inputs]\nx = "tensor"\n{inputs}\n'
    return parse_spec(head + chain, "test")


def single(op: str, dtype: str) -> Spec:
    """The op alone, its second input a tensor of its own."""
    if OPS[op].operand:
        return spec_of([f"{op} b"], dtype=dtype, inputs='b = "tensor"')
    return spec_of([op], dtype=dtype)


FUSIONS = {
    "flat": spec_of(["scale", "add b", "silu"], dtype="fp16", shape="[5003]", inputs='b = "tensor"'),
    "norm-activation": spec_of(
        ["layernorm", "mul g", "add b", "gelu"], dtype="bf16", shape="[9, 2048]", inputs='g = "column"\nb = "column"'
    ),
    "residual-norm": spec_of(
        ["add b", "rmsnorm", "mul g", "add b"], dtype="fp16", shape="[9, 1000]", inputs='g = "column"\nb = "tensor"'
    ),
    "norm-after-norm": spec_of(["softmax", "l2norm", "relu"], shape="[9, 300]"),
    "row-operands": spec_of(["sub m", "exp", "sum", "log", "add m"], shape="[9, 130]", inputs='m = "row"'),
    "wide-output": spec_of(["square", "norm"], dtype="bf16", shape="[9, 4096]", more='output = "fp32"'),
    "wider-store": spec_of(["l2norm"], dtype="bf16", shape="[9, 256]", more='output = "fp32"'),
    "narrow-store": spec_of(["l2norm"], dtype="fp32", shape="[9, 256]", more='output = "bf16"'),
    "odd-columns": spec_of(["softmax"], dtype="bf16", shape="[9, 1023]"),
    "beyond-registers": spec_of(["softmax"], dtype="fp32", shape="[3, 40000]"),
    "extreme": spec_of(["l2norm"], dtype="fp32", shape="[9, 512]", more="magnitudes = [1e-30, 1e37]"),
}


def wrong_cases(spec: Spec, folder: Path) -> dict[str, str]:
    """The gate's own cases, run on the host: what is wrong with any."""
    run = host_run(spec, folder)
    chosen = cases(spec, brief=True)
    assert any(case.values == "non-finite" for case in chosen)
    with closing(Results(folder / "results")) as results:
        bench = Bench(SpecTask(spec), CpuDevice(), Local(one_output(run)), results, Plain("cpu"))
        found = {str(case): Examination(bench, case, guards=True).result(11) for case in chosen}
    return {case: words for case, words in found.items() if words}


def built(spec: Spec, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Code:
    """The kernel as nvcc makes it of the emitted bytes, for Hopper; kept where $AISP_CACHE says, to be carried to a GPU."""
    monkeypatch.setenv("AISP_CACHE", os.environ.get("AISP_CACHE", str(folder / "cache")))
    source = folder / "test.cu"
    source.write_text(write(spec))
    return disassemble(cubin(source, "90a"))[spec.entry]


@compiles
@pytest.mark.parametrize(("op", "dtype"), [*zip(OPS, itertools.cycle(["fp32", "bf16", "fp16"]), strict=False)])
def test_every_op_alone_is_right_at_every_edge(op: str, dtype: str, tmp_path: Path) -> None:
    assert wrong_cases(single(op, dtype), tmp_path) == {}


@compiles
@pytest.mark.parametrize("name", FUSIONS)
def test_fusions_are_right_at_every_edge(name: str, tmp_path: Path) -> None:
    assert wrong_cases(FUSIONS[name], tmp_path) == {}


@compiles
def test_a_wrong_kernel_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(["relu"])
    monkeypatch.setattr("host_kernels.write", lambda one: write(one).replace("v < 0.0f ? 0.0f : v", "fmaxf(v, 0.0f)"))
    assert list(wrong_cases(spec, tmp_path)) == [
        "7 x 96, with NaN, infinities and zeros",
        "7 x 37, with NaN, infinities and zeros",
    ]


def test_the_same_spec_gives_the_same_bytes() -> None:
    again = parse_spec((SHIPPED / "l2norm.toml").read_text().replace("# ", "#  "), "again")
    assert write(again) == write(read_spec("l2norm"))
    assert write(spec_of(["relu"])) != write(spec_of(["silu"]))


@pytest.mark.parametrize("name", ["l2norm", "residual_silu"])
def test_the_header_says_how_to_launch(name: str) -> None:
    spec = read_spec(name)
    found = Header.read(write(spec), name)
    assert found == header(spec)
    assert found.spec == spec.digest
    assert found.arguments == spec.arguments


@pytest.mark.parametrize(
    ("shape", "threads", "per_block", "width", "vectors"),
    [
        ("[9, 4096]", 128, 1, 8, 4),
        ("[9, 32768]", 1024, 1, 8, 4),
        ("[9, 40000]", 1024, 1, 8, 4),
        ("[9, 1024]", 128, 4, 8, 4),
        ("[9, 1023]", 128, 4, 1, 32),
        ("[9, 1028]", 64, 1, 4, 5),
    ],
)
def test_the_plan(shape: str, threads: int, per_block: int, width: int, vectors: int) -> None:
    found = plan(spec_of(["softmax"], dtype="bf16", shape=shape))
    assert (found.threads, found.per_block, found.width, found.vectors) == (threads, per_block, width, vectors)


SHIPPED_NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
ELEMENTWISE = [f"{name} b" if op.operand else name for name, op in OPS.items() if op.shape == "element"]
EVERY = {
    **FUSIONS,
    **{f"all-{dtype}": spec_of(ELEMENTWISE, dtype=dtype, inputs='b = "tensor"') for dtype in DTYPES},
}


@builds
@disassembles
@pytest.mark.parametrize("name", EVERY)
def test_nvcc_takes_it_unedited_and_it_needs_no_stack(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = built(EVERY[name], tmp_path, monkeypatch)
    # sine and cosine of large numbers keep a table of their reduction on the stack, in a path of its own
    if not {"sin", "cos"} & {step.op for step in EVERY[name].steps}:
        assert Contract("", {}, (), (r"\bLDL\b", r"\bSTL\b"), 128).broken(code) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernels cannot run here")
@pytest.mark.parametrize("name", [*EVERY, *SHIPPED_NAMES])
def test_it_is_right_on_a_gpu_at_every_edge(name: str, tmp_path: Path) -> None:
    spec = EVERY[name] if name in EVERY else read_spec(name)
    source = tmp_path / "test.cu"
    source.write_text(write(spec))
    run = read_candidate(source, spec).run
    with closing(Results(tmp_path / "results")) as results:
        bench = Bench(SpecTask(spec), CudaDevice(), Local(one_output(run)), results, Plain("cuda"))
        found = {str(case): Examination(bench, case, guards=True).result(11) for case in cases(spec)}
    assert {case: words for case, words in found.items() if words} == {}


CONTRACTS = {
    # the row once, the gain once: four vectors of eight elements each; the rest are the paths for other shapes
    "l2norm": Contract(
        "aisp_l2norm", {}, (r"\bLDG\.E\.128", r"\bSTG\.E\.128", "SHFL"), (r"\bLDL\b", r"\bSTL\b", "ATOM"), 64
    ),
    "layernorm_gelu": Contract(
        "aisp_layernorm_gelu", {}, (r"\bLDG\.E\.128", r"\bSTG\.E\.128", "SHFL"), (r"\bLDL\b", "ATOM"), 72
    ),
    "residual_silu": Contract(
        "aisp_residual_silu", {r"\bLDG\.E\.128": 2, r"\bSTG\.E\.128": 1}, (), (r"\bLDL\b", "SHFL"), 40
    ),
    "row_energy": Contract(
        "aisp_row_energy", {r"\bSTG\.E\.128": 0}, (r"\bLDG\.E\.128", "SHFL"), (r"\bLDL\b", "ATOM"), 64
    ),
}


def test_every_shipped_spec_has_a_contract() -> None:
    assert sorted(CONTRACTS) == SHIPPED_NAMES


@builds
@disassembles
@pytest.mark.parametrize("name", CONTRACTS)
def test_the_contract_of_a_shipped_spec_is_kept(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CONTRACTS[name].broken(built(read_spec(name), tmp_path, monkeypatch)) == []
