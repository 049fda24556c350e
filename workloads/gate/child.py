"""The child process of the gate: `python -m aisp_prof.workloads.gate.child JOB`; nothing else starts it."""

from __future__ import annotations

import pickle
import resource
import sys
from pathlib import Path
from typing import cast

from ...errors import AispError, EnvironmentLacks
from ..device import open_device
from .cases import CASE_ELEMENTS, race_shape
from .checking import check
from .job import Job, Results
from .racing import contenders, race

FILE_BYTES = 256 << 20
SLACK_BYTES = 2 << 30
BYTES_PER_ELEMENT = 96
"""Of the gate's own: inputs in several sets, references in fp64 and what comparing takes."""


def main() -> int:
    """Run the job; the exit code says whether it came to its end, the results file what was found."""
    job = cast(Job, pickle.loads(Path(sys.argv[1]).read_bytes()))
    results = Results(job.results)
    try:
        _work(job, results)
    except AispError as error:
        lacks = isinstance(error, EnvironmentLacks)
        results.write(lacks=lacks, error=str(error), mend=error.mend)
        return error.exit_code
    results.write(done=True)
    return 0


def _work(job: Job, results: Results) -> None:
    device = open_device(job.device)
    device.synchronize()
    _limit(job)
    results.write(ready_rss_bytes=_rss_bytes())
    if job.phase == "race":
        race(job, device, contenders(job, results), results)
    else:
        results.step("loading the candidate")
        check(job, device, job.candidate.load(job.spec), results)


def allowance_bytes(job: Job) -> int:
    """What the child may take beyond what it has when it is ready: the candidate's share and the gate's own."""
    rows, columns = race_shape(job.spec, job.device if job.phase == "race" else "cpu")
    return job.memory_bytes + SLACK_BYTES + BYTES_PER_ELEMENT * max(rows * columns, CASE_ELEMENTS)


def _limit(job: Job) -> None:
    """Bound memory, core dumps and files. CUDA reserves address space by the terabyte, so there the GPU's memory is bounded,
    and the parent watches the host's."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    if job.device == "cpu":
        most = _status_bytes("VmSize") + allowance_bytes(job)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        return
    import torch

    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, allowance_bytes(job) / total))


def _rss_bytes() -> int:
    return _status_bytes("VmRSS")


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AispError(f"/proc/self/status has no {field}")


if __name__ == "__main__":
    sys.exit(main())
