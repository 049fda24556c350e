"""The judge, a child process of the gate: `python -m aisp_prof.workloads.gate.child JOB HOSTS`; nothing else starts it."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import cast

from ...errors import AispError, EnvironmentLacks
from ...machine.files import cache_folder
from ..device import open_device
from .arena import Arena
from .buffers import Plain
from .checking import check
from .confine import adopt_orphans
from .contender import Contender, Local
from .host import Assignment, attend
from .hosted import Hosted, Spare, spare
from .job import Job, Results
from .limits import SLACK_BYTES, allowance_bytes, bound, status_bytes
from .racing import race
from .runners import Runner
from .task import ReferenceFails


def main() -> int:
    """Run the job; the exit code says whether it finished, the results file what it found.

    The job names HOSTS contenders that get a process of their own. Each is a copy of this one, which has imported PyTorch, a
    second's work, and not yet read the job: what a candidate may not know is in none of them.
    """
    spares: list[Spare] = []
    for _ in range(int(sys.argv[2])):
        judge = spare(spares)
        if judge is not None:
            return attend(judge)
    job = cast(Job, pickle.loads(Path(sys.argv[1]).read_bytes()))
    results = Results(job.results)
    adopt_orphans()
    try:
        _work(job, results, spares)
    except AispError as error:
        lacks, reference = isinstance(error, EnvironmentLacks), isinstance(error, ReferenceFails)
        results.write(lacks=lacks, reference=reference, error=str(error), mend=error.mend)
        return error.exit_code
    results.write(done=True)
    return 0


def _work(job: Job, results: Results, spares: list[Spare]) -> None:
    device = open_device(job.device)
    device.synchronize()
    runners = {"baseline": job.against, "optimized": job.candidate}
    arena = Arena(job.device)
    hosts = {name: _host(runners[name], job, arena, one) for name, one in zip(job.hosted, spares, strict=True)}
    bound(job.device, allowance_bytes(job))
    for missing in {host.missing for host in hosts.values()}:
        results.write(missing=missing)
    results.write(ready_rss_bytes=status_bytes("VmRSS"))
    memory = arena if hosts else Plain(job.device)
    loaded: dict[str, Contender] = {}
    for name in ("baseline", "optimized") if job.phase == "race" else ("optimized",):
        results.step(f"loading {'the candidate' if name == 'optimized' else 'the current best'}")
        loaded[name] = _loaded(runners[name], job, hosts.get(name))
    if job.phase == "race":
        race(job, device, loaded, results, memory)
    else:
        check(job, device, loaded["optimized"], results, memory)


def _host(runner: Runner, job: Job, arena: Arena, one: Spare) -> Hosted:
    cubins = (cache_folder() / "cubins").absolute()
    return Hosted(Assignment(runner, job.task, job.device, job.memory_bytes + SLACK_BYTES, cubins), arena, one)


def _loaded(runner: Runner, job: Job, host: Hosted | None) -> Contender:
    if host is None:
        return Local(runner.load(job.task))
    host.load()
    return host


if __name__ == "__main__":
    sys.exit(main())
