"""The same answers wherever traces are read; workers that die, lack aisp-prof, or have another one."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.profiler.ranks import spread
from aisp_prof.profiler.ranks.rank_files import RankFiles
from aisp_prof.profiler.ranks.spread import Where
from ranks_traces import Base, base, write

pytestmark = pytest.mark.filterwarnings("default")  # of Dask and what it uses; ours are seen in all other tests


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def run(of: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for rank in range(6):
        write(folder, of, rank)
    return folder


@pytest.fixture
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as one:
        yield one


def text(files: RankFiles) -> str:
    return json.dumps(asdict(files.summary()))


def told(say: list[str]) -> Any:
    return say.append


def test_serial_local_workers_and_a_scheduler_give_the_same_bytes(
    run: Path, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = text(RankFiles.named(run))
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": cluster.scheduler_address}))
    for number, where in enumerate(
        (Where(workers=2), Where(scheduler=cluster.scheduler_address), Where(scheduler_file=str(file)))
    ):
        monkeypatch.setenv("AISP_CACHE", str(tmp_path / f"cache{number}"))
        said: list[str] = []
        assert text(RankFiles.named(run, where=where, say=said.append)) == serial
        assert said == ["6 of 6 traces read"]
    assert json.loads(serial)["whole"]


HOOK = """
import os, sys
if "spawn_main" in " ".join(sys.orig_argv):
    sys.addaudithook(lambda event, args: os._exit(9) if event == "open" and "rank0023" in str(args[0]) else None)
"""


def test_64_traces_of_which_one_is_cut_one_empty_and_one_kills_its_worker(
    of: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    paths = [write(folder, of, rank) for rank in range(64)]
    paths[5].write_bytes(paths[5].read_bytes()[:200_000])
    paths[9].write_bytes(b"")
    hooked = tmp_path / "hook"
    hooked.mkdir()
    (hooked / "sitecustomize.py").write_text(HOOK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hooked), *filter(None, [os.environ.get("PYTHONPATH")])]))
    files = RankFiles.named(folder, where=Where(workers=2))
    answer = files.summary()
    assert len(answer.ranks) == 61
    assert [(one.rank, one.kind) for one in answer.failures] == [
        (5, "TraceError"),
        (9, "TraceError"),
        (23, "worker lost"),
    ]
    assert [one.code for one in answer.findings].count("ranks_trace_failed") == 3
    assert [one.values["ranks"] for one in answer.findings if one.code == "ranks_absent"] == ["5, 9, 23"]
    assert not answer.whole
    assert "rank0023" in answer.failures[2].mend
    claims = "every rank busy >= 1 ns", "every rank busy <= 1 ns", "comm_wait <= 10 s", "comm_wait <= 1 us"
    judged = files.check(*claims)
    assert [one.claim.verdict.exit_code for one in judged.claims] == [4, 1, 4, 1]
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "another"))
    for gone in (5, 9, 23):
        paths[gone].unlink()
    began = time.process_time()
    rest = RankFiles.named(folder).summary()
    assert time.process_time() - began <= 5 * 61 / 64  # seconds of this process, which reads all of them
    assert rest.ranks == answer.ranks
    assert rest.collectives == answer.collectives


def _other_version() -> None:
    import aisp_prof.version

    aisp_prof.version.__version__ = "0.0.1"


def _without() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "aisp_prof"]:
        del sys.modules[name]
    sys.modules["aisp_prof"] = None  # type: ignore[assignment]  # as if it were not installed


@pytest.mark.parametrize(("change", "said"), [(_other_version, "has 0.0.1"), (_without, "has none")])
def test_workers_that_are_not_fit_are_named_before_anything_is_sent(
    run: Path, cluster: Any, change: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    change.__module__ = "__main__"  # sent by its code, not by the name of this module, which workers lack
    with Client(cluster) as client:
        client.run(change)
        (address,) = client.scheduler_info()["workers"]
    with pytest.raises(EnvironmentLacks) as caught:
        RankFiles.named(run, where=Where(scheduler=cluster.scheduler_address)).summary()
    assert said in str(caught.value)
    assert address in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_scheduler_that_does_not_answer_is_an_environment_that_lacks_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aisp_prof.profiler.ranks.workers.ANSWER_S", 1.0)
    with pytest.raises(EnvironmentLacks, match="no Dask scheduler with workers answers"):
        RankFiles.named(run, where=Where(scheduler="tcp://127.0.0.1:9")).summary()


def test_without_dask_few_traces_are_read_and_workers_are_told_how_to_get(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(spread, "FEW", 2)
    assert RankFiles.named(run).summary().whole
    with pytest.raises(EnvironmentLacks) as caught:
        RankFiles.named(run, where=Where(workers=2)).summary()
    assert "pip install 'aisp-prof[ranks]'" in caught.value.mend
