"""A second anchor for the GEMM ladder: the Hopper GEMM of quack-kernels (CuTe DSL), beside cuBLAS and the last rung (docs/gemm.md).

    python benchmarks/gemm_quack.py compile FOLDER     # quack-kernels and gcc; no GPU
    python benchmarks/gemm_quack.py run FOLDER         # a Hopper GPU and apache-tvm-ffi: what `compile` wrote, timed as gemm_ladder.py does

Each tile that quack tries by itself is a library of its own. All are held to fp64, then timed at 8192³ against cuBLAS; the fastest,
and the one that quack takes unasked, are timed at further shapes, the ladder's last rung right after each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess  # noqa: TID251
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

COOPERATIVE = ((256, 128), (256, 160), (256, 192), (256, 208), (128, 224), (128, 256))
PING_PONG = ((128, 128), (128, 160), (128, 192), (128, 208), (192, 128))
CLUSTERS = ((2, 1), (1, 2))
TOLERANCE = 4e-3
"""Rounding to bf16 leaves 1.7e-3."""
SWIZZLE = 8
"""quack's default: tiles of so many rows are done before the next column."""
SHAPES = ((4096, 4096, 4096), (6144, 6144, 6144), (8192, 8192, 8192), (4096, 4096, 8192), (8000, 5000, 3000))
_SET_ERROR = """#include <stdio.h>
extern void TVMFFIErrorSetRaisedFromCStr(char const* kind, char const* message);
void CuteDSLRT_TVMFFISetRaisedCudaError(int code) {
    char text[64];
    snprintf(text, sizeof text, "CUDA error %d", code);
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", text);
}
"""
"""The one function of the DSL's runtime library that a kernel calls: a library of 43 MB that need not come along."""


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the result that a block computes, and blocks of a cluster along them."""

    rows: int
    columns: int
    cluster: tuple[int, int]
    ping_pong: bool

    def __str__(self) -> str:
        way = "pingpong" if self.ping_pong else "cooperative"
        return f"{way}-{self.rows}x{self.columns}-{self.cluster[0]}x{self.cluster[1]}"


TILES = tuple(
    Tile(*size, cluster, ping_pong)
    for ping_pong, sizes in ((False, COOPERATIVE), (True, PING_PONG))
    for size in sizes
    for cluster in CLUSTERS
)
UNASKED = Tile(128, 192, (2, 1), True)
"""What quack takes for Hopper where it is not asked to tune."""


def compile_all(folder: Path) -> None:
    os.environ.update(CUTE_DSL_ARCH="sm_90a", QUACK_ARCH="sm_90", QUACK_CACHE_ENABLED="0")
    folder.mkdir(parents=True, exist_ok=True)
    for tile in TILES:
        library = _library(folder, tile, _object(folder, tile))
        print(f"{tile}: {library.stat().st_size} B", flush=True)


def _object(folder: Path, tile: Tile) -> Path:
    """A host function that launches the kernel, and the kernel's machine code: D = A·Bᵀ in bf16, rows contiguous, nothing added."""
    import cutlass
    from quack.gemm import _compile_gemm
    from quack.rounding import RoundingMode

    kind, path = cutlass.BFloat16, folder / f"{tile}.o"
    formats = (kind, kind, kind, None, "k", "k", "n", None)
    size = (
        (tile.rows, tile.columns),
        (*tile.cluster, 1),
        tile.ping_pong,
        True,
        False,
    )  # persistent, tiles by a fixed order
    epilogue = (None, None, 0, 0, 0, False, None)
    others = (False, False, False, False, False, (9, 0), RoundingMode.RN, 0, None)
    _compile_gemm.__wrapped__(*formats, *size, *epilogue, *others, batched=False).export_to_c(
        object_file_path=str(path), function_name="func"
    )
    return path


def _library(folder: Path, tile: Tile, path: Path) -> Path:
    """The object, linked with what it calls: of the DSL, of TVM's interface and of CUDA."""
    import nvidia_cutlass_dsl
    import tvm_ffi

    error, library = folder / "error.c", folder / f"{tile}.so"
    error.write_text(_SET_ERROR)
    dsl = next(Path(one) for one in nvidia_cutlass_dsl.__path__) / "cu13" / "lib" / "libcuda_dialect_runtime_static.a"
    tvm = Path(tvm_ffi.__file__).parent / "lib"
    cuda = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    found = [f"-L{tvm}", f"-L{cuda / 'lib64'}", f"-L{cuda / 'lib'}"]
    needed = ["-ltvm_ffi", "-lcudart_static", "-ldl", "-lrt", "-lpthread"]
    command = ["gcc", "-O1", "-s", "-fPIC", "-shared", "-Wl,--no-undefined", "-o", library, error, path, dsl]
    subprocess.run([*map(str, command), *found, *needed], check=True)
    return library


def product(folder: Path, tile: Tile) -> Any:
    """What enqueues d = a·bᵀ for torch's tensors on torch's current stream."""
    import torch
    import tvm_ffi

    call = tvm_ffi.load_module(str(folder / f"{tile}.so"))["func"]
    blocks = torch.cuda.get_device_properties(0).multi_processor_count
    order = (blocks // (tile.cluster[0] * tile.cluster[1]), None, SWIZZLE, None, None, None)

    def multiply(a: torch.Tensor, b: torch.Tensor, d: torch.Tensor) -> None:
        with tvm_ffi.use_torch_stream():
            call(a, b, d, None, (None,) * 12, order, None, None, None)

    return multiply


def check(multiply: Any) -> float:
    """‖d − ref‖ / ‖ref‖ against fp64 on ragged sizes, with NaN where nothing was written."""
    import torch
    from aisp_prof.kernels.gemm.ladder import reference  # noqa: TID251

    source = torch.Generator("cuda").manual_seed(20261130)
    m, n, k = 1000, 1336, 776
    a, b = (torch.randn(rows, k, generator=source, device="cuda").bfloat16() for rows in (m, n))
    d = torch.full((m, n), float("nan"), dtype=torch.bfloat16, device="cuda")
    multiply(a, b, d)
    wanted = reference(a, b)
    return float((d.double() - wanted).norm() / wanted.norm())


def run(folder: Path, rounds: int, output: Path | None) -> None:
    import torch
    from gemm_ladder import CUBE, NAMES, Measured, line, measure  # type: ignore[import-not-found]

    products = {tile: product(folder, tile) for tile in TILES}
    errors = {str(tile): check(multiply) for tile, multiply in products.items()}
    if wrong := {name: error for name, error in errors.items() if not error <= TOLERANCE}:
        sys.exit(f"wrong products: {wrong}")
    measured: list[Measured] = []

    def beside(name: str, shape: tuple[int, int, int], times: int, multiply: Any = None) -> Measured:
        measured.append(measure(name, shape, times, multiply))
        print(line(measured[-1]), flush=True)
        torch.cuda.empty_cache()
        return measured[-1]

    swept = {tile: beside(str(tile), CUBE, 1, multiply).ratio for tile, multiply in products.items()}
    best = max(swept, key=lambda tile: swept[tile])
    for shape in SHAPES:
        for tile in dict.fromkeys((best, UNASKED)):
            beside(str(tile), shape, rounds, products[tile])
            beside(NAMES[-1], shape, rounds)
    if output:
        device = torch.cuda.get_device_name(0), torch.version.cuda, date.today().isoformat()
        output.write_text(
            json.dumps({"device": device, "errors": errors, "measured": [asdict(one) for one in measured]})
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("compile", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=6, help="of A B B A")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args(arguments)
    if given.what == "compile":
        compile_all(given.folder)
    else:
        run(given.folder, given.rounds, given.output)


if __name__ == "__main__":
    main()
