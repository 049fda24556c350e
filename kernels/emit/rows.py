"""The two bodies of a row kernel, as CUDA C++: the row held in registers, and the row read once a pass."""

from __future__ import annotations

import re

from .lowering import Stage, stages, statements
from .ops import Fold
from .plan import Plan
from .spec import Spec


def row_kernel(spec: Spec, laid: Plan, signature: str) -> list[str]:
    """The bodies, and the kernel that chooses one of them by columns and alignment."""
    chain = stages(spec)
    pointers = [f"in_{one.name}" for one in spec.inputs]
    conditions = [f"columns % {laid.width} == 0"]
    conditions += [f"aligned(in_{one.name})" for one in spec.inputs if one.layout != "row"]
    conditions += [] if spec.reduces else ["aligned(out)"]
    arguments = ", ".join([*pointers, "out", "row", "columns", "thread", "partial"])
    return [
        *_streamed(spec, laid, chain),
        *_held(spec, laid, chain),
        "",
        f'extern "C" __global__ void __launch_bounds__({laid.threads})',
        f"{spec.entry}({signature}) {{",
        *_indent(_prologue(laid, chain)),
        f"    const bool vectors = {' && '.join(conditions)};",
        f"    if (vectors && columns <= {laid.capacity}) held({arguments});",
        *([f"    else if (vectors) streamed<{laid.width}>({arguments});"] if laid.width > 1 else []),
        f"    else streamed<1>({arguments});",
        "}",
    ]


def _prologue(laid: Plan, chain: list[Stage]) -> list[str]:
    """Which row this thread works on, and as which of the row's threads."""
    if laid.per_block > 1:
        return [
            f"const int64_t row = int64_t(blockIdx.x) * {laid.per_block} + threadIdx.x / 32;",
            "if (row >= rows) return;  // a whole warp",
            "const int thread = threadIdx.x % 32;",
            "float* const partial = nullptr;  // one warp needs no shared memory",
        ]
    folds = max(1, len(chain) - 1)
    return [
        f"__shared__ float partial[{folds * (laid.threads // 32)}];",
        "const int64_t row = blockIdx.x;",
        "const int thread = threadIdx.x;",
    ]


def _held(spec: Spec, laid: Plan, chain: list[Stage]) -> list[str]:
    lines = [f"float x[{laid.vectors}][{laid.width}];", *_each_vector(laid, ["load(row_in + i, x[k]);"])]
    for number, stage in enumerate(chain):
        work = _work(spec, stage, number, str(laid.width), "x[k]")
        lines += _stage(spec, laid, stage, number, _each_vector(laid, work))
    return [*_head(spec, "", "held"), *_indent(lines), "}"]


def _streamed(spec: Spec, laid: Plan, chain: list[Stage]) -> list[str]:
    lines: list[str] = []
    for number, stage in enumerate(chain):
        work = ["float x[W];", "load(row_in + i, x);"]
        for earlier in range(number):
            work += _work(spec, Stage(chain[earlier].maps, None), earlier, "W", "x", store=False)
        work += _work(spec, stage, number, "W", "x")
        loop = f"for (int64_t i = int64_t(thread) * W; i < columns; i += {laid.row_threads} * W) {{"
        lines += _stage(spec, laid, stage, number, [loop, *_indent(work), "}"])
    return [*_head(spec, "template <int W>\n", "streamed"), *_indent(lines), "}"]


def _head(spec: Spec, template: str, name: str) -> list[str]:
    pointers = ", ".join([*(f"const In* __restrict__ in_{one.name}" for one in spec.inputs), "Out* __restrict__ out"])
    scalars = [
        f"    const float r_{one.name} = wide(in_{one.name}[row]);" for one in spec.inputs if one.layout == "row"
    ]
    return [
        "",
        f"{template}__device__ __forceinline__ void {name}({pointers},",
        "    int64_t row, int64_t columns, int thread, float* partial) {",
        f"    const In* const row_in = in_{spec.inputs[0].name} + row * columns;",
        *scalars,
    ]


def _stage(spec: Spec, laid: Plan, stage: Stage, number: int, loop: list[str]) -> list[str]:
    """The loop over the row and what comes of it; for the row's one value, its maps and its store."""
    if stage.fold:
        return [f"float own{number} = {stage.fold.combine}::neutral();", *loop, *_combined(laid, stage.fold, number)]
    if not spec.reduces:
        return loop
    by_row = {one.name: f"r_{one.name}" for one in spec.inputs}
    return ["float v = 0.0f;", *statements(stage, by_row), "if (thread == 0) out[row] = narrow(v);"]


def _combined(laid: Plan, fold: Fold, number: int) -> list[str]:
    warps = laid.row_threads // 32
    call = f"warp_{fold.combine}(own{number})"
    if laid.per_block == 1:
        call = f"block_{fold.combine}(own{number}, partial + {number * warps})"
    scalars = [f"const float {name} = {_in_row(code, number)};" for name, code in fold.then]
    return [f"const float total{number} = {call};", *scalars]


def _in_row(code: str, number: int) -> str:
    return re.sub(r"\bcolumns\b", "float(columns)", re.sub(r"\btotal\b", f"total{number}", code))


def _work(spec: Spec, stage: Stage, number: int, width: str, x: str, *, store: bool = True) -> list[str]:
    """One vector's elements `x` through a stage: operands loaded, maps applied, terms folded; stored by the last stage."""
    if stage.fold is None and spec.reduces and store:
        return []
    operands = {one.name: f"w{number}_{one.name}[e]" for one in spec.inputs}
    operands |= {one.name: f"r_{one.name}" for one in spec.inputs if one.layout == "row"}
    bases = {one.name: f"in_{one.name}" + (" + row * columns" if one.layout == "tensor" else "") for one in spec.inputs}
    loads: list[str] = []
    for name in dict.fromkeys(name for _, name in stage.maps if name and not operands[name].startswith("r_")):
        loads += [f"float w{number}_{name}[{width}];", f"load({bases[name]} + i, w{number}_{name});"]
    inner = [f"float v = {x}[e];", *statements(stage, operands)]
    inner += [f"{x}[e] = v;"] if stage.maps else []
    inner += [f"own{number} = {stage.fold.combine}::of(own{number}, {stage.fold.term});"] if stage.fold else []
    each = ["#pragma unroll", f"for (int e = 0; e < {width}; ++e) {{", *_indent(inner), "}"]
    stored = [f"store(out + row * columns + i, {x});"] if stage.fold is None and store else []
    return [*loads, *(each if stage.maps or stage.fold else []), *stored]


def _each_vector(laid: Plan, work: list[str]) -> list[str]:
    """A loop over the vectors that a thread holds; those beyond the row's end are left alone."""
    if not work:
        return []
    index = f"const int64_t i = int64_t(k * {laid.row_threads} + thread) * {laid.width};"
    inner = [index, "if (i < columns) {", *_indent(work), "}"]
    return ["#pragma unroll", f"for (int k = 0; k < {laid.vectors}; ++k) {{", *_indent(inner), "}"]


def _indent(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
