"""Names of kernels as people read them, from the mangled ones that CUPTI hands over."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from ...errors import EnvironmentLacks


@cache
def demangled(mangled: str) -> str:
    """The C++ name with its templates and parameters, as GNU's demangler writes it; a name that is none of C++ as it is.

    Nsight Systems writes these otherwise: `<(int)4>` for `<4>`, `<unnamed>` for `(anonymous namespace)`.

    Raises:
        EnvironmentLacks: there is no libstdc++.
    """
    if not mangled.startswith("_Z"):
        return mangled
    (demangle, free), status = _functions(), ctypes.c_int()
    found = demangle(mangled.encode(), None, None, ctypes.byref(status))
    if not found:
        return mangled
    try:
        return ctypes.string_at(found).decode("utf-8", "replace")
    finally:
        free(found)


def short(name: str) -> str:
    """The name of the function alone: without what it returns, where it lies, its templates and its parameters."""
    depth, kept = 0, ""
    for letter in name.replace("(anonymous namespace)", ""):
        if letter == "(" and not depth:
            break
        depth += (letter == "<") - (letter == ">")
        kept += letter if not depth and letter != ">" else ""
    return kept.rpartition("::")[2].rpartition(" ")[2] or name


@cache
def _functions() -> tuple[Any, Any]:
    """`__cxa_demangle` of libstdc++, which numpy needs itself and so is there, and the `free` of its answer."""
    try:
        demangle = ctypes.CDLL("libstdc++.so.6").__cxa_demangle
    except OSError as error:
        raise EnvironmentLacks(f"no C++ names can be read: {error}", "apt-get install libstdc++6") from error
    demangle.restype = ctypes.c_void_p
    demangle.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))
    free = ctypes.CDLL(None).free
    free.argtypes, free.restype = (ctypes.c_void_p,), None
    return demangle, free
