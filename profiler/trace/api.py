"""The CUDA API by name: which calls submit work, copy, wait or capture."""

from __future__ import annotations

import re

_SUFFIX = re.compile(r"(_v\d+|_ptsz|_ptds)+$")

KERNEL_LAUNCH = frozenset(
    [
        "cudaLaunch",
        "cudaLaunchKernel",
        "cudaLaunchKernelExC",
        "cudaLaunchCooperativeKernel",
        "cudaLaunchCooperativeKernelMultiDevice",
        "cuLaunch",
        "cuLaunchGrid",
        "cuLaunchGridAsync",
        "cuLaunchKernel",
        "cuLaunchKernelEx",
        "cuLaunchCooperativeKernel",
        "cuLaunchCooperativeKernelMultiDevice",
    ]
)
GRAPH_LAUNCH = frozenset({"cudaGraphLaunch", "cuGraphLaunch"})
SYNC = frozenset(
    [
        "cudaDeviceSynchronize",
        "cudaStreamSynchronize",
        "cudaEventSynchronize",
        "cudaThreadSynchronize",
        "cuCtxSynchronize",
        "cuStreamSynchronize",
        "cuEventSynchronize",
    ]
)
# cudaMemcpyToSymbol and its like end up in the same records as the plain copies.
_COPY = re.compile(r"^(cudaMemcpy|cuMemcpy)(?!.*(?:GetAttribute|Node))")
_MEMSET = re.compile(r"^(cudaMemset|cuMemset)(?!.*Node)")
# …BeginCapture, …BeginCaptureToGraph (CUDA 12.3), …BeginCaptureToCig (12.8), …BeginRecaptureToGraph (13), and what follows.
_CAPTURE_BEGIN = re.compile(r"^cu(da)?StreamBegin(Re)?[Cc]apture")
_CAPTURE_END = re.compile(r"^cu(da)?StreamEndCapture")

OTHER, KERNEL, GRAPH, COPY, MEMSET, WAIT, BEGIN, END = range(8)
"""What a call does, as a small code."""
SUBMITTING = (KERNEL, GRAPH, COPY, MEMSET)


def plain(name: str) -> str:
    """An API name without the suffixes of its version and of per-thread streams: `cudaMemcpyAsync_ptsz` and the like."""
    return _SUFFIX.sub("", name)


def effect(name: str) -> int:
    """What the call of this name does: one of the codes above."""
    short = plain(name)
    for code, names in (
        (KERNEL, KERNEL_LAUNCH),
        (GRAPH, GRAPH_LAUNCH),
        (WAIT, SYNC),
    ):
        if short in names:
            return code
    for code, pattern in ((COPY, _COPY), (MEMSET, _MEMSET), (BEGIN, _CAPTURE_BEGIN), (END, _CAPTURE_END)):
        if pattern.match(short):
            return code
    return OTHER
