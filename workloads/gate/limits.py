"""How much memory and file space a process of the gate may take."""

from __future__ import annotations

import resource
from pathlib import Path

from ...errors import AispError
from ..device import Kind
from .job import Job

FILE_BYTES = 256 << 20
SLACK_BYTES = 2 << 30
BYTES_PER_ELEMENT = 96
"""The gate's own memory: inputs, references in fp64, and what comparing needs."""


def allowance_bytes(job: Job) -> int:
    """What the judge may take beyond what it has once it is ready: the candidate's share and the gate's own."""
    return job.memory_bytes + SLACK_BYTES + BYTES_PER_ELEMENT * job.task.elements(job.phase, job.device)


def bound(device: Kind, more_bytes: int) -> None:
    """Bound this process's memory to what it has and `more_bytes`, its core dumps and its files.

    CUDA reserves address space by the terabyte, so there the GPU's memory is bounded, and the parent watches the host's.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    if device == "cpu":
        most = status_bytes("VmSize") + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return
    import torch

    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, more_bytes / total))


def status_bytes(field: str) -> int:
    """A field of /proc/self/status, such as VmRSS."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AispError(f"/proc/self/status has no {field}")
