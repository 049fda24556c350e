"""Finds the native library, or builds it, and CUPTI, which it opens inside the traced process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...errors import EnvironmentLacks
from ...machine.files import cache_folder
from ..core.building import TRACER, TRACER_FLAGS, TRACER_NAME, build, source, up_to_date

FILE = TRACER / TRACER_NAME
"""The library as a wheel has it, or as it was built in a checkout."""
CUPTI = "AISP_CUPTI"
CUPTI_PACKAGE = (
    "pip install nvidia-cuda-cupti-cu12 (or nvidia-cuda-cupti for CUDA 13), or set AISP_CUPTI to a libcupti.so"
)
_FOLDERS = ("nvidia/cu1[0-9]/lib", "nvidia/cuda_cupti/lib")
"""Where the wheels that PyTorch depends on have CUPTI, below a folder of packages."""
_TOOLKITS = ("usr/local/cuda*/extras/CUPTI/lib64", "usr/local/cuda*/lib64", "usr/local/cuda*/lib")
_NAME = "libcupti.so.1[2-9]"


def library() -> Path:
    """The native library: of the wheel, or built now into the cache folder.

    Raises:
        EnvironmentLacks: it is not there and no C compiler is, or the compiler refuses.
    """
    if up_to_date(FILE, TRACER):
        return FILE
    target = cache_folder() / "tracer" / source(TRACER)[:16] / TRACER_NAME
    if up_to_date(target, TRACER):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentLacks(f"the tracer cannot be built in {target.parent}: {error}", "AISP_CACHE=…") from error
    if why := build(target, TRACER, TRACER_FLAGS):
        raise EnvironmentLacks(
            f"the tracer's library was not built with this package, and cannot be now: {why}",
            "apt-get install gcc libc6-dev, or install a wheel of this platform",
        )
    return target


def find_cupti(
    environment: Mapping[str, str] | None = None, paths: Sequence[str] | None = None, root: Path = Path("/")
) -> Path | None:
    """The CUPTI that $AISP_CUPTI names, else that of this Python's packages, else of a CUDA toolkit, the newest of each; None where
    there is none. A program's own, which PyTorch has loaded already, goes before it."""
    named = (os.environ if environment is None else environment).get(CUPTI)
    if named:
        return Path(named)
    return next(_candidates(sys.path if paths is None else paths, root), None)


def _candidates(paths: Sequence[str], root: Path) -> Iterator[Path]:
    for folder in dict.fromkeys(paths):
        for place in _FOLDERS:
            yield from sorted(Path(folder or ".").glob(f"{place}/{_NAME}"), reverse=True)
    for place in _TOOLKITS:
        yield from sorted(root.glob(f"{place}/{_NAME}"), reverse=True)
