"""Compiles CUDA sources to cubins for one architecture, once each: the cache knows a cubin by all that went into it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from ...errors import AispError, EnvironmentLacks

FLAGS = ("-std=c++17", "-O3", "-lineinfo", "-Xptxas=-warn-spills")
"""`-lineinfo` costs no speed and lets Nsight Compute show the source beside the SASS."""

INCLUDE = Path(__file__).parents[1] / "include"
"""The headers that kernels share; every source may include them."""

TIMEOUT_S = 300


def architecture(major: int, minor: int) -> str:
    """The target for a compute capability: from 9.0 on the one with the chip's own instructions, `90a`; `86` before.

    Code for `90a` runs on 9.0 alone, and only there may it use wgmma and the like; a cubin runs nowhere else anyway.
    """
    return f"{major}{minor}a" if major >= 9 else f"{major}{minor}"


def cubin(source: Path, arch: str) -> Path:
    """The compiled form of `source` for `arch` (`90a`, `86`, …), compiled now unless the cache has it.

    The key is the source, every header beside it and below `include/`, the flags and nvcc's version. Without nvcc a cubin that
    was carried into the cache serves, whichever nvcc made it: the sources and flags must agree all the same.

    Raises:
        EnvironmentLacks: there is neither nvcc nor a cubin in the cache.
        AispError: nvcc refuses the source; the message holds its words.
    """
    stem = f"{source.stem}.{arch}.{_content_key(source, arch)}"
    folder = cache_folder() / "cubins"
    nvcc = find_nvcc()
    if nvcc is None:
        return _carried(folder, stem, source)
    path = folder / f"{stem}.{_digest(_version(nvcc))}.cubin"
    if not path.is_file():
        _compile(nvcc, source, arch, path)
    return path


def said(path: Path) -> str:
    """What nvcc said when it made this cubin: warnings, or nothing. A carried cubin may have come without its words."""
    words = path.with_suffix(".log")
    return words.read_text(encoding="utf-8") if words.is_file() else ""


def find_nvcc() -> str | None:
    """nvcc on PATH, below CUDA_HOME, or in CUDA's usual folder; None where there is none."""
    folders = [Path(home) / "bin" for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if home]
    return shutil.which("nvcc") or next(
        (found for folder in folders if (found := shutil.which("nvcc", path=folder))), None
    )


def cache_folder() -> Path:
    """$AISP_CACHE, else $XDG_CACHE_HOME/aisp-prof, else ~/.cache/aisp-prof."""
    if own := os.environ.get("AISP_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aisp-prof"


def _flags(arch: str) -> list[str]:
    # the -arch=sm_90a shorthand would add a pass for plain sm_90, which refuses 90a's instructions
    return [f"-gencode=arch=compute_{arch},code=sm_{arch}", *FLAGS]


def _content_key(source: Path, arch: str) -> str:
    """Headers count by name and content, not by where they lie: a cubin may be carried to a host that has them elsewhere."""
    beside = [path.read_bytes() for path in sorted(source.parent.glob("*.cuh"))]
    shared = [
        part
        for path in sorted(INCLUDE.rglob("*.cuh"))
        for part in (path.relative_to(INCLUDE).as_posix().encode(), path.read_bytes())
    ]
    return _digest(source.read_bytes(), *beside, b"include/", *shared, *(flag.encode() for flag in _flags(arch)))


def _digest(*parts: bytes) -> str:
    """16 hex digits; each part is hashed on its own first, so that moving bytes from one to the next changes the whole."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


@lru_cache
def _version(nvcc: str) -> bytes:
    return subprocess.run([nvcc, "--version"], capture_output=True, check=True, timeout=TIMEOUT_S).stdout


def _carried(folder: Path, stem: str, source: Path) -> Path:
    found = sorted(folder.glob(f"{stem}.*.cubin"))
    if not found:
        raise EnvironmentLacks(
            f"{source.name} must be compiled, and nvcc is neither on PATH nor below CUDA_HOME or /usr/local/cuda",
            "install the CUDA toolkit, or set CUDA_HOME to it",
        )
    return found[-1]


def _compile(nvcc: str, source: Path, arch: str, path: Path) -> None:
    """Compile beside `path` and move there: whoever looks meanwhile sees no cubin or the whole one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".building-", dir=path.parent)
    except OSError as error:
        raise EnvironmentLacks(
            f"cannot write cubins to {path.parent}: {error.strerror}",
            "set AISP_CACHE to a folder that can be written to",
        ) from error
    try:
        built = Path(folder) / path.name
        command = [nvcc, "-cubin", *_flags(arch), f"-I{INCLUDE}", "-o", str(built), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        if done.returncode:
            raise AispError(f"nvcc refuses {source} for sm_{arch}:\n{(done.stderr or done.stdout).strip()}")
        if done.stderr:
            built.with_suffix(".log").write_text(done.stderr, encoding="utf-8")
            built.with_suffix(".log").replace(path.with_suffix(".log"))
        built.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
