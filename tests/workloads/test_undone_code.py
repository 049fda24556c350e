"""What runs where an optimization is taken back, on a CPU: whose code, on how many streams, and how often is waited."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from aisp_prof.benchmarks import undone as benchmark
from aisp_prof.declaration import is_chapter
from aisp_prof.errors import UsageError
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.profiler.store.manifest import folder_facts, write_manifest
from aisp_prof.workloads.ch11.streams import PAIR, ChunkedChain
from aisp_prof.workloads.ch20.pipeline_sequential import PAIR as PIPELINE
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.registry import pairs
from aisp_prof.workloads.undone import ONE_STREAM, SYNC, forms, undone
from exchanged import exchanged

SIZES = PAIR.declaration.sizes["small"]


def test_a_variant_runs_the_other_ones_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ChunkedChain, "run", lambda self, variant: asked.append(variant))
    workload = undone(PAIR, "optimized=baseline").build(CpuDevice(), SIZES)
    for variant in ("baseline", "optimized"):
        workload.run(variant)
    assert asked == ["baseline", "baseline"]


def test_streams_become_one_and_their_number_stays() -> None:
    plain, serial = (pair.build(CpuDevice(), SIZES).streams for pair in (PAIR, undone(PAIR, ONE_STREAM)))
    assert len(plain) == len(serial) > 1
    assert len(set(map(id, plain))) == len(plain)
    assert len(set(map(id, serial))) == 1


def test_one_wait_more_in_the_optimized_variant_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    device, waits = CpuDevice(), []
    workload = undone(PAIR, SYNC).build(device, SIZES)
    monkeypatch.setattr(CpuDevice, "synchronize", lambda self: waits.append(1))
    workload.inputs(1)
    workload.run("baseline")
    assert not waits
    workload.run("optimized")
    assert waits == [1]


@pytest.mark.parametrize("form", ["optimized=resident", "resident=baseline", ONE_STREAM, SYNC])
def test_it_runs_as_a_pair_of_its_own_with_the_claims_as_they_are(form: str) -> None:
    pair = undone(PIPELINE, form)
    record = run_pair(pair, device="cpu", iterations=2)
    assert record.validation.valid
    assert record.pair == pair.key != PIPELINE.key
    assert not is_chapter(pair.declaration.chapter)
    assert pair.declaration.claims == PIPELINE.declaration.claims
    assert {
        lang: text.partition(" — ")[0] for lang, text in pair.declaration.title.items()
    } == PIPELINE.declaration.title


def test_every_step_of_every_pair_has_a_form() -> None:
    for pair in pairs():
        for form in forms(pair.declaration):
            assert undone(pair, form).key.startswith("undone.")
    assert forms(PIPELINE.declaration) == ("optimized=baseline", "resident=baseline", "optimized=resident")


@pytest.mark.parametrize("form", ["optimised=baseline", "optimized=", "optimized=optimized", "streams"])
def test_what_nobody_can_undo_is_named(form: str) -> None:
    with pytest.raises(UsageError, match=r"ch11\.streams can undo") as refused:
        undone(PAIR, form)
    assert "optimized=baseline" in str(refused.value.mend)


def of_an_undone_pair(folder: Path) -> str:
    """A capture as `capture` would make it of ch11.streams with the baseline's code in both variants; the form that it is of."""
    form = "optimized=baseline"
    pair, newest = undone(PAIR, form), shipped_store().newest(PAIR.key)
    assert newest is not None
    made = exchanged(newest, folder / "made", {"optimized": "baseline"})
    with sqlite3.connect(made.folder / "trace.sqlite") as trace:
        for table, column in (("StringIds", "value"), ("NVTX_EVENTS", "text")):
            trace.execute(f"UPDATE {table} SET {column} = replace({column}, '{PAIR.key}.', '{pair.key}.')")
    data = json.loads(json.dumps(made.manifest.to_json()))
    created = data["created_utc"].replace("-", "").replace(":", "").partition(".")[0]
    data |= {"id": f"{pair.key}-{created}Z-000000", "declaration": pair.declaration.to_json()}
    for run in data["runs"].values():
        run["pair"] = pair.key
    target = folder / "captures" / data["id"]
    shutil.copytree(made.folder, target)
    (target / "manifest.json").unlink()
    write_manifest(Manifest.from_json({**data, "files": folder_facts(target)}), target)
    return form


def test_the_benchmark_tells_which_claims_the_report_of_a_form_refutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its captures need a GPU; what it makes of one does not. Without one it says so, with the exit code of a machine that lacks something."""
    form, run, asked = of_an_undone_pair(tmp_path), subprocess.run, []
    assert list(benchmark.cases([f"ch11:streams={form}"])) == [("ch11:streams", form)]

    def only_report(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return run(command if "report" in command else ["true"], **options)

    monkeypatch.setattr(benchmark.subprocess, "run", only_report)
    answer = benchmark.judged("ch11:streams", form, tmp_path, ["--profile", "minimal"])
    assert [command[4] for command in asked] == ["capture", "report"]
    assert (answer["verdict"], answer["exit"]) == ("refuted", 1)
    assert any(claim.startswith("speedup") for claim in answer["refuted"])
    assert "refuted" in benchmark.line("ch11:streams", form, answer)
    assert "ended with 3" in benchmark.line("ch11:streams", form, {"not_run": "capture ended with 3"})
