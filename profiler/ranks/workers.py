"""Traces become records on workers of Dask distributed: the only module that knows it.

A task is one trace. A worker that dies takes its task with it: Dask runs what was on it again elsewhere, and what kills worker after
worker is tried once more by itself, so that no other trace is blamed for it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import EnvironmentLacks
from ...version import __version__
from .mapping import lost, records_of
from .question import Question
from .record import Mapped
from .spread import Say, Where

ANSWER_S = 60.0
"""Seconds within which a scheduler has to answer and to have a worker."""
_VERSION = "aisp_prof.version:__version__"
_EVERY = 64
_MEND = "start its workers where this aisp-prof is installed: pip install 'aisp-prof[ranks]'"


def by_workers(files: Sequence[str], question: Question, where: Where, cores: int, say: Say) -> tuple[Mapped, ...]:
    """What becomes of each file, in their order.

    Raises:
        EnvironmentLacks: no scheduler answers, or its workers lack this version of aisp-prof.
    """
    with _client(where, min(cores, len(files))) as client:
        _check_versions(client)
        found = dict(_round(client, files, question, say))
        for file in files:  # each alone: whatever ends a worker now is this trace
            if file not in found:
                found |= dict(_round(client, [file], question, say))
        return tuple(
            found.get(file) or lost(file, question, "its worker ended while it read this trace") for file in files
        )


@contextmanager
def _client(where: Where, workers: int) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    calm = {
        "distributed.admin.system-monitor.gil.enabled": False,
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.worker.memory.terminate": False,
        "distributed.comm.timeouts.connect": f"{ANSWER_S}s",
    }
    with dask.config.set(calm):
        if not (where.scheduler or where.scheduler_file):
            own = {"n_workers": where.workers or workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
            with LocalCluster(processes=True, silence_logs=50, **own) as cluster, Client(cluster) as client:
                yield client
            return
        try:
            asked = {"scheduler_file": where.scheduler_file} if where.scheduler_file else {"address": where.scheduler}
            client = Client(**asked, timeout=ANSWER_S)
            client.wait_for_workers(1, timeout=ANSWER_S)
        except (OSError, ValueError) as error:
            place = where.scheduler or where.scheduler_file
            raise EnvironmentLacks(
                f"no Dask scheduler with workers answers at {place}: {error}", "dask scheduler; dask worker ADDRESS"
            ) from error
        with client:
            yield client


def _check_versions(client: Any) -> None:
    """Ask every worker for its aisp-prof, before any trace is named to it."""
    said: Mapping[str, object] = client.run(pkgutil.resolve_name, _VERSION, on_error="return")
    other = {address: found for address, found in sorted(said.items()) if found != __version__}
    if not other:
        return
    lacks = [
        f"{address} has {'none' if isinstance(found, BaseException) else found}" for address, found in other.items()
    ]
    listed = "; ".join(lacks[:8]) + ("; …" if len(lacks) > 8 else "")
    raise EnvironmentLacks(f"workers need aisp-prof {__version__}: {listed}", _MEND)


def _round(client: Any, files: Sequence[str], question: Question, say: Say) -> Iterator[tuple[str, Mapped]]:
    """The files whose task ended, and what became of each."""
    from distributed import as_completed

    task: Callable[[str, Question], Mapped] = records_of
    futures = {client.submit(task, file, question, pure=False, retries=0): file for file in files}
    for number, future in enumerate(as_completed(list(futures)), 1):
        if len(files) > 1 and (number % _EVERY == 0 or number == len(files)):
            say(f"{number} of {len(files)} traces read")
        if future.status == "finished":
            yield futures[future], future.result()
        future.release()
