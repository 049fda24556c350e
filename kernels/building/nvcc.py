"""Compiles CUDA sources for one architecture, once each, to cubins or shared libraries: each is cached under a hash of
everything that went into it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from ...errors import AispError, EnvironmentLacks
from ...machine.child import ask
from ...machine.files import cache_folder, remove_abandoned, scratch_folder
from ...machine.tools import ANSWER_S, of_cuda

FLAGS = ("-std=c++17", "-O3", "-lineinfo", "-Xptxas=-warn-spills")
"""`-lineinfo` costs no speed and lets Nsight Compute show the source beside the SASS."""

LIBRARY_FLAGS = ("-DNDEBUG", "--expt-relaxed-constexpr")
"""Without NDEBUG CUTLASS's assertions make ptxas serialize wgmma; without the last nvcc warns of each of its constexpr functions,
in 100 kB and more, and leaves open what the code does."""

HEADERS = (".cuh", ".h", ".hpp", ".inl")

INCLUDE = Path(__file__).parents[1] / "include"
"""The headers that kernels share; every source may include them."""

TIMEOUT_S = 300


def architecture(major: int, minor: int) -> str:
    """The target for a compute capability: from 9.0 on the one with the chip's own instructions, `90a`; `86` before.

    Code for `90a` runs only on 9.0, and only such code may use wgmma and the like; a cubin would run nowhere else anyway.
    """
    return f"{major}{minor}a" if major >= 9 else f"{major}{minor}"


def cubin(source: Path, arch: str, include: Sequence[Path] = ()) -> Path:
    """The compiled form of `source` for `arch` (`90a`, `86`, …), compiled now unless the cache has it.

    The key is the source, every header beside it, below `include/` and below the folders of `include`, the flags and nvcc's
    version. Without nvcc, a cubin that was carried into the cache will do, whichever nvcc made it; its sources and
    flags must still agree.

    Raises:
        EnvironmentLacks: there is neither nvcc nor a cubin in the cache.
        AispError: nvcc rejects the source; the message quotes it.
    """
    return _built(source, arch, "cubin", ("-cubin",), (INCLUDE, *include))


def library(source: Path, arch: str, include: Sequence[Path] = ()) -> Path:
    """A shared library of the source's `extern "C"` host functions, for ctypes: where kernels come with their own launcher.

    CUTLASS kernels are such; `include` names its folder. They have headers of their own and get none of `include/`, whose every change
    would build them again, in minutes. Key, cache and errors as for `cubin`; a library needs the host's C++ library, so it may
    not run on a host that it was carried to.
    """
    return _built(source, arch, "so", ("-shared", "-Xcompiler=-fPIC", *LIBRARY_FLAGS), include)


def code_of_library(source: Path, arch: str, include: Sequence[Path] = ()) -> Path:
    """A cubin of what the library of this source has for the device: to be looked at, in a third of the time.

    Key, cache and errors as for `cubin`.
    """
    return _built(source, arch, "cubin", ("-cubin", *LIBRARY_FLAGS), include)


def said(path: Path) -> str:
    """nvcc's output when it made this product: warnings, or nothing. A carried one may have come without it."""
    words = path.with_suffix(".log")
    return words.read_text(encoding="utf-8") if words.is_file() else ""


def find_nvcc() -> str | None:
    """nvcc as `of_cuda` finds it; None where there is none."""
    return of_cuda("nvcc")


def _flags(arch: str) -> list[str]:
    # the -arch=sm_90a shorthand would add a pass for plain sm_90, which refuses 90a's instructions
    return [f"-gencode=arch=compute_{arch},code=sm_{arch}", *FLAGS]


def _built(source: Path, arch: str, suffix: str, kind: Sequence[str], include: Sequence[Path]) -> Path:
    flags = [*kind, *_flags(arch)]
    stem = f"{source.stem}.{arch}.{_content_key(source, flags, include)}"
    folder = cache_folder() / "cubins"
    nvcc = find_nvcc()
    if nvcc is None:
        return _carried(folder, stem, suffix, source)
    path = folder / f"{stem}.{_digest(_version(nvcc))}.{suffix}"
    if not path.is_file():
        folders = [f"-I{one}" for one in include]
        _compile([nvcc, *flags, *folders, str(source)], f"{source} for sm_{arch}", path)
    return path


def _content_key(source: Path, flags: Sequence[str], include: Sequence[Path]) -> str:
    """Headers count by name and content, not by location: a product may be carried to a host that has them elsewhere."""
    beside = [path.read_bytes() for path in sorted(source.parent.glob("*.cuh"))]
    headers = [part for folder in include for part in (b"include/", *_headers(folder))]
    return _digest(source.read_bytes(), *beside, *headers, *(flag.encode() for flag in flags))


def _headers(folder: Path) -> Iterator[bytes]:
    for path in sorted(one for one in folder.rglob("*") if one.suffix in HEADERS):
        yield path.relative_to(folder).as_posix().encode()
        yield path.read_bytes()


def _digest(*parts: bytes) -> str:
    """16 hex digits; each part is hashed on its own first, so that moving bytes from one to the next changes the whole."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


@lru_cache
def _version(nvcc: str) -> bytes:
    answer = ask([nvcc, "--version"], ANSWER_S)
    if answer.code:
        raise EnvironmentLacks(
            f"{nvcc} --version failed (exit {answer.code}): {answer.err.strip()}", "aisp-prof doctor"
        )
    return answer.out.encode()


def _carried(folder: Path, stem: str, suffix: str, source: Path) -> Path:
    cubins = sorted(folder.glob(f"{stem}.*.{suffix}"))
    if not cubins:
        raise EnvironmentLacks(
            f"{source.name} must be compiled, and nvcc is neither on PATH nor below CUDA_HOME or /usr/local/cuda",
            "install the CUDA toolkit, or set CUDA_HOME to it",
        )
    return cubins[-1]


def _compile(command: Sequence[str], what: str, path: Path) -> None:
    """Compile next to `path` and move it there, so that nobody ever sees half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        with scratch_folder(path.parent) as folder:
            built = folder / path.name
            *options, source = command
            done = ask([*options, "-o", str(built), source], TIMEOUT_S)
            if done.code:
                raise AispError(f"nvcc refuses {what}:\n{(done.err or done.out).strip()}")
            if done.err:
                built.with_suffix(".log").write_text(done.err, encoding="utf-8")
                built.with_suffix(".log").replace(path.with_suffix(".log"))
            built.replace(path)
    except OSError as error:
        raise EnvironmentLacks(
            f"cannot write cubins to {path.parent}: {error.strerror}",
            "set AISP_CACHE to a folder that can be written to",
        ) from error
