"""Append and attend on a paged KV cache in Triton; imported only where they are launched."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import triton
import triton.language as tl

from ...errors import AispError
from ..driver.binding import binding
from ..driver.launch import Kernel, pointer
from ..driver.prepared import Prepared
from .paged_kv import Decode, Step

# Triton's compiler also evaluates annotations, and knows no types but its own: so the pointers bear none. The numbers that
# differ from launch to launch are not specialized: one compiled kernel serves them all.


@triton.jit(do_not_specialize=["step", "sequence", "position"])  # type: ignore[untyped-decorator]
def kv_append(  # type: ignore[no-untyped-def]
    k_cache,
    v_cache,
    table,
    k_new,
    v_new,
    step,
    sequence,
    position,
    SEQUENCES: tl.constexpr,
    PAGES: tl.constexpr,
    HEADS: tl.constexpr,
    PAGE: tl.constexpr,
    D: tl.constexpr,
):
    """Program (head, i) writes the head's key and value of the token of sequence + i at `position`; PAGES is the table's width."""
    head, at = tl.program_id(0), tl.arange(0, D)
    sequence += tl.program_id(1)
    row = tl.load(table + sequence * PAGES + position // PAGE).to(tl.int64)
    source = ((step * SEQUENCES + sequence) * HEADS + head) * D + at
    target = ((row * HEADS + head) * PAGE + position % PAGE) * D + at
    tl.store(k_cache + target, tl.load(k_new + source))
    tl.store(v_cache + target, tl.load(v_new + source))


@triton.jit(do_not_specialize=["step", "sequence", "position"])  # type: ignore[untyped-decorator]
def kv_attend(  # type: ignore[no-untyped-def]
    k_cache,
    v_cache,
    table,
    q,
    out,
    sums,
    extremes,
    arrivals,
    step,
    sequence,
    position,
    SEQUENCES: tl.constexpr,
    PAGES: tl.constexpr,
    HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    PAGE: tl.constexpr,
    D: tl.constexpr,
    SPLITS: tl.constexpr,
    SCALE: tl.constexpr,
):
    """Program (head, i) attends to its share of the pages up to `position`; the last of a head to arrive combines them.

    i is the split and, from SPLITS on, the next sequence's. It adds the shares in the order of the splits, whoever it is: the result is the same bit for bit. SCALE is
    log2(e) / sqrt(D), so that exponentials are powers of two. `sums` and `extremes` are fp32 scratch of a sequence's own,
    [SEQUENCES, HEADS, SPLITS, GROUP, D] and [SEQUENCES, HEADS, SPLITS, 2, 16]; `arrivals` int32 zeros, which it leaves zeros.
    """
    head, split = tl.program_id(0), tl.program_id(1) % SPLITS
    sequence += tl.program_id(1) // SPLITS
    rows, columns, slots = tl.arange(0, 16), tl.arange(0, D), tl.arange(0, PAGE)  # tl.dot takes 16 rows at least
    query = ((step * SEQUENCES + sequence) * HEADS + head) * GROUP * D + rows[:, None] * D + columns[None, :]
    inside = rows[:, None] < GROUP
    query_rows = tl.load(q + query, mask=inside, other=0.0)
    most, total = tl.full((16,), float("-inf"), tl.float32), tl.zeros((16,), tl.float32)
    mean = tl.zeros((16, D), tl.float32)
    share = tl.cdiv(position // PAGE + 1, SPLITS)
    first, last = split * share, tl.minimum((split + 1) * share, position // PAGE + 1)
    entries = table + sequence * PAGES
    row = tl.load(entries + tl.minimum(first, PAGES - 1)).to(tl.int64)
    for page in tl.range(first, last):
        tile = (row * HEADS + head) * PAGE * D + slots[:, None] * D + columns[None, :]
        there = page * PAGE + slots <= position
        k = tl.load(k_cache + tile, mask=there[:, None], other=0.0)
        v = tl.load(v_cache + tile, mask=there[:, None], other=0.0)  # what lies behind the last token may be NaN
        scores = tl.where(there[None, :], tl.dot(query_rows, tl.trans(k)) * SCALE, float("-inf"))
        higher = tl.maximum(most, tl.max(scores, 1))
        weights, faded = tl.exp2(scores - higher[:, None]), tl.exp2(most - higher)
        total = total * faded + tl.sum(weights, 1)
        mean = tl.dot(weights.to(tl.bfloat16), v, mean * faded[:, None])
        most = higher
        # one page ahead: a row loaded where it is needed would make Triton's pipeline fetch a single page at a time
        row = tl.load(entries + tl.minimum(page + 1, PAGES - 1)).to(tl.int64)
    own = ((sequence * HEADS + head) * SPLITS).to(tl.int64)
    part = rows[:, None] * D + columns[None, :]
    tl.store(sums + (own + split) * GROUP * D + part, mean, mask=inside)
    tl.store(extremes + (own + split) * 32 + rows, most)
    tl.store(extremes + (own + split) * 32 + 16 + rows, total)
    tl.debug_barrier()  # all threads have stored before one of them says so
    if tl.atomic_add(arrivals + sequence * HEADS + head, 1, sem="acq_rel", scope="gpu") == SPLITS - 1:
        most, total = tl.full((16,), float("-inf"), tl.float32), tl.zeros((16,), tl.float32)
        mean = tl.zeros((16, D), tl.float32)
        for other in tl.static_range(SPLITS):  # .cg: from the L2 cache, where the other programs wrote
            theirs = tl.load(extremes + (own + other) * 32 + rows, cache_modifier=".cg")
            amount = tl.load(extremes + (own + other) * 32 + 16 + rows, cache_modifier=".cg")
            added = tl.load(sums + (own + other) * GROUP * D + part, mask=inside, other=0.0, cache_modifier=".cg")
            higher = tl.maximum(most, theirs)
            faded, weight = tl.exp2(most - higher), tl.exp2(theirs - higher)
            total = total * faded + amount * weight
            mean = mean * faded[:, None] + added * weight[:, None]
            most = higher
        tl.store(out + query, (mean / total[:, None]).to(tl.bfloat16), mask=inside)
        tl.store(arrivals + sequence * HEADS + head, 0)


APPEND = {"num_warps": 1, "enable_fp_fusion": True}
OPTIONS = {"num_warps": 4, "num_stages": 4, "enable_fp_fusion": True}
"""Four stages of a page's keys and values keep 96 KiB on their way to each multiprocessor; not yet tuned on a GPU."""
_LOG2_E = 1.4426950408889634


class Scratch:
    """What attending programs leave for each other; all streams may share it, as every sequence has its own part."""

    def __init__(self, decode: Decode, splits: int) -> None:
        _, sequences, heads, group, dim = decode.q.shape
        self.splits = splits
        self.sums = decode.q.new_empty((sequences, heads, splits, group, dim)).float()
        self.extremes = decode.q.new_empty((sequences, heads, splits, 2, 16)).float()
        self.arrivals = decode.table.new_zeros((sequences, heads))

    def poison(self) -> None:
        """Fill with NaN what a launch must write before it is read."""
        self.sums.fill_(float("nan"))
        self.extremes.fill_(float("nan"))


def constants(decode: Decode) -> dict[str, int]:
    """The constants of both kernels."""
    _, heads, page, dim = decode.k_cache.shape
    sequences, pages = decode.table.shape
    return {"SEQUENCES": sequences, "PAGES": pages, "HEADS": heads, "PAGE": page, "D": dim}


def attend_constants(decode: Decode, splits: int) -> dict[str, Any]:
    """The constants of `kv_attend`."""
    group, dim = decode.q.shape[3:]
    return {**constants(decode), "GROUP": group, "SPLITS": splits, "SCALE": _LOG2_E * dim**-0.5}


def on_stream(decode: Decode, scratch: Scratch, stream: int, together: int = 1) -> tuple[Step, Step]:
    """Append and attend by prepared launches on the stream with this handle, each for `together` sequences from the one named.

    Raises:
        EnvironmentLacks: cuda-bindings is missing.
        AispError: Triton compiles a kernel that cannot be launched so.
    """
    heads, numbers = decode.q.shape[2], [ctypes.c_int32() for _ in range(3)]
    written = (decode.k_cache, decode.v_cache, decode.table, decode.k_new, decode.v_new)
    read = (decode.k_cache, decode.v_cache, decode.table, decode.q, decode.out)
    work = (scratch.sums, scratch.extremes, scratch.arrivals)
    append = _prepared(kv_append, (heads, together), written, numbers, constants(decode), APPEND, stream)
    grid, special = (heads, scratch.splits * together), attend_constants(decode, scratch.splits)
    attend = _prepared(kv_attend, grid, (*read, *work), numbers, special, OPTIONS, stream)

    def step_of(prepared: Prepared) -> Step:
        def run(step: int, sequence: int) -> None:
            for cell, value in zip(numbers, (step, sequence, decode.tokens + step), strict=True):
                cell.value = value
            prepared()

        return run

    return step_of(append), step_of(attend)


def _prepared(
    function: Any,
    grid: tuple[int, int],
    tensors: tuple[Any, ...],
    numbers: list[ctypes.c_int32],
    constant: dict[str, Any],
    options: dict[str, int],
    stream: int,
) -> Prepared:
    """Compile for these tensors, and lay the launch out. Behind them Triton takes addresses of scratch memory, which differ in
    number from version to version; these kernels use none."""
    compiled = function.warmup(*tensors, 0, 0, 0, **constant, **options, grid=(*grid, 1))
    if compiled.metadata.global_scratch_size:
        raise AispError(f"Triton wants scratch memory for {compiled.name}, which nobody gives it")
    compiled._init_handles()
    arguments: list[Any] = [*map(pointer, tensors), *numbers]
    more = parameters(compiled.asm["ptx"]) - len(arguments)
    arguments += [(None, ctypes.c_void_p)] * more
    kernel = Kernel(binding().CUfunction(compiled.function), compiled.name)
    return Prepared(kernel, grid, 32 * options["num_warps"], arguments, stream, compiled.metadata.shared)


def parameters(ptx: str) -> int:
    """How many parameters the entry of a PTX module has."""
    entry = re.search(r"\.entry\s+\w+\s*\((.*?)\)", ptx, re.DOTALL)
    return entry[1].count(".param") if entry else 0
