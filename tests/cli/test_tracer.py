"""`--tracer cupti` and `trace record`, from the program to a bundle that a stranger verifies, with a stand-in for CUPTI."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import traced
from aisp_prof.profiler.store.captures import Store
from aisp_prof.profiler.tracer import library
from as_typed import aisp
from nsys_program import make_nsys


class Typed:
    """A folder in which commands are typed, on a machine without nsys."""

    def __init__(self, machine: traced.Traced) -> None:
        self.machine, self.folder, self.program = machine, machine.folder, machine.program

    def __call__(self, *words: object, **environment: str) -> tuple[int, str, str]:
        given = {"PATH": "/nowhere", **self.machine.variables, **environment}
        done = aisp(*words, cwd=self.folder, **given)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    machine = traced.make(tmp_path)
    monkeypatch.setattr(library, "FILE", machine.built / "_tracer.so")
    monkeypatch.setattr("aisp_prof.profiler.capture.nsys.PLACES", ())
    for variable in ("CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH"):
        monkeypatch.delenv(variable, raising=False)
    return Typed(machine)


def test_two_programs_are_compared_reported_bundled_and_verified(typed: Typed) -> None:
    baseline, optimized = (f"{typed.program} cuda {kind} 4" for kind in ("slow", "fast"))
    asked = ("--range", "baseline=slow step", "--range", "optimized=fast step", "--name", "hidden")
    claims = ("--claim", "kernels == 2", "--claim", "overlap(h2d, compute) >= 20us")
    code, out, err = typed("capture", "--baseline", baseline, "--optimized", optimized, *asked, *claims)
    assert (code, "captured as program.hidden" in out) == (0, True), err
    assert "running under the aisp-prof tracer" in err
    (capture,) = Store(typed.folder / "aisp-captures").captures()
    assert capture.manifest.versions["tracer"] == "aisp-prof tracer (CUPTI 13.0)"
    assert capture.manifest.versions["nsys"] is None
    assert {path.name for path in capture.folder.iterdir()} == {"manifest.json", "run.log", "trace.sqlite"}
    code, out, err = typed("report", "program:hidden", "--format", "html", "--bundle", "proof.zip", "--json")
    assert out, err
    proof = json.loads(out)["proofs"][0]
    assert (code, [claim["verdict"] for claim in proof["claims"]]) == (0, ["proven", "proven"]), out
    assert {len(proof[variant]["iterations"]) for variant in ("baseline", "optimized")} == {24}
    with zipfile.ZipFile(typed.folder / "proof.zip") as bundle:
        page = bundle.read(next(name for name in bundle.namelist() if name.endswith(".html"))).decode("utf-8")
    assert "aisp-prof tracer (CUPTI 13.0)" in page
    assert "Nsight Systems" not in page
    code, out, err = typed("verify", "proof.zip", "--json")
    assert (code, json.loads(out)["status"]) == (0, "ok"), err


def test_a_killed_program_proves_nothing(typed: Typed) -> None:
    code, _, err = typed("trace", "record", "-o", "run.sqlite", "--", typed.program, "cuda", "slow", "3", "kill")
    assert (code, "ended with exit code 137; what it did until then is in run.sqlite" in err) == (3, True)
    assert typed("assert", "run.sqlite", "kernels >= 0")[0] == 4


def summary(typed: Typed, trace: str) -> dict[str, Any]:
    code, out, err = typed("trace", "summary", trace, "--json")
    assert code == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_a_program_of_ones_own_becomes_a_trace(typed: Typed) -> None:
    record = ("trace", "record", "-o", "run.sqlite", "--json", "--")
    code, out, err = typed(*record, typed.program, "cuda", "slow", "3", "fast", "2", "graph", "1")
    assert code == 0, err
    assert json.loads(out)["rows"] == [
        {"file": "run.sqlite", "recorded_by": "aisp-prof tracer (CUPTI 13.0)", "exit_code": 0}
    ]
    assert [path.name for path in typed.folder.iterdir()] == ["run.sqlite"]
    answer = summary(typed, "run.sqlite")
    assert (answer["completeness"]["status"], answer["ledger_closes"]) == ("complete", True)
    assert answer["notes"] == ["recorded by the aisp-prof tracer (CUPTI 13.0)"]
    assert typed("assert", "run.sqlite", "kernels == 3", "--range", "slow step")[0] == 0
    assert typed("assert", "run.sqlite", "kernels == 3", "--range", "fast step")[0] == 1


@pytest.mark.parametrize(("command", "said"), [(["false"], "exit code 1"), (["nosuch"], "exit code 127")])
def test_a_program_that_fails_before_it_uses_cuda_is_said_to_have_failed(
    typed: Typed, command: list[str], said: str
) -> None:
    code, out, err = typed("trace", "record", "-o", "run.sqlite", "--", *command, PATH="/usr/bin:/bin")
    assert (code, out, said in err, "statically" in err) == (3, "", True, False), err
    assert not list(typed.folder.iterdir())


def test_another_client_is_told_at_once(typed: Typed) -> None:
    record = ("trace", "record", "--tracer", "cupti", "-o", "run.sqlite", "--", typed.program, "cuda", "slow", "3")
    code, _, err = typed(*record, STAND_IN_OTHER="CUPTI for Kineto")
    assert (code, "another client of CUPTI is attached: CUPTI for Kineto" in err, "→ end it first" in err) == (
        3,
        True,
        True,
    )
    code, _, err = typed(
        "capture", "--tracer", "cupti", "--", typed.program, "cuda", "slow", "3", STAND_IN_OTHER="nsys"
    )
    assert (code, "another client of CUPTI is attached: nsys" in err) == (3, True)
    code, _, err = typed(*record, NVTX_INJECTION64_PATH="/opt/nvidia/libToolsInjection64.so")
    assert (code, "another tracer is there already" in err) == (3, True)
    assert not (typed.folder / "run.sqlite").exists()


def test_auto_takes_nsys_where_it_is_found(typed: Typed) -> None:
    nsys = make_nsys(typed.folder)
    (typed.folder / "steps.txt").write_text("7 1000000000000 300 step\n")
    record = ("trace", "record", "-o", "run.sqlite", "--json", "--")
    code, out, err = typed(*record, "/bin/true", AISP_NSYS=str(nsys))
    assert code == 0, err
    assert json.loads(out)["rows"][0]["recorded_by"] == "Nsight Systems 2025.3.2.474"


def test_which_tracer_is_missing_is_said(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    record = ("trace", "record", "-o", "run.sqlite")
    assert typed(*record, "--tracer", "perf", "--", "true")[0] == 2
    code, _, err = typed(*record, "--tracer", "nsys", "--", "true")
    assert (code, "no usable Nsight Systems" in err) == (3, True)
    monkeypatch.setattr(library, "FILE", Path("/nowhere"))
    monkeypatch.delenv("CC", raising=False)
    code, _, err = typed(*record, "--", "true", AISP_CACHE=str(typed.folder / "empty"))
    assert (code, "no usable Nsight Systems" in err, "no C compiler" in err) == (3, True, True)
    assert typed("trace", "record", "--", "true")[0] == 2
    assert typed("trace", "record", "-o", "run.json", "--", "true")[0] == 2


def test_the_comparison_on_a_gpu_finds_what_differs() -> None:
    """benchmarks/tracers.py, which no machine without a GPU runs as a whole."""
    spec = importlib.util.spec_from_file_location("tracers", Path(__file__).parents[2] / "benchmarks" / "tracers.py")
    assert spec
    assert spec.loader
    room = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(room)

    def proof(kernels: int, length: int, verdict: str, cost: float, kept_count: int = 1) -> dict[str, Any]:
        one = {
            "start": 0,
            "end": length,
            "numbers": {**dict.fromkeys(room.COUNTS, 1), "kernels_per_iteration": kernels},
        }
        kept = {
            "name": "kept",
            "iterations": [one | {"end": 1000, "numbers": dict.fromkeys(room.COUNTS, kept_count)}] * 4,
        }
        sides = {side: {"name": side, "iterations": [one] * 4} for side in ("baseline", "optimized")}
        claims = [{"text": "speedup > 1", "verdict": verdict}]
        return {
            **sides,
            "between": [kept],
            "claims": claims,
            "completeness": {"status": "complete"},
            "perturbation": dict.fromkeys(sides, cost),
        }

    nsys = proof(3, 1000, "proven", 1.01)
    assert room.differences(nsys, proof(3, 1005, "proven", 1.005)) == []
    assert [one.partition(" [")[0] for one in room.differences(nsys, proof(4, 1000, "refuted", 1.0))] == [
        "baseline: kernels_per_iteration",
        "optimized: kernels_per_iteration",
        "speedup > 1: proven and refuted",
    ]
    assert [one.partition(" [")[0] for one in room.differences(nsys, proof(3, 1000, "proven", 1.0, 2))] == [
        f"kept: {count}" for count in room.COUNTS
    ]
    assert room.differences(nsys, proof(3, 1100, "proven", 1.03)) == [
        "baseline: the median iteration differs by +10.00%, tracing explains 4.00%",
        "baseline: tracing costs 1.030, nsys 1.010",
        "optimized: the median iteration differs by +10.00%, tracing explains 4.00%",
        "optimized: tracing costs 1.030, nsys 1.010",
    ]
