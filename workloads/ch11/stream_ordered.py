"""Temporaries for kernels on eight streams: allocated and freed at once, in the order of their stream, and inside a graph."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...declaration import Declaration
from ...errors import UsageError
from ...kernels.driver.memory import Immediate, Memory, Pool, fill_nan
from ...kernels.elementwise import affine_chain
from ..device import Device, Stream
from ..pair import Pair, Sizes
from .branches import Branches

if TYPE_CHECKING:
    from torch import Tensor

_KIB = 1 << 10
_FP32_BYTES = 4

# y -> 1 - y and z -> 33/32 - z, by an odd number of steps each: the second step undoes the first, so that a kernel may last as long
# as it shall. A round gives y -> y + 1/32: no rounding error grows, no output forgets its input, and a round too few shows.
THERE, BACK = (-1.0, 1.0), (-1.0, 1.03125)


class Temporaries:
    """`streams` streams, each with `kib` KiB of fp32 that `rounds` times go through a temporary: allocate it, write it from
    the stream's data by one kernel of `steps` steps, write it back by another, free it. The host takes the streams in turn.

    The optimized variant is what `pool` enqueues, captured once: its allocations become nodes of the graph, which owns their memory.

    Raises:
        UsageError: `steps` is even.
    """

    def __init__(self, device: Device, sizes: Sizes) -> None:
        if sizes["steps"] % 2 == 0:
            raise UsageError(f"{sizes['steps']} steps undo each other", "choose an odd number")
        self._device, self._rounds, self._steps = device, sizes["rounds"], sizes["steps"]
        self._streams = [device.stream() for _ in range(sizes["streams"])]
        self._n = sizes["kib"] * _KIB // _FP32_BYTES
        self._in, self._out = (device.empty(self._n * len(self._streams)) for _ in range(2))
        self._parts = list(zip(self._in.chunk(len(self._streams)), self._out.chunk(len(self._streams)), strict=True))
        self.memories = _memories(device)
        self._lanes = [
            Lane(_handle(stream), self._n * _FP32_BYTES, _work(device, stream, *parts, self._steps))
            for stream, parts in zip(self._streams, self._parts, strict=True)
        ]
        branches = Branches(device, self._streams)
        self._replay = device.graph(self._streams[0], branches.around(lambda: self._with(self.memories["pool"])))

    @property
    def streams(self) -> Sequence[Stream]:
        return self._streams

    @property
    def output(self) -> Tensor:
        """The fp32 elements of all streams on the device, stream by stream."""
        return self._out

    def inputs(self, seed: int) -> None:
        self._in.copy_(self._device.normal(self._in.numel(), seed))

    def poison(self) -> None:
        """The temporaries too: what a later allocation gets is then, where the allocator hands memory out again, NaN. The graph's
        own memory nobody can reach; what it held came of other inputs."""
        self._out.fill_(float("nan"))
        for memory in self.memories.values():
            taken = [(memory.take(lane.size, lane.stream), lane.stream) for lane in self._lanes]
            for address, stream in taken:
                _fill_nan(self._device, address, self._n, stream)
            for address, stream in taken:
                memory.give(address, stream)

    def run(self, variant: str) -> None:
        if variant == "optimized":
            self._replay()
        else:
            self._with(self.memories[variant])

    def _with(self, memory: Memory) -> None:
        for round_ in range(self._rounds):
            for lane in self._lanes:
                lane.round(memory, round_ == 0)

    def reference(self) -> Tensor:
        y = self._in
        for _ in range(self._rounds):
            for factor, shift in (THERE, BACK):
                y = affine_chain.reference(y, factor, shift, 1)  # all but one of the steps undo each other
        return y

    def exact(self) -> Tensor:
        """The same kernels over all streams' data at once, with one temporary that was there before."""
        y, temporary = self._in.clone(), self._in.new_empty(self._in.shape)
        for _ in range(self._rounds):
            affine_chain.fused(y, temporary, *THERE, self._steps)
            affine_chain.fused(temporary, y, *BACK, self._steps)
        return y


class Lane:
    """One stream's rounds. `work(address, first)` enqueues both kernels with the temporary at that address."""

    def __init__(self, stream: int, size: int, work: Callable[[int, bool], None]) -> None:
        self.stream, self.size, self._work = stream, size, work

    def round(self, memory: Memory, first: bool) -> None:
        """Allocate, two kernels, free."""
        address = memory.take(self.size, self.stream)
        self._work(address, first)
        memory.give(address, self.stream)


class HostMemory:
    """The host's allocator in the place of both, so that a CPU runs the same rounds."""

    def __init__(self) -> None:
        self._taken: dict[int, Tensor] = {}

    def take(self, size: int, stream: int) -> int:
        import torch

        block = torch.empty(size, dtype=torch.uint8)
        address = int(block.data_ptr())
        self._taken[address] = block
        return address

    def give(self, address: int, stream: int) -> None:
        del self._taken[address]


def _memories(device: Device) -> Mapping[str, Memory]:
    """The allocators of the variants that have one; the two share nothing."""
    if device.kind == "cuda":
        return {"baseline": Immediate(), "pool": Pool()}
    return {"baseline": HostMemory(), "pool": HostMemory()}


def _handle(stream: Any) -> int:
    return int(getattr(stream, "cuda_stream", 0))


def _work(device: Device, stream: Stream, x: Tensor, y: Tensor, steps: int) -> Callable[[int, bool], None]:
    return _on_cuda(_handle(stream), x, y, steps) if device.kind == "cuda" else _on_host(x, y, steps)


def _on_cuda(stream: int, x: Tensor, y: Tensor, steps: int) -> Callable[[int, bool], None]:
    """Three prepared launches, of which a round makes two: x or y to the temporary, and back to y."""
    from ...kernels.driver.launch import fp32, int32, int64, kernel, pointer
    from ...kernels.driver.prepared import Prepared

    chain = kernel(affine_chain.SOURCE, "affine_chain")
    temporary, n = ctypes.c_void_p(), x.numel()
    blocks = -(-n // affine_chain.ELEMENTS_PER_BLOCK)

    def prepared(source: Any, target: Any, factor: float, shift: float) -> Prepared:
        arguments = (source, target, int64(n), fp32(factor), fp32(shift), int32(steps))
        return Prepared(chain, (blocks, 1), affine_chain.THREADS, arguments, stream)

    begin, there = (prepared(pointer(source), temporary, *THERE) for source in (x, y))
    back = prepared(temporary, pointer(y), *BACK)

    def work(address: int, first: bool) -> None:
        temporary.value = address
        (begin if first else there)()
        back()

    return work


def _on_host(x: Tensor, y: Tensor, steps: int) -> Callable[[int, bool], None]:
    def work(address: int, first: bool) -> None:
        temporary = _at(address, x.numel())
        affine_chain.fused(x if first else y, temporary, *THERE, steps)
        affine_chain.fused(temporary, y, *BACK, steps)

    return work


def _at(address: int, n: int) -> Tensor:
    """The n fp32 elements at an address of the host."""
    import torch

    return torch.frombuffer((ctypes.c_float * n).from_address(address), dtype=torch.float32)


def _fill_nan(device: Device, address: int, n: int, stream: int) -> None:
    if device.kind == "cuda":
        fill_nan(address, n, stream)
    else:
        _at(address, n).fill_(float("nan"))


# 64 KiB are 16 blocks: eight kernels at once have 128 of an H200's 132 multiprocessors. 8191 steps of four chains a thread are 65,536
# issue cycles of a block, 33 µs at 2 GHz, so that a round's two kernels last longer than the four calls that submit it.
_FULL = {"streams": 8, "rounds": 16, "kib": 64, "steps": 8191}

PAIR = Pair(
    Declaration(
        chapter="ch11",
        name="stream_ordered",
        topic={"en": "Allocating in the order of a stream", "ko": "스트림 순서에 따른 메모리 할당"},
        title={
            "en": "Temporaries on eight streams: cuMemAlloc, a stream-ordered pool, a graph with its own allocations",
            "ko": "스트림 여덟 개의 임시 버퍼: cuMemAlloc, 스트림 순서 풀, 할당을 품은 그래프",
        },
        sentence={
            "en": "With cuMemFree waiting for the device, no two kernels ever overlap; with allocations in stream order, captured in one "
            "CUDA graph, the eight streams do, and the same kernels finish {speedup}.",
            "ko": "cuMemFree가 장치를 기다리면 커널 두 개도 겹치지 않습니다. 스트림 순서로 할당하고 CUDA 그래프 하나로 캡처하면 스트림 여덟 개가 "
            "겹쳐 실행되어 같은 커널이 {speedup} 끝납니다.",
        },
        compares={
            "en": "Every variant runs the same kernels on the same eight streams, in the same order, and allocates and frees a 64 KiB "
            "temporary around every two of them. The baseline calls cuMemAlloc and cuMemFree, which waits for the whole device. The "
            "step calls cuMemAllocFromPoolAsync and cuMemFreeAsync on the stream, from a pool that keeps its memory: streams "
            "overlap as far as the host submits fast enough. The optimized variant is the same calls, captured once as a CUDA graph: "
            "allocating and freeing are nodes of it, and one launch submits everything.",
            "ko": "모든 변형은 같은 스트림 여덟 개에서 같은 커널을 같은 순서로 실행하고, 커널 두 개마다 64 KiB 임시 버퍼를 할당하고 해제합니다. 기준 변형은 "
            "cuMemAlloc과 장치 전체를 기다리는 cuMemFree를 호출합니다. 중간 단계는 메모리를 반환하지 않는 풀에서 cuMemAllocFromPoolAsync와 "
            "cuMemFreeAsync를 스트림 순서대로 호출하며, 스트림은 호스트가 제출하는 속도만큼 겹칩니다. 최적화 변형은 같은 호출을 CUDA 그래프 하나로 "
            "캡처한 것입니다. 할당과 해제가 그래프의 노드가 되고, 실행 한 번으로 모두 제출합니다.",
        },
        variants={
            "baseline": {
                "en": "cuMemAlloc and cuMemFree: freeing waits for the device",
                "ko": "cuMemAlloc과 cuMemFree: 해제할 때 장치를 기다림",
            },
            "pool": {
                "en": "cuMemAllocFromPoolAsync and cuMemFreeAsync, call by call",
                "ko": "cuMemAllocFromPoolAsync와 cuMemFreeAsync를 하나씩 호출",
            },
            "optimized": {
                "en": "The same calls as one CUDA graph with memory nodes",
                "ko": "같은 호출을 메모리 노드가 있는 CUDA 그래프 하나로",
            },
        },
        claims=(
            # by formula: 256 kernels of 33 µs are 8.4 ms one after the other, besides the host's calls between them; on eight streams
            # 1.1 ms. The calls of a round took 22 µs from Python (H200, 2026-11-21), so the pool can have three rounds under way
            "speedup >= 3",
            "speedup(baseline, pool) >= 1.5",
            "speedup(pool, optimized) >= 1.2",
            # that streams overlap at all is what order by streams is for: half of the time in which anything runs at least
            "optimized.overlap_ratio >= 0.50",
            "optimized.concurrency >= 3",
            "baseline.max_in_flight <= 1",
            "baseline.calls(cuMemAlloc) >= 1",
            "pool.calls(cuMemAllocFromPoolAsync) == baseline.calls(cuMemAlloc)",
            "pool.calls(cuMemFreeAsync) == baseline.calls(cuMemFree)",
            "pool.calls(cuMemAlloc) == 0",
            "pool.calls(cuMemFree) == 0",
            "optimized.calls(cuMem*) == 0",
            "optimized.launch_calls_per_iteration == 1",
            # the harness waits once; in the baseline cuMemFree waits as well, which is no synchronising call by name
            "baseline.syncs_per_iteration == 1",
            "pool.syncs_per_iteration == 1",
            "optimized.syncs_per_iteration == 1",
            "pool.kernels_per_iteration == baseline.kernels_per_iteration",
            "optimized.kernels_per_iteration == baseline.kernels_per_iteration",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"streams": 8, "rounds": 3, "kib": 4, "steps": 3}},
        # 32 kernels round by at most 2^-24 of 1 - y each, twice; one round too few on one stream is off by 0.005
        tolerance=2e-6,
        bitwise=True,
        perturbation_band=0.10,
        queued=False,  # allocating is the subject, and cuMemFree waits
        needs=("cuda",),
    ),
    build=Temporaries,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
