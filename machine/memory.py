"""How the C library handles memory that arrays free: it affects the whole process, so only a command decides it."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # mallopt(3)


def keep_freed_memory() -> bool:
    """Keep freed memory for the next array instead of returning it to the system.

    Reading a large trace makes and frees arrays all the time. By default glibc maps each one above 32 MiB anew, and the
    kernel clears every page of it; on a virtual machine the host may have to find the pages as well. And what one thread freed
    serves the others only where all share one arena.

    Returns:
        whether the C library (glibc) honours the request.
    """
    try:
        wish = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(wish(_MMAP_MAX, 0)) and bool(wish(_TRIM_THRESHOLD, -1)) and bool(wish(_ARENA_MAX, 1))
