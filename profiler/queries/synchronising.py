"""Which API calls make the host wait for the device."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import gathered
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
    names = calls.codes("name")
    blocks = [bool(i >= 0 and _BLOCKING.match(api.plain(trace.strings[i]))) for i in names.values.tolist()]
    waits: NDArray[np.bool_] = (calls.effect == api.WAIT) | gathered(np.array(blocks, bool), names.code)
    return waits
