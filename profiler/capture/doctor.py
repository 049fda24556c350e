"""Say what this machine has and lacks for every part of aisp-prof, and how to get what is missing."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import AispError, EnvironmentLacks
from ...machine.child import ask
from ...machine.tools import ANSWER_S, of_cuda
from ..tracer.library import CUPTI_PACKAGE
from ..tracer.recording import find_tracer
from .conditions import open_gpu
from .ncu import find_ncu
from .nsys import INSTALL, find_nsys


class Status(StrEnum):
    OK = "ok"
    LIMITED = "limited"  # there, but something does not work or is not known
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked for: what was found ("" when nothing), what it is for, and the mend ("" when ok)."""

    name: str
    status: Status
    found: str
    purpose: str
    mend: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def diagnose() -> list[Check]:
    """Look for everything that some command of aisp-prof needs, without a network.

    Like a capture it may put the nsys of Nsight Compute, and the tracer's library, into the cache folder; nothing else is written.
    """
    return [check() for check in _CHECKS] + [_package(*row) for row in _PACKAGES]


def _check(name: str, purpose: str, found: str, mend: str, limited: bool = False) -> Check:
    if found and not limited:
        return Check(name, Status.OK, found, purpose, "")
    return Check(name, Status.LIMITED if found else Status.MISSING, found, purpose, mend)


def _nsys() -> Check:
    purpose = "captures traces"
    try:
        nsys = find_nsys()
    except EnvironmentLacks as error:
        found = "" if str(error).endswith("none was found") else str(error)
        return _check("nsys", purpose, found, error.mend or INSTALL, limited=True)
    return _check("nsys", purpose, f"{nsys.version_text} at {nsys.executable}", "")


def _tracer() -> Check:
    purpose = "captures traces where there is no nsys"
    try:
        ready = find_tracer()
    except EnvironmentLacks as error:
        return _check("tracer", purpose, "", error.mend)
    lacking = "the library, without CUPTI: a program must bring its own, as PyTorch does"
    found = f"the library, and CUPTI at {ready.cupti}" if ready.cupti else lacking
    return _check("tracer", purpose, found, CUPTI_PACKAGE, limited=ready.cupti is None)


def _ncu() -> Check:
    purpose = "counts FLOPs and DRAM bytes"
    try:
        found = find_ncu()
    except EnvironmentLacks as error:
        said = "" if str(error).endswith("none was found") else str(error)
        return _check("ncu", purpose, said, error.mend, limited=True)
    return _check("ncu", purpose, f"{found.version_text} at {found.executable}", "")


def _nvcc() -> Check:
    mend = "install the package cuda-nvcc-13-0 (or another version) of NVIDIA's CUDA repository"
    return _check("nvcc", "builds the CUDA C++ kernels", _of_cuda("nvcc", r"release \S+ V(\S+)"), mend)


def _sanitizer() -> Check:
    mend = "install the package cuda-sanitizer-13-0 (or another version) of NVIDIA's CUDA repository"
    found = _of_cuda("compute-sanitizer", r"Version (\S+)")
    return _check("compute-sanitizer", "checks the CUDA C++ kernels for races and bad accesses", found, mend)


def _of_cuda(name: str, version: str) -> str:
    """ "VERSION at PATH" of one of CUDA's tools, "" when there is none."""
    path = of_cuda(name)
    if path is None:
        return ""
    said = re.search(version, _output([path, "--version"]))
    return f"{said[1] if said else 'unknown version'} at {path}"


def _output(command: list[str]) -> str:
    try:
        answer = ask(command, ANSWER_S)
    except AispError:
        return ""
    return answer.out if answer.code == 0 else ""


def _gpu() -> Check:
    purpose = "runs the pairs that are captured; reading and reporting need none"
    mend = "install NVIDIA's driver (Ubuntu: ubuntu-drivers install); in a container: docker run --gpus all"
    with open_gpu() as gpu:
        if gpu is not None:
            facts = gpu.facts()
            return _check("NVIDIA GPU", purpose, f"{facts['name']}, driver {facts['driver']}", "")
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return _check("NVIDIA GPU", purpose, _output(query).partition("\n")[0].replace(", ", ", driver "), mend)


DRIVER_PARAMETERS = Path("/proc/driver/nvidia/params")


def _counters() -> Check:
    purpose = "lets ncu read hardware counters"
    mend = (
        "as root: echo 'options nvidia NVreg_RestrictProfilingToAdminUsers=0' > /etc/modprobe.d/nvidia-profiling.conf, "
        "then reboot"
    )
    try:
        restricted = re.search(r"RmProfilingAdminOnly:\s*(\d)", DRIVER_PARAMETERS.read_text())
    except OSError:
        return _check("GPU counters", purpose, "", "install NVIDIA's driver first")
    if restricted is None or (restricted[1] == "1" and os.geteuid() != 0):
        found = "not known: the driver does not say" if restricted is None else "only root may profile"
        return _check("GPU counters", purpose, found, mend, limited=True)
    return _check(
        "GPU counters", purpose, "open to every user" if restricted[1] == "0" else "open to root, who runs", ""
    )


def _torch() -> Check:
    purpose, version = "runs the pairs", _version("torch")
    cpu_only = version != "" and not _torch_has_cuda(version)
    reinstall = "pip install --force-reinstall 'torch>=2.8'  (a build for CUDA)"
    mend = reinstall if cpu_only else "pip install 'aisp-prof[gpu]'"
    return _check("torch", purpose, f"{version} (CPU only)" if cpu_only else version, mend, limited=cpu_only)


def _torch_has_cuda(version: str) -> bool:
    """Read from its files: importing torch takes seconds. A CUDA build ships libtorch_cuda; +cpu says itself what it is."""
    found = find_spec("torch")
    folders = found.submodule_search_locations if found else None
    return "+cpu" not in version and any(Path(folder, "lib", "libtorch_cuda.so").exists() for folder in folders or ())


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


PANGO = ("libpango-1.0.so.0", "libpangoft2-1.0.so.0", "libharfbuzz.so.0", "libharfbuzz-subset.so.0")
"""What WeasyPrint loads at run time, by the names that it asks the loader for."""


def _pango() -> Check:
    lacking = [name for name in PANGO if not _loads(name)]
    found = "" if len(lacking) == len(PANGO) else "without " + ", ".join(lacking) if lacking else ", ".join(PANGO)
    mend = "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 (macOS: brew install pango)"
    return _check("Pango", "lets WeasyPrint set text in a PDF", found, mend, limited=bool(lacking))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _package(distribution: str, purpose: str, extra: str) -> Check:
    return _check(distribution, purpose, _version(distribution), f"pip install 'aisp-prof[{extra}]'")


@dataclass(frozen=True, slots=True)
class Ability:
    """Something that one may want to do: `lacks` are the names of the checks that are in the way."""

    what: str
    command: str
    lacks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "command": self.command, "lacks": list(self.lacks)}


TRACER = "nsys or tracer"
"""A need that either of two checks meets."""

_ABILITIES = (
    ("read any trace, claim things of it, report and verify", "aisp-prof trace summary run.sqlite", ()),
    ("print a page as PDF", "aisp-prof report ch11", ("Pango", "weasyprint")),
    ("run pairs of one's own and the chapters'", "python -m aisp_prof.workloads.ch11.streams", ("NVIDIA GPU", "torch")),
    ("capture programs of one's own", "aisp-prof capture -- python train.py", ("NVIDIA GPU", TRACER)),
    ("capture pairs", "aisp-prof capture ch11", ("NVIDIA GPU", TRACER, "torch", "nvtx")),
    ("count FLOPs and bytes", "aisp-prof capture ch09", ("NVIDIA GPU", TRACER, "ncu", "GPU counters", "torch", "nvtx")),
    ("judge kernels of one's own", "aisp-prof kernels gate", ("NVIDIA GPU", "torch")),
    ("run CUTLASS's kernels", "aisp-prof capture ch09:cutlass_gemm", ("NVIDIA GPU", "torch", "nvcc", "nvidia-cutlass")),
    (
        "choose among cuBLASLt's algorithms",
        "aisp-prof capture ch09:cublaslt_gemm",
        ("NVIDIA GPU", "torch", "nvmath-python"),
    ),
    ("compile CUDA kernels", "aisp-prof kernels emit l2norm -o l2norm.cu --arch 90a", ("nvcc",)),
)
"""What one may want to do, the command, and what it needs; the rest is optional."""

OPTIONAL = (
    *("compute-sanitizer", "triton", "nvidia-ml-py", "nvcc", "ncu", "GPU counters", "Pango", "weasyprint"),
    *("nvidia-cutlass", "nvmath-python"),
)
"""What only some of it needs: without these a trace is still captured, judged and reported as HTML."""


def abilities(checks: Sequence[Check]) -> list[Ability]:
    """What can be done with what was found, and what is in the way of the rest."""
    there = {check.name for check in checks if check.status is Status.OK}
    if there & {"nsys", "tracer"}:
        there.add(TRACER)
    return [Ability(what, command, tuple(n for n in needs if n not in there)) for what, command, needs in _ABILITIES]


_CHECKS = (_nsys, _tracer, _ncu, _gpu, _counters, _torch, _pango, _nvcc, _sanitizer)

_PACKAGES = (
    ("triton", "compiles the Triton kernels", "gpu"),
    ("nvtx", "marks ranges in a trace", "gpu"),
    ("nvidia-ml-py", "records clocks, heat and power during a capture", "gpu"),
    ("nvidia-cutlass", "CUTLASS's headers, from which nvcc builds its kernels", "cutlass"),
    ("nvmath-python", "asks cuBLASLt for its algorithms", "cublaslt"),
    ("weasyprint", "writes the PDF", "pdf"),
)
