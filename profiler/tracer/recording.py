"""Run a program with the tracer in it, and make an export of what its processes wrote."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import AispError, EnvironmentLacks
from .buffers import WHOLE, read_recording
from .library import CUPTI, CUPTI_PACKAGE, find_cupti, library
from .names import demangled
from .product import product_version, title
from .tables import write_trace

FOLDER = "AISP_TRACER_OUT"
INJECTIONS = ("CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH")
"""By these the driver and NVTX find the library; a child inherits them, and `torchrun` hands them to its ranks."""

_MENDS = (
    (
        "another client",
        "end it first: torch.profiler, nsys, ncu, a debugger, DCGM's profiling; or record with that one alone",
    ),
    ("was not found", CUPTI_PACKAGE),
    ("too old", CUPTI_PACKAGE),
    ("PRIVILEGES", "aisp-prof doctor says how the driver lets every user profile"),
)
"""What a refusal says, and the mend."""

_OTHERS = ("nsys", "ncu", "nv-nsight-cu-cli")
"""Profilers that, run inside a recording, take the tracer's place in their program (nsys), or do not start beside it (ncu)."""


@dataclass(frozen=True, slots=True)
class Tracer:
    """The library and, where this Python has one, the CUPTI for programs that bring none."""

    library: Path
    cupti: Path | None

    def command(self, folder: Path, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` so that its processes write into `folder`, which is made for it.

        Raises:
            EnvironmentLacks: it is another profiler's.
        """
        if (other := Path(command[0]).name) in _OTHERS:
            raise EnvironmentLacks(
                f"{other} is another client of CUPTI: the tracer would record nothing of its program",
                f"record with {other} alone, or without it",
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WHOLE).touch()
        set_to = {FOLDER: folder.absolute(), **dict.fromkeys(INJECTIONS, self.library.absolute())}
        if self.cupti:
            set_to[CUPTI] = self.cupti.absolute()
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in set_to.items()), *command]


def find_tracer(environment: Mapping[str, str] | None = None) -> Tracer:
    """The tracer, ready to run.

    Raises:
        EnvironmentLacks: it cannot be built; something else is to be injected already, as under nsys.
    """
    environment = os.environ if environment is None else environment
    if taken := next((name for name in INJECTIONS if environment.get(name)), None):
        raise EnvironmentLacks(
            f"another tracer is there already: {taken} is {environment[taken]}",
            f"unset {taken}, or do not run this under nsys",
        )
    demangled("_Z1fv")
    return Tracer(library(), find_cupti(environment))


def refusal(folder: Path) -> EnvironmentLacks | None:
    """Why a process refused to be recorded and ended itself, None where none did."""
    why = next((one.problem for one in read_recording(folder).processes if one.problem), "")
    if not why:
        return None
    return EnvironmentLacks(
        f"the tracer cannot record this program: {why}", next((m for w, m in _MENDS if w in why), "")
    )


def export(folder: Path, sqlite: Path) -> str:
    """Write an SQLite file of what was recorded; the name and version of what traced.

    Raises:
        EnvironmentLacks: nothing was recorded.
        AispError: there is no room for the file.
    """
    recording = read_recording(folder)
    if not recording.processes and not recording.missing:
        raise EnvironmentLacks(
            "nothing was recorded: no process used CUDA or NVTX, or none could load the tracer",
            "is it statically linked with NVTX 2, or set-user-ID? aisp-prof doctor says whether the tracer is ready",
        )
    part = sqlite.with_name(f".{sqlite.name}.part")
    part.unlink(missing_ok=True)
    try:
        write_trace(recording, part)
        part.replace(sqlite)
    except (OSError, sqlite3.Error) as error:
        raise AispError(f"{sqlite} cannot be written: {error}", "free space there, or name another file") from error
    finally:
        part.unlink(missing_ok=True)
    shutil.rmtree(folder)
    return title(product_version(recording.cupti))
