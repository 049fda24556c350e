"""What a kernel promises about its machine code, and the check of a cubin against that; needs cuobjdump, but no GPU."""

from __future__ import annotations

import re
import shutil
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ...errors import AispError, EnvironmentLacks
from ...machine.child import ask

_FUNCTION = re.compile(r"^\s*Function : (\S+)$", re.MULTILINE)
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]*)", re.MULTILINE)
_USAGE = re.compile(r"Function (\S+):\s*\n\s*REG:(\d+) STACK:(\d+) SHARED:(\d+)")

TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Contract:
    """Regular expressions of instructions: exactly how many must match, which must occur, which must not; and the most
    registers.

    No kernel of our own may use the stack: that would be spilled registers, or arrays indexed at run time, in slow local memory;
    `stack` is what a library's kernel is known to use.
    `static_shared` bytes of shared memory are exact where they are promised; what a launch adds is in its `Shape`.
    """

    kernel: str
    exactly: Mapping[str, int]
    must: tuple[str, ...]
    must_not: tuple[str, ...]
    max_registers: int
    static_shared: int | None = None
    stack: int = 0

    def broken(self, code: Code) -> list[str]:
        """The promises that `code` breaks, in words; empty if it keeps them all."""
        counts = {pattern: len(re.findall(pattern, code.sass)) for pattern in self.exactly}
        breaches = [
            f"{counts[p]} instructions match {p}, {n} promised" for p, n in self.exactly.items() if counts[p] != n
        ]
        breaches += [f"no instruction matches {pattern}" for pattern in self.must if not re.search(pattern, code.sass)]
        breaches += [f"an instruction matches {pattern}" for pattern in self.must_not if re.search(pattern, code.sass)]
        if code.registers > self.max_registers:
            breaches.append(f"{code.registers} registers, {self.max_registers} promised")
        if code.stack_bytes > self.stack:
            breaches.append(f"{code.stack_bytes} bytes of stack")
        if self.static_shared is not None and code.shared_bytes != self.static_shared:
            breaches.append(f"{code.shared_bytes} bytes of static shared memory, {self.static_shared} promised")
        return breaches


@dataclass(frozen=True, slots=True)
class Code:
    """A kernel as compiled: `sass` is its disassembly, one instruction per line, without the bits that encode it."""

    sass: str
    registers: int
    stack_bytes: int
    shared_bytes: int = 0

    @property
    def instructions(self) -> dict[str, int]:
        """How often each opcode stands in it, with its modifiers ("HGMMA.64x256x16.F32.BF16": 4), by name."""
        return dict(sorted(Counter(_INSTRUCTION.findall(self.sass)).items()))


def disassemble(cubin: Path) -> Mapping[str, Code]:
    """Every kernel of a cubin by name.

    Raises:
        EnvironmentLacks: cuobjdump or nvdisasm is missing.
        AispError: they cannot read it.
    """
    usage = {name: map(int, numbers) for name, *numbers in _USAGE.findall(_cuobjdump("-res-usage", cubin))}
    return {name: Code(sass, *usage[name]) for name, sass in _functions(_cuobjdump("-sass", cubin))}


def find_tools() -> str | None:
    """The folder of cuobjdump and nvdisasm: PATH, else NVIDIA's wheels for CUDA 13, else Triton's; None where there is none."""
    site = Path(sysconfig.get_path("purelib"))
    on_path = shutil.which("cuobjdump")
    folders = [Path(on_path).parent] if on_path else []
    folders += [site / "nvidia" / "cu13" / "bin", *_of_triton()]
    return next((str(f) for f in folders if all((f / n).exists() for n in ("cuobjdump", "nvdisasm"))), None)


def _of_triton() -> list[Path]:
    """Where Triton's wheel has them, wherever it is installed; it is not imported for that."""
    spec = find_spec("triton")
    return [] if spec is None or spec.origin is None else [Path(spec.origin).parent / "backends" / "nvidia" / "bin"]


def _functions(listing: str) -> Iterator[tuple[str, str]]:
    pieces = _FUNCTION.split(listing)[1:]
    yield from zip(pieces[::2], map(_without_encodings, pieces[1::2]), strict=True)


def _without_encodings(sass: str) -> str:
    """They are three quarters of a listing, of 7 MB for the longest kernels, and each pattern of a contract searches it all."""
    kept = (line.partition("/* 0x")[0].rstrip() for line in sass.split("\n"))
    return "\n".join(line for line in kept if line) + "\n"


def _cuobjdump(what: str, cubin: Path) -> str:
    tools = find_tools()
    if tools is None:
        raise EnvironmentLacks(
            "cuobjdump and nvdisasm are not there", "pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm"
        )
    # cuobjdump starts nvdisasm by name
    done = ask([f"{tools}/cuobjdump", what, str(cubin)], TIMEOUT_S, {"PATH": tools})
    if done.code:
        raise AispError(f"cuobjdump refuses {cubin}:\n{(done.err or done.out).strip()}")
    return done.out
