"""Compiles an emitted kernel for the host with g++ and runs it there: what it computes, without a GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from aisp_prof.kernels.emit.cuda import header, write
from aisp_prof.kernels.emit.spec import Spec

SHIM = Path(__file__).parent / "cuda_on_host"


FLAGS = ("-std=c++17", "-O0", "-fPIC", "-Wno-unknown-pragmas")


def find_compiler() -> str | None:
    return shutil.which("g++")


@cache
def _compiled_header(beside: Path) -> Path:
    """A folder with device.h as g++ keeps it: read for each kernel anew, its headers are half of the compiler's work."""
    folder = beside / "compiled-header"
    folder.mkdir()
    _compile("-x", "c++-header", str(SHIM / "device.h"), "-o", f"{folder}/device.h.gch")
    return folder


def _compile(*arguments: str) -> None:
    subprocess.run([find_compiler() or "g++", *FLAGS, *arguments], check=True, capture_output=True, text=True)


def host_run(spec: Spec, folder: Path) -> Callable[[Sequence[Any], Any], None]:
    """`run(inputs, output)` on CPU tensors: the emitted source, every thread of it, with g++ in nvcc's place."""
    launched, names = header(spec), [f"a{number}" for number in range(len(spec.arguments))]
    kinds = ["int64_t" if name in ("rows", "columns", "elements") else "void*" for name in spec.arguments]
    casts = [name if kind == "int64_t" else f"static_cast<{_type(spec, number)}*>({name})"
             for number, (name, kind) in enumerate(zip(names, kinds, strict=True))]  # fmt: skip
    parameters = ", ".join(f"{kind} {name}" for kind, name in zip(kinds, names, strict=True))
    source = folder / f"{spec.name}.cpp"
    source.write_text(
        f'#include "device.h"\n{write(spec)}\n'
        f'extern "C" void run_on_host(int64_t grid, {parameters}) {{\n'
        f"    host::launch(grid, {launched.block}, [=] {{ {launched.entry}({', '.join(casts)}); }});\n}}\n"
    )
    library = folder / f"{spec.name}.so"
    _compile(
        "-shared", "-Winvalid-pch", f"-I{_compiled_header(folder.parent)}", f"-I{SHIM}", "-o", str(library), str(source)
    )
    function = ctypes.CDLL(str(library)).run_on_host

    def run(inputs: Sequence[Any], output: Any) -> None:
        rows, columns = inputs[0].shape
        known = {one.name: ctypes.c_void_p(t.data_ptr()) for one, t in zip(spec.inputs, inputs, strict=True)}
        sizes = {"rows": rows, "columns": columns, "elements": rows * columns}
        known |= {"out": ctypes.c_void_p(output.data_ptr())}
        count = rows * columns if spec.flat else rows
        values = [known[name] if name in known else ctypes.c_int64(sizes[name]) for name in spec.arguments]
        function(ctypes.c_int64(-(-count // launched.per_block)), *values)

    return run


def _type(spec: Spec, number: int) -> str:
    return "const In" if number < len(spec.inputs) else "Out"
