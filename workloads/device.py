"""What a pair needs of a device, on CUDA and on a CPU, so that CI runs the code that a GPU runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from ..errors import EnvironmentLacks

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["cuda", "cpu"]

_CYCLES_PER_NS = 2
"""No GPU's SMs run faster than about 2 GHz; on a slower one the hold lasts longer, which does no harm."""


class Event(Protocol):
    """A point on a stream, as `torch.cuda.Event` is."""

    def record(self, stream: Any) -> None: ...
    def synchronize(self) -> None: ...


class Stream(Protocol):
    """A queue of work, as `torch.cuda.Stream` is."""

    def wait_event(self, event: Any) -> None: ...


class Device(Protocol):
    """Streams, events and memory of one device; `kind` is also PyTorch's name for it."""

    @property
    def kind(self) -> Kind: ...

    def stream(self, priority: int = 0) -> Stream:
        """A new stream that is not the default one and does not wait for it; a negative `priority` goes before others."""
        ...

    def on(self, stream: Stream) -> AbstractContextManager[Any]:
        """Inside the block, copies and kernels are enqueued on `stream`."""
        ...

    def event(self) -> Event:
        """A new event that can be timed."""
        ...

    def hold(self, stream: Stream, ns: int) -> None:
        """Stall `stream` for about `ns` nanoseconds, without blocking the host."""
        ...

    def graph(self, stream: Stream, work: Callable[[], None]) -> Callable[[], None]:
        """A function that replays `work` on `stream` as one CUDA graph; without graphs, one that runs `work` on `stream`.

        `work` enqueues on the current stream and on streams forked from it and joined again; it runs once before it is
        captured, since libraries then choose kernels and allocate memory, which they must not under capture.
        """
        ...

    def elapsed_ns(self, start: Event, end: Event) -> int:
        """Nanoseconds from `start` to `end`, both recorded and reached."""
        ...

    def synchronize(self) -> None:
        """Wait for all work of the device."""
        ...

    def empty(self, n: int) -> Tensor:
        """n uninitialised fp32 elements on the device."""
        ...

    def pinned(self, n: int) -> Tensor:
        """n uninitialised fp32 elements in host memory that the copy engines reach without staging."""
        ...

    def normal(self, n: int, seed: int) -> Tensor:
        """n fp32 elements of N(0, 1) on the device, made there from `seed`."""
        ...

    def release(self) -> None:
        """Return memory that is reserved but not in use. The caller must synchronise."""
        ...


class CudaDevice:
    """The current CUDA device through PyTorch."""

    kind: Kind = "cuda"

    def stream(self, priority: int = 0) -> Stream:
        import torch

        return cast(Stream, torch.cuda.Stream(priority=priority))

    def on(self, stream: Stream) -> AbstractContextManager[Any]:
        import torch

        return cast(AbstractContextManager[Any], torch.cuda.stream(stream))

    def event(self) -> Event:
        import torch

        return cast(Event, torch.cuda.Event(enable_timing=True))

    def hold(self, stream: Stream, ns: int) -> None:
        import torch

        with self.on(stream):
            torch.cuda._sleep(ns * _CYCLES_PER_NS)

    def graph(self, stream: Stream, work: Callable[[], None]) -> Callable[[], None]:
        import torch

        with self.on(stream):
            work()
        self.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=cast(torch.cuda.Stream, stream)):
            work()

        def replay() -> None:
            with self.on(stream):
                graph.replay()

        return replay

    def elapsed_ns(self, start: Any, end: Any) -> int:
        milliseconds: float = start.elapsed_time(end)  # resolution about 0.5 µs
        return round(milliseconds * 1e6)

    def synchronize(self) -> None:
        import torch

        torch.cuda.synchronize()

    def empty(self, n: int) -> Tensor:
        return _empty(n, device="cuda")

    def pinned(self, n: int) -> Tensor:
        return _empty(n, pin_memory=True)

    def normal(self, n: int, seed: int) -> Tensor:
        return _normal(n, seed, self.kind)

    def release(self) -> None:
        import torch

        torch.cuda.empty_cache()


class _HostStream:
    """Work runs at once and in order, so there is nothing to wait for."""

    def wait_event(self, event: Event) -> None:
        return


class _HostEvent:
    def __init__(self) -> None:
        self.at_ns = 0

    def record(self, stream: Stream) -> None:
        self.at_ns = perf_counter_ns()

    def synchronize(self) -> None:
        return


class CpuDevice:
    """The host itself: every stream is the one thread of execution, and events read the host's clock."""

    kind: Kind = "cpu"

    def stream(self, priority: int = 0) -> Stream:
        return _HostStream()

    def on(self, stream: Stream) -> AbstractContextManager[Any]:
        return nullcontext()

    def event(self) -> Event:
        return _HostEvent()

    def hold(self, stream: Stream, ns: int) -> None:
        return  # work runs immediately: there is nothing to queue it behind

    def graph(self, stream: Stream, work: Callable[[], None]) -> Callable[[], None]:
        return work

    def elapsed_ns(self, start: Any, end: Any) -> int:
        return int(end.at_ns - start.at_ns)

    def synchronize(self) -> None:
        return

    def empty(self, n: int) -> Tensor:
        return _empty(n)

    def pinned(self, n: int) -> Tensor:
        return _empty(n)

    def normal(self, n: int, seed: int) -> Tensor:
        return _normal(n, seed, self.kind)

    def release(self) -> None:
        return  # nothing is reserved


def open_device(kind: Kind) -> Device:
    """The device to run on.

    Raises:
        EnvironmentLacks: PyTorch is not installed, or `cuda` is asked for and there is none.
    """
    try:
        import torch
    except ImportError as error:
        raise EnvironmentLacks("PyTorch is not installed", "pip install 'aisp-prof[gpu]'") from error
    if kind == "cpu":
        return CpuDevice()
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise EnvironmentLacks(
            f"no CUDA device is available to PyTorch {torch.__version__} ({built})",
            "run on a machine with an NVIDIA GPU, its driver and a CUDA build of PyTorch; "
            "to check the pair's code without one, add --device cpu",
        )
    return CudaDevice()


@contextmanager
def enough_memory() -> Iterator[None]:
    """Raises EnvironmentLacks if an allocation inside fails, on the GPU or of pinned memory."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        first_line = str(error).splitlines()[0]
        raise EnvironmentLacks(f"out of memory: {first_line}", "free the GPU, or add --size small") from error


def _empty(n: int, **where: Any) -> Tensor:
    import torch

    return torch.empty(n, dtype=torch.float32, **where)


def _normal(n: int, seed: int, kind: Kind) -> Tensor:
    import torch

    source = torch.Generator(device=kind).manual_seed(seed)
    return torch.randn(n, dtype=torch.float32, generator=source, device=kind)
