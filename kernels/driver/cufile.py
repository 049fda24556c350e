"""Reads of files into device memory through NVIDIA's cuFile (GPUDirect Storage), by ctypes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ...errors import AispError, EnvironmentLacks

LIBRARY = "libcufile.so.0"
_NVIDIA_FS = Path("/proc/driver/nvidia-fs/version")
_OPAQUE_FD = 1


class Status(ctypes.Structure):
    """CUfileError_t: an error of cuFile's, or of the CUDA driver's."""

    _fields_ = (("err", ctypes.c_int), ("cu_err", ctypes.c_int))


class Descriptor(ctypes.Structure):
    """CUfileDescr_t. The handle is a union of a file descriptor and a pointer."""

    _fields_ = (("type", ctypes.c_int), ("handle", ctypes.c_uint64), ("fs_ops", ctypes.c_void_p))


def mode() -> str:
    """ "gds" where the kernel has nvidia-fs, so that a disk may write into device memory; else "compat": through host memory."""
    return "gds" if _NVIDIA_FS.exists() else "compat"


class File:
    """An open file that `read` copies from, on the current CUDA device."""

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self._library, self._handle = library, handle

    def read(self, address: int, size: int, offset: int) -> None:
        """`size` bytes from `offset` on into device memory; waits until they are there.

        Raises:
            AispError: fewer came, or cuFile refuses.
        """
        came = self._library.cuFileRead(self._handle, address, size, offset, 0)
        if came != size:
            raise AispError(f"cuFileRead of {size} bytes at {offset} gave {came}")


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The file through cuFile; the driver of cuFile is opened for it and closed after it.

    Raises:
        EnvironmentLacks: the library is missing, or cuFile cannot be opened here.
    """
    library = _library()
    _checked(library.cuFileDriverOpen(), "cuFileDriverOpen")
    descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECT if mode() == "gds" else 0))
    try:
        handle, told = ctypes.c_void_p(), Descriptor(_OPAQUE_FD, descriptor, None)
        _checked(library.cuFileHandleRegister(ctypes.byref(handle), ctypes.byref(told)), "cuFileHandleRegister")
        try:
            yield File(library, handle)
        finally:
            library.cuFileHandleDeregister(handle)
    finally:
        os.close(descriptor)
        library.cuFileDriverClose()


def _library() -> ctypes.CDLL:
    for name in (*_of_wheel(), LIBRARY):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.cuFileDriverOpen.restype = library.cuFileHandleRegister.restype = Status
        library.cuFileHandleRegister.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(Descriptor)]
        library.cuFileHandleDeregister.argtypes = [ctypes.c_void_p]
        library.cuFileHandleDeregister.restype = None
        library.cuFileRead.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, ctypes.c_int64
        ]  # fmt: skip
        library.cuFileRead.restype = ctypes.c_ssize_t
        return library
    raise EnvironmentLacks(f"{LIBRARY} is not there", "pip install 'aisp-prof[gds]'")


def _of_wheel() -> list[str]:
    """Where the wheels nvidia-cufile and nvidia-cufile-cu12 have it."""
    spec = find_spec("nvidia")
    roots = [Path(root) for root in spec.submodule_search_locations or ()] if spec else []
    return [str(found) for root in roots for found in sorted(root.glob(f"*/lib/{LIBRARY}"))]


def _checked(status: Status, doing: str) -> None:
    if status.err:
        raise EnvironmentLacks(
            f"{doing}: error {status.err} of cuFile, {status.cu_err} of CUDA", "see cufile.log, and docs/demos.md"
        )
