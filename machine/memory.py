"""How the C library deals with memory that arrays give back: a decision for a whole process, so only a command takes it."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # mallopt(3)


def keep_freed_memory() -> bool:
    """Let memory that was freed serve the next array instead of going back to the system.

    Reading a large trace makes and frees arrays all the time. By default glibc maps every one above 32 MiB anew,
    and the kernel clears every page of it; on a virtual machine the host may have to find the pages, too.

    Returns:
        whether the C library (glibc) takes such wishes.
    """
    try:
        wish = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(wish(_MMAP_MAX, 0)) and bool(wish(_TRIM_THRESHOLD, -1))
