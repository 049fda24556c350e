"""Triton kernels on a machine without a GPU: compiled to Hopper's machine code, or run by Triton's own interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aisp_prof
import pytest
from aisp_prof.kernels.building.contract import Code, disassemble, find_tools

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
TRITON = tuple(map(int, version("triton").split(".")[:2])) if find_spec("triton") else (0, 0)
"""Major and minor. What a compiler makes of a kernel beyond what the kernel asks for is told of the one that the tests pin."""
of_3_6 = pytest.mark.skipif(TRITON != (3, 6), reason="says what Triton 3.6 makes of four specialized warps")
since_3_6 = pytest.mark.skipif(TRITON < (3, 6), reason="older ones take other registers and scratch addresses")
needs_tools = pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")


def on_hopper(
    kernel: Any,
    types: Mapping[str, str],
    constants: Mapping[str, int],
    folder: Path,
    unaligned: tuple[str, ...] = (),
    num_warps: int = 8,
) -> Code:
    """`kernel` as sm_90 machine code; all arguments but those named are taken for multiples of 16, as Triton finds at a launch."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {name: "constexpr" if name in constants else types[name] for name in kernel.arg_names}
    aligned = {
        (at,): [["tt.divisibility", 16]]
        for at, (name, kind) in enumerate(signature.items())
        if kind.startswith(("*", "i")) and name not in unaligned
    }
    source = ASTSource(kernel, signature=signature, constexprs=dict(constants), attrs=aligned)
    compiled = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps, "enable_fp_fusion": True}
    )
    path = folder / "kernel.cubin"
    path.write_bytes(compiled.asm["cubin"])
    return disassemble(path)[kernel.__name__]


def interpreted(code: str) -> str:
    """What `code` prints in a child process in which Triton interprets its kernels on CPU tensors.

    Raises:
        AssertionError: it failed.
    """
    root = Path(aisp_prof.__file__).parent / ".pythonpath"
    env = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
