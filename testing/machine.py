"""Can this machine capture? Asked once a session, and only when a test is marked."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec

from ..errors import EnvironmentLacks
from ..machine.child import ask
from ..profiler.capture.tracers import find_tracer

_PROBE = """
import ctypes
driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
raise SystemExit(bool(driver.cuInit(0)) or bool(driver.cuDeviceGetCount(ctypes.byref(count))) or not count.value)
"""


@cache
def lacking(tracer: str) -> str:
    """What a capture by this tracer lacks here, in one sentence; "" if nothing."""
    if not sees_gpu():
        return "no NVIDIA GPU is visible here"
    if find_spec("nvtx") is None:
        return "the Python package nvtx is not installed (pip install 'aisp-prof[gpu]')"
    try:
        find_tracer(tracer)
    except EnvironmentLacks as error:
        return f"{error} ({error.mend})"
    return ""


def sees_gpu() -> bool:
    """Whether CUDA finds a GPU. Checked in another process: a driver opened here would not survive a fork."""
    command = [sys.executable, "-c", _PROBE]
    return ask(command, 120).code == 0
