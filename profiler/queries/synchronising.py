"""Which API calls make the host wait for the device."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ..trace import api
from ..trace.model import Trace

# A synchronous copy waits for its stream; freeing memory waits for the whole device (CUDA Runtime API,
# "API synchronization behavior").
_BLOCKING = re.compile(
    r"^(cudaMemcpy|cuMemcpy)(?!.*(Async|Batch|GetAttribute|Node))|^cudaFree(Array|Host)?$|^cuMemFree(Host)?$"
)


def blocking_calls(trace: Trace) -> NDArray[np.bool_]:
    """A mask of shape (len(trace.calls),): synchronising calls, blocking copies, and calls that free memory."""
    calls = trace.calls
    blocking = [i for i in np.unique(calls.name).tolist() if i >= 0 and _BLOCKING.match(api.plain(trace.strings[i]))]
    waits: NDArray[np.bool_] = (calls.effect == api.WAIT) | np.isin(calls.name, blocking)
    return waits
