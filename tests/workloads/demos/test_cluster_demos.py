"""Demos of chapters 10 and 11 on clusters, pipelines and streams: the measuring itself on a CPU, and that nothing wrong is timed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest
import torch
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.kernels.driver import cufile
from aisp_prof.workloads.ch11.stream_ordered import Temporaries
from aisp_prof.workloads.ch11.warp_specialization_multistream import Arrays
from aisp_prof.workloads.demos import (
    both,
    cluster_group,
    gds,
    kv_prefetch,
    memory_pipeline,
    streams_ordered_cuda,
    streams_overlap_cuda,
    streams_warp_specialized,
    turns,
)
from aisp_prof.workloads.device import CpuDevice

SMALL: dict[Any, list[str]] = {
    memory_pipeline: ["--mib", "1", "--rounds", "2"],
    cluster_group: ["--mib", "1", "--rounds", "2", "--teams", "2", "4"],
    streams_overlap_cuda: ["--mib", "1", "--iterations", "2", "--steps", "3"],
    streams_ordered_cuda: ["--steps", "3", "--iterations", "2", "--rounds", "2"],
    streams_warp_specialized: ["--mib", "1", "--rounds", "2"],
    kv_prefetch: ["--sequences", "2", "--kv-heads", "2", "--tokens", "100", "--rounds", "2"],
}


def measured(module: Any, arguments: list[str]) -> list[str]:
    parser = argparse.ArgumentParser()
    module._options(parser)
    lines: list[str] = module.measure(CpuDevice(), parser.parse_args(arguments))
    return lines


@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.DEMO.name)
def test_it_prints_what_it_timed(module: Any) -> None:
    lines = measured(module, SMALL[module])
    timed = [line for line in lines if "median" in line and "n 4  min" in line]
    assert len(timed) == {memory_pipeline: 12, cluster_group: 8, streams_warp_specialized: 4}.get(module, 2)


def test_no_cluster_leaves_what_needs_none() -> None:
    text = "\n".join(measured(cluster_group, ["--mib", "1", "--rounds", "1", "--teams", "2", "--no-cluster"]))
    assert "no cluster, through L2" in text
    assert "cluster, DSMEM" not in text
    assert "\ncluster, through L2" not in text


def test_a_team_of_another_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        measured(cluster_group, ["--teams", "3"])
    assert "3 is none of 2, 4, 8, 16" in capsys.readouterr().err


def spoilt(run: Callable[..., None], output: Callable[..., torch.Tensor]) -> Callable[..., None]:
    def wrong(*arguments: Any) -> None:
        run(*arguments)
        output(*arguments).view(-1)[0] += 1000

    return wrong


WRONG = {
    memory_pipeline: (memory_pipeline.tile_pipeline, "chain", lambda x, y, *rest: y),
    cluster_group: (cluster_group.rows, "eager", lambda x, y: y),
    streams_overlap_cuda: (streams_overlap_cuda.affine_chain, "fused", lambda x, y, *rest: y),
    streams_ordered_cuda: (Temporaries, "run", lambda work, variant: work.output),
    streams_warp_specialized: (Arrays, "run", lambda work, variant: work.output),
    kv_prefetch: (kv_prefetch.paged_attention, "attend", lambda *tensors: tensors[-1]),
}


@pytest.mark.parametrize("module", WRONG, ids=lambda module: module.DEMO.name)
def test_a_wrong_result_is_not_timed(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    holder, name, output = WRONG[module]
    monkeypatch.setattr(holder, name, spoilt(getattr(holder, name), output))
    with pytest.raises(AispError, match="differs from fp64"):
        measured(module, SMALL[module])


def test_nan_is_not_timed() -> None:
    with pytest.raises(AispError, match="differs from fp64 by nan"):
        turns.check("it", float("nan"), 1)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CHUNK": 1 << 14, "COLUMNS": 64, "ROWS": 128}.items():
        monkeypatch.setattr(gds, name, value)


@pytest.mark.usefixtures("tiny")
def test_without_cufile_a_file_is_read_plainly_and_said_so(tmp_path: Any) -> None:
    lines = measured(gds, ["--mib", "1", "--products", "2", "--folder", str(tmp_path)])
    assert lines[1].startswith("mode      compat, by read and copy without cuFile: no GPU")
    assert lines[-1].startswith("overlap")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tiny")
def test_a_chunk_that_came_wrong_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    compare = gds.Work.compare

    def swapped(work: Any, path: Any) -> None:
        read = work._read
        work._read = lambda chunk, to: read(chunk ^ 1, to)
        compare(work, path)

    monkeypatch.setattr(gds.Work, "compare", swapped)
    with pytest.raises(AispError, match="chunk 0 on the device is not what"):
        measured(gds, ["--mib", "1", "--products", "1", "--folder", str(tmp_path)])


def test_both_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in both.PARTS:
        monkeypatch.setattr(part, "measure", lambda device, asked, part=part: [f"{part.DEMO.name} of {asked.mib}"])
    lines = measured(both, ["--mib", "3"])
    assert lines == [
        "ch10-memory-pipeline",
        "  ch10-memory-pipeline of 3",
        "ch10-gds",
        "  ch10-gds of 3",
    ]


def test_without_the_library_the_wheel_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(cufile, "_of_wheel", list)
    monkeypatch.setattr(cufile, "LIBRARY", "libcufile-of-nobody.so.0")
    with pytest.raises(EnvironmentLacks, match="is not there") as refused, cufile.opened(tmp_path / "file"):
        pass
    assert "aisp-prof[gds]" in refused.value.mend


def test_a_driver_that_does_not_open_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    class Library:
        @staticmethod
        def cuFileDriverOpen() -> cufile.Status:
            return cufile.Status(5001, 3)

    monkeypatch.setattr(cufile, "_library", Library)
    with pytest.raises(EnvironmentLacks, match="error 5001 of cuFile, 3 of CUDA"), cufile.opened(tmp_path / "file"):
        pass


def test_a_run_is_queued_before_it_may_begin() -> None:
    """Without the hold the host's calls are part of a short run: four launches on four streams took 1.53 ms for 1.16."""
    done: list[str] = []

    class Noting(CpuDevice):
        def hold(self, stream: Any, ns: int) -> None:
            done.append("held")

        def event(self) -> Any:
            made = super().event()
            record = made.record
            made.record = lambda stream: (done.append("event"), record(stream))  # type: ignore[method-assign]
            return made

    device = Noting()
    times = turns.in_turn(device, device.stream(), {"one": lambda: done.append("work")}, rounds=1)
    assert len(times["one"]) == 2
    assert done == ["held", "event", "work", "event"] * (turns.WARMUP + 2)
