"""Writes a spec as CUDA C++: the same spec gives the same bytes.

A row kernel keeps its row in registers where it fits and pointers allow vectors, and otherwise reads it once per pass.
Sums are
fp32 in one fixed order: a thread's elements, then the warp by butterflies, then the warps by number.
"""

from __future__ import annotations

from .header import Header
from .lowering import stages, statements
from .plan import Plan, plan
from .rows import row_kernel
from .spec import Spec

TYPES = {"fp32": "float", "bf16": "__nv_bfloat16", "fp16": "__half"}
_FROM = {"fp32": "{}", "bf16": "__bfloat162float({})", "fp16": "__half2float({})"}
_TO = {"fp32": "{}", "bf16": "__float2bfloat16_rn({})", "fp16": "__float2half_rn({})"}
_HEADERS = {"bf16": "cuda_bf16.h", "fp16": "cuda_fp16.h"}

_COMBINE = {
    "sum": ("0.0f", "a + b"),
    "max": ("-INFINITY", "(a > b || a != a) ? a : b"),
    "min": ("INFINITY", "(a < b || a != a) ? a : b"),
    "absmax": ("0.0f", "fmaxf(a, fabsf(b))"),
}
"""The neutral element and the combination; a NaN stays in max and min, and in absmax the sum that follows has it."""


def header(spec: Spec) -> Header:
    """How the kernel that `write` makes is launched."""
    laid = plan(spec)
    return Header(spec.digest, spec.entry, laid.threads, laid.per_block, spec.arguments)


def write(spec: Spec) -> str:
    """The whole source of the kernel; it starts with the header that `candidate.read_candidate` reads."""
    laid = plan(spec)
    body = _flat(spec, laid) if spec.flat else row_kernel(spec, laid, signature(spec))
    return "\n".join([header(spec).line(), *_preamble(spec, laid), *body, ""])


def signature(spec: Spec) -> str:
    """The kernel's parameters as C++."""
    kind, out = TYPES[spec.dtype], TYPES[spec.output]
    pointers = [f"const {kind}* __restrict__ in_{one.name}" for one in spec.inputs]
    sizes = [f"int64_t {name}" for name in spec.arguments[len(spec.inputs) + 1 :]]
    return ", ".join([*pointers, f"{out}* __restrict__ out", *sizes])


def describe(spec: Spec) -> list[str]:
    """The chain, one step per line, as shown in comments and prompts."""
    inputs = ", ".join(f"{one.name} ({one.layout})" for one in spec.inputs)
    lines = [
        f"inputs: {inputs}, {spec.dtype}; output: {'one value a row' if spec.reduces else 'as ' + spec.inputs[0].name}"
    ]
    lines[0] += f", {spec.output}; arithmetic in fp32"
    for step in spec.steps:
        values = " ".join(f"{name}={value:g}" for name, value in step.parameters)
        lines.append(" ".join(filter(None, (step.op, step.operand, values))))
    return lines


def _preamble(spec: Spec, laid: Plan) -> list[str]:
    includes = sorted({_HEADERS[name] for name in (spec.dtype, spec.output) if name in _HEADERS})
    combines = sorted({one.fold.combine for one in stages(spec) if one.fold})
    return [
        f"// {spec.name}: written by aisp-prof from a spec; to change it, change the spec.",
        *(f"//   {line}" for line in describe(spec)),
        "",
        "#include <cstdint>",
        "#include <cmath>",
        *(f"#include <{name}>" for name in includes),
        "",
        f"using In = {TYPES[spec.dtype]};",
        f"using Out = {TYPES[spec.output]};",
        "",
        "// what one instruction loads or, up to 16 bytes at a time, stores",
        "template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T at[N]; };",
        "",
        f"__device__ __forceinline__ float wide(In value) {{ return {_FROM[spec.dtype].format('value')}; }}",
        f"__device__ __forceinline__ Out narrow(float value) {{ return {_TO[spec.output].format('value')}; }}",
        "",
        "__device__ __forceinline__ bool aligned(const void* pointer) {",
        "    return (reinterpret_cast<uintptr_t>(pointer) & 15) == 0;",
        "}",
        "",
        "template <int N> __device__ __forceinline__ void load(const In* from, float (&to)[N]) {",
        "    const Pack<In, N> pack = *reinterpret_cast<const Pack<In, N>*>(from);",
        "#pragma unroll",
        "    for (int e = 0; e < N; ++e) to[e] = wide(pack.at[e]);",
        "}",
        "",
        "template <int N> __device__ __forceinline__ void store(Out* to, const float (&from)[N]) {",
        "    Pack<Out, N> pack;",
        "#pragma unroll",
        "    for (int e = 0; e < N; ++e) pack.at[e] = narrow(from[e]);",
        "    *reinterpret_cast<Pack<Out, N>*>(to) = pack;",
        "}",
        *(line for name in combines for line in _combiner(name, laid)),
    ]


def _combiner(name: str, laid: Plan) -> list[str]:
    neutral, code = _COMBINE[name]
    warps = laid.row_threads // 32
    lines = [
        "",
        f"struct {name} {{",
        f"    static __device__ __forceinline__ float neutral() {{ return {neutral}; }}",
        f"    static __device__ __forceinline__ float of(float a, float b) {{ return {code}; }}",
        "};",
    ]
    if name == "absmax":
        lines += [
            "",
            "// 2^-e for the exponent e of a magnitude, e kept from `least` to 126 so that both are ordinary numbers",
            "__device__ __forceinline__ float inverse_power(float magnitude, int least) {",
            "    const int exponent = int(__float_as_uint(magnitude) >> 23) - 127;",
            "    return __uint_as_float(uint32_t(127 - min(max(exponent, least), 126)) << 23);",
            "}",
        ]
    return [*lines, *_warp_combine(name), *(_block_combine(name, warps) if laid.per_block == 1 else [])]


def _warp_combine(name: str) -> list[str]:
    return [
        "",
        f"__device__ __forceinline__ float warp_{name}(float own) {{",
        "#pragma unroll",
        "    for (int distance = 16; distance; distance /= 2)",
        f"        own = {name}::of(own, __shfl_xor_sync(0xffffffffu, own, distance));",
        "    return own;",
        "}",
    ]


def _block_combine(name: str, warps: int) -> list[str]:
    return [
        "",
        "// in every thread of the block; `partial` is used for this once",
        f"__device__ __forceinline__ float block_{name}(float own, float* partial) {{",
        f"    own = warp_{name}(own);",
        "    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = own;",
        "    __syncthreads();",
        "    float all = partial[0];",
        f"    for (int warp = 1; warp < {warps}; ++warp) all = {name}::of(all, partial[warp]);",
        "    return all;",
        "}",
    ]


def _flat(spec: Spec, laid: Plan) -> list[str]:
    (stage,) = stages(spec)
    pointers = [f"in_{one.name}" for one in spec.inputs]
    inputs = list(dict.fromkeys([spec.inputs[0].name, *(name for _, name in stage.maps if name)]))
    loads = [f"        load(in_{name} + first, x_{name});" for name in inputs]
    scalars = [f"            const float x_{name} = wide(in_{name}[i]);" for name in inputs]
    return [
        "",
        f'extern "C" __global__ void __launch_bounds__({laid.threads})',
        f"{spec.entry}({signature(spec)}) {{",
        f"    const int64_t first = (int64_t(blockIdx.x) * {laid.threads} + threadIdx.x) * {laid.width};",
        f"    const bool vectors = {' && '.join(f'aligned({name})' for name in [*pointers, 'out'])};",
        f"    if (vectors && first + {laid.width} <= elements) {{",
        f"        float {', '.join(f'x_{name}[{laid.width}]' for name in inputs)}, y[{laid.width}];",
        *loads,
        "#pragma unroll",
        f"        for (int e = 0; e < {laid.width}; ++e) {{",
        f"            float v = x_{inputs[0]}[e];",
        *(f"            {line}" for line in statements(stage, {name: f"x_{name}[e]" for name in inputs})),
        "            y[e] = v;",
        "        }",
        "        store(out + first, y);",
        "    } else {",
        f"        for (int64_t i = first; i < elements && i < first + {laid.width}; ++i) {{",
        *scalars,
        f"            float v = x_{inputs[0]};",
        *(f"            {line}" for line in statements(stage, {name: f"x_{name}" for name in inputs})),
        "            out[i] = narrow(v);",
        "        }",
        "    }",
        "}",
    ]
