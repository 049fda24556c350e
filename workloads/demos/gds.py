"""A file read in chunks into device memory while products of the chunk before run, through cuFile where there is one."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

from ...errors import AispError, EnvironmentLacks
from ...kernels.driver import cufile
from ..device import Device
from .demo import Demo, positive

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16 << 20
"""Bytes: a bf16 matrix of `ROWS` rows."""
COLUMNS = 4096
ROWS = CHUNK // 2 // COLUMNS

Read = Callable[[int, "Tensor"], None]
"""Chunk number and where it goes: 16 MiB of the device; returns when they are there."""


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """The time of reading alone, of products alone, and of both double-buffered; every chunk is compared with the file first."""
    chunks = max(asked.mib * (1 << 20) // CHUNK, 2)
    with _file(device, asked.folder, chunks) as path, _reader(device, path) as (how, read):
        work = Work(device, read, chunks)
        work.compare(path)
        reading = work.reading()
        products = max(round(reading / max(work.products(1), 1)), 1) if asked.products is None else asked.products
        computing, both = work.products(products), work.both(products)
    hidden = (reading + computing - both) / min(reading, computing)
    size = chunks * CHUNK
    return [
        f"{size >> 20} MiB in chunks of {CHUNK >> 20}, {products} products of {ROWS} x {COLUMNS} by {COLUMNS} x {COLUMNS} in bf16 a chunk",
        f"mode      {how}",
        f"reading   {reading / 1e6:9.1f} ms  {size / reading:.2f} GB/s, from the page cache where the file is in it",
        f"products  {computing / 1e6:9.1f} ms",
        f"both      {both / 1e6:9.1f} ms, double-buffered",
        f"overlap   {hidden:.2f} of the shorter",
    ]


class Work:
    """Two buffers on the device, of which one is read into while products of the other run."""

    def __init__(self, device: Device, read: Read, chunks: int) -> None:
        import torch

        self._device, self._read, self._chunks = device, read, chunks
        self._stream = device.stream()
        self._buffers = [torch.empty(ROWS, COLUMNS, dtype=torch.bfloat16, device=device.kind) for _ in range(2)]
        self._weights = device.normal(COLUMNS * COLUMNS, 5).view(COLUMNS, COLUMNS).bfloat16()
        self._result = torch.empty_like(self._buffers[0])
        device.synchronize()

    def compare(self, path: Path) -> None:
        """Every chunk against what the file holds.

        Raises:
            AispError: one differs.
        """
        import torch

        buffer = self._buffers[0].view(torch.uint8).view(-1)
        with path.open("rb") as file:
            for chunk in range(self._chunks):
                buffer.zero_()
                self._device.synchronize()
                self._read(chunk, self._buffers[0])
                expected = torch.frombuffer(bytearray(file.read(CHUNK)), dtype=torch.uint8)
                if not torch.equal(buffer.cpu(), expected):
                    raise AispError(f"chunk {chunk} on the device is not what {path} holds", "report it: docs/demos.md")

    def reading(self) -> int:
        begun = perf_counter_ns()
        for chunk in range(self._chunks):
            self._read(chunk, self._buffers[chunk % 2])
        return perf_counter_ns() - begun

    def products(self, each: int) -> int:
        self._multiply(0, each)
        self._device.synchronize()
        begun = perf_counter_ns()
        for chunk in range(self._chunks):
            self._multiply(chunk, each)
            self._device.synchronize()
        return perf_counter_ns() - begun

    def both(self, each: int) -> int:
        """Chunk n + 1 is read by another thread while products of chunk n run."""
        with ThreadPoolExecutor(1) as pool:
            begun = perf_counter_ns()
            coming = pool.submit(self._read, 0, self._buffers[0])
            for chunk in range(self._chunks):
                coming.result()
                done = self._device.event()
                self._multiply(chunk, each)
                done.record(self._stream)
                if chunk + 1 < self._chunks:
                    coming = pool.submit(self._read, chunk + 1, self._buffers[(chunk + 1) % 2])
                done.synchronize()
            return perf_counter_ns() - begun

    def _multiply(self, chunk: int, each: int) -> None:
        import torch

        with self._device.on(self._stream):
            for _ in range(each):
                torch.mm(self._buffers[chunk % 2], self._weights, out=self._result)


@contextmanager
def _file(device: Device, folder: Path | None, chunks: int) -> Iterator[Path]:
    """A file of bf16 numbers, each chunk another; gone afterwards."""
    import torch

    with tempfile.TemporaryDirectory(dir=folder, prefix="aisp-gds-") as made:
        path = Path(made) / "chunks.bin"
        with path.open("wb") as file:
            for chunk in range(chunks):
                numbers = device.normal(ROWS * COLUMNS, 100 + chunk).bfloat16().cpu()
                file.write(numbers.view(torch.uint8).numpy().tobytes())
        yield path


@contextmanager
def _reader(device: Device, path: Path) -> Iterator[tuple[str, Read]]:
    """How chunks are read, in words, and what reads them: cuFile, or without one a plain read and a copy."""
    with ExitStack() as stack:
        try:
            if device.kind == "cpu":
                raise EnvironmentLacks("no GPU", "run on a machine with one")
            file = stack.enter_context(cufile.opened(path))
        except EnvironmentLacks as lack:
            read = stack.enter_context(_plainly(device, path))
            yield f"compat, by read and copy without cuFile: {lack}", read
        else:
            yield f"{cufile.mode()}, through cuFile", lambda chunk, to: file.read(to.data_ptr(), CHUNK, chunk * CHUNK)


@contextmanager
def _plainly(device: Device, path: Path) -> Iterator[Read]:
    import torch

    staging = device.pinned(CHUNK // 4).view(torch.uint8)
    with path.open("rb", buffering=0) as file:

        def read(chunk: int, to: Tensor) -> None:
            file.seek(chunk * CHUNK)
            file.readinto(staging.numpy())
            to.view(torch.uint8).view(-1).copy_(staging)

        yield read


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mib", type=positive, default=2048, metavar="N", help="MiB of the file (2048)")
    parser.add_argument(
        "--products", type=positive, default=None, metavar="N", help="a chunk (as long as reading takes)"
    )
    parser.add_argument(
        "--folder", type=Path, default=None, metavar="DIR", help="where the file is made (the system's)"
    )


DEMO = Demo(
    "ch10-gds",
    "A file read in chunks through cuFile while products of the chunk before run; says gds or compat.",
    ("cuda",),
    _options,
    measure,
)
