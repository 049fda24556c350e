"""`capture -- PROGRAM` and `capture --baseline … --optimized …`, up to the page and a bundle that a stranger can verify."""

from __future__ import annotations

import json
import lzma
import sqlite3
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from aisp_prof.profiler.capture.program import expected_s
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.store.captures import Store
from aisp_prof.profiler.store.published import published
from as_typed import aisp
from nsys_program import SECRET, make_nsys, make_program

VALUE = "hunter2-of-the-environment"
SLOW = "for n in range(4): step(f'step {n}', 300)"
FAST = "for n in range(4): step(f'step {n}', 150)"


BOTH = (
    "for n in range(8):\n"
    "    for kind, us in (('old', 300), ('new', 150)) if n % 2 else (('new', 150), ('old', 300)): step(f'{kind} step', us)"
)
OLD_AND_NEW = ("--range", "baseline=old step", "--range", "optimized=new step")


class Machine:
    """A folder with a stand-in nsys and two programs, in which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.nsys = folder, make_nsys(folder)
        self.slow, self.fast = (
            make_program(folder, name, body) for name, body in (("slow.py", SLOW), ("fast.py", FAST))
        )

    def __call__(self, *words: object) -> tuple[int, str, str]:
        done = aisp(*words, cwd=self.folder, **{"AISP_NSYS": str(self.nsys), SECRET: VALUE})
        return done.returncode, done.stdout, done.stderr

    def in_turn(self, *words: object) -> tuple[int, str, str]:
        commands = (f"{sys.executable} {one}" for one in (self.slow, self.fast))
        baseline, optimized = commands
        return self("capture", "--baseline", baseline, "--optimized", optimized, "--range", "step*", *words)

    def report(self, name: str, *words: object) -> tuple[int, dict[str, Any]]:
        code, out, err = self("report", f"program:{name}", "--format", "html", "--json", *words)
        assert out, err
        return code, json.loads(out)["proofs"][0]

    @property
    def manifest(self) -> Manifest:
        (one,) = Store(self.folder / "aisp-captures").captures()
        return one.manifest


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_two_programs_run_in_turn_and_prove_a_speedup(machine: Machine) -> None:
    code, out, err = machine.in_turn("--name", "fusion", "--claim", "speedup >= 1.5")
    assert (code, "next: aisp-prof report program:fusion" in out) == (0, True), err
    origin = machine.manifest.origin
    assert origin is not None
    assert "".join(one.variant[0] for one in origin.traced) == "boobboobboob"
    assert "".join(one.variant[0] for one in origin.bare) == "boob"
    code, proof = machine.report("fusion")
    assert (code, proof["verdict"], proof["speedup"]["rounds"]) == (0, "proven", 6)
    assert proof["speedup"]["value"] == pytest.approx(300_500 / 150_500)
    assert {len(proof[v]["iterations"]) for v in ("baseline", "optimized")} == {24}
    codes = {finding["code"] for finding in proof["caveats"]}
    assert "outputs_not_compared" in codes
    assert not codes & {"order_not_chosen", "times_under_tracer"}
    assert set(proof["perturbation"]) == {"baseline", "optimized"}


def test_the_environment_is_known_by_name_and_nowhere_by_value(machine: Machine) -> None:
    make_program(
        machine.folder, "slow.py", f"assert os.environ[{SECRET!r}] == {VALUE!r}\n{SLOW}"
    )  # it is given all of it
    assert machine.in_turn("--repeat", "1")[0] == 0
    manifest = machine.manifest
    assert manifest.origin is not None
    assert SECRET in manifest.origin.environment
    kept = {path.name: path.read_bytes() for path in (machine.folder / "aisp-captures").rglob("*") if path.is_file()}
    assert {"manifest.json", "run.log", "trace.sqlite"} == set(kept)
    assert [name for name, data in kept.items() if VALUE.encode() in data] == []
    assert published(manifest).origin.environment == []  # type: ignore[union-attr]


def test_the_report_of_nsys_is_kept_where_that_is_asked_for(machine: Machine) -> None:
    assert machine.in_turn("--repeat", "1", "--keep-report")[0] == 0
    assert "report.nsys-rep" in machine.manifest.files


def test_too_few_turns_say_how_many_are_needed(machine: Machine) -> None:
    assert (
        machine.in_turn("--repeat", "2", "--claim", "speedup >= 1.5", "--claim", "kernels == 1", "--name", "two")[0]
        == 0
    )
    code, proof = machine.report("two")
    verdicts = [claim["verdict"] for claim in proof["claims"]]
    assert (code, verdicts) == (4, ["unproven", "proven"])
    assert proof["claims"][0]["reasons"][0] == {"code": "few_turns", "values": {"n": 2, "least": 6}, "blocks": ""}


def test_a_bundle_of_programs_is_recomputed(machine: Machine) -> None:
    machine.in_turn("--name", "fusion", "--claim", "speedup >= 1.5")
    code, _, err = machine("report", "program:fusion", "--format", "html", "--bundle", "proof.zip")
    assert code == 0, err
    assert VALUE.encode() not in (machine.folder / "proof.zip").read_bytes()
    assert SECRET.encode() not in (machine.folder / "proof.zip").read_bytes()
    code, out, _ = machine("verify", "proof.zip", "--json")
    assert (code, json.loads(out)["status"]) == (0, "ok")


def test_one_program_is_asked_afterwards(machine: Machine) -> None:
    both = make_program(machine.folder, "both.py", BOTH)
    code, out, err = machine("capture", "--", sys.executable, both, "--epochs", "3")
    assert (code, "program.both  captured as" in out) == (0, True), err
    assert machine.manifest.origin is not None
    assert machine.manifest.origin.commands["all"][1:] == [str(both), "--epochs", "3"]
    code, _, err = machine("report", "program:both", "--format", "html")
    assert (code, "which ranges are the baseline?" in err) == (2, True)
    code, proof = machine.report(
        "both", "--range", "baseline=old step", "--range", "optimized=new step", "--claim", "speedup >= 1.5"
    )
    assert (code, proof["verdict"]) == (0, "proven")


def test_what_ended_in_time_is_told_and_how_to_get_more(machine: Machine) -> None:
    """Seen on a GPU: starts of 11 s, sixteen of them, and nothing said how far it had come."""
    make_program(
        machine.folder, "slow.py", "import os, time\nif os.path.exists('later'): time.sleep(60)\nopen('later', 'w')"
    )
    code, _, err = machine.in_turn("--timeout", "3")
    assert (code, "3 of 4 runs had ended" in err, "--timeout" in err) == (3, True, True)


def test_how_long_the_traced_runs_will_take_is_told() -> None:
    runs = [
        {"variant": one, "began_utc_ns": 0, "ended_utc_ns": int(s * 1e9)}
        for one, s in (("a", 20), ("b", 11), ("b", 11))
    ]
    assert expected_s([("a", ["x"]), ("b", ["y"]), ("b", ["y"])], runs) == 42
    assert expected_s([("c", ["x"])], runs) == 0


def test_two_programs_without_a_range_are_told_of_the_short_way(machine: Machine) -> None:
    code, _, err = machine("capture", "--baseline", "python old.py", "--optimized", "python new.py")
    assert (code, "--range step" in err, (machine.folder / "aisp-captures").exists()) == (2, True, False)


def test_ranges_that_no_run_made_leave_everything_unproven(machine: Machine) -> None:
    """As where the clock was set meanwhile, or a manifest was edited: whose they are nobody can tell."""
    machine.in_turn("--name", "fusion", "--claim", "kernels == 1")
    (path,) = (machine.folder / "aisp-captures").glob("*/manifest.json")
    data = json.loads(path.read_text())
    for run in data["origin"]["traced"]:
        run["began_utc_ns"], run["ended_utc_ns"] = (run[end] - 40_000_000 for end in ("began_utc_ns", "ended_utc_ns"))
    path.write_text(json.dumps(data))
    code, proof = machine.report("fusion")
    assert (code, "ranges_outside_runs" in {f["code"] for f in proof["claims"][0]["reasons"]}) == (4, True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(7)", "failed with exit code 7"),
        ("raise RuntimeError('boom')", "boom"),
        ("import signal; os.kill(os.getpid(), signal.SIGTERM)", "exit code 143"),
    ],
)
def test_a_program_that_fails_leaves_no_capture(machine: Machine, body: str, said: str) -> None:
    make_program(machine.folder, "fast.py", body)
    code, _, err = machine.in_turn()
    assert (code, said in err) == (3, True), err
    assert list((machine.folder / "aisp-captures").iterdir()) == []


def test_a_program_without_gpu_work_is_said(machine: Machine) -> None:
    for name in ("slow.py", "fast.py"):
        make_program(machine.folder, name, "pass")
    code, _, err = machine.in_turn("--repeat", "1")
    assert (code, "not one GPU operation" in err) == (3, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--baseline", "python a.py"), "two programs are compared"),
        (("ch11", "--baseline", "python a.py", "--optimized", "python b.py"), "leave it out"),
        (("--baseline", "python 'a.py", "--optimized", "python b.py", "--range", "step"), "is no command"),
        (("--baseline", "python a.py", "--optimized", "python b.py"), "which ranges"),
        (("--baseline", "python a.py", "--optimized", "python b.py", "--range", "step", "--repeat", "0"), "--repeat"),
        (("ch11:streams", "--repeat", "3"), "says itself"),
        (("ch11", "ch20"), "one too many"),
        ((), "what to capture is not said"),
    ],
)
def test_a_slip_is_answered_before_anything_runs(machine: Machine, words: tuple[str, ...], said: str) -> None:
    code, _, err = machine("capture", *words)
    assert (code, said in err) == (2, True), err
    assert not (machine.folder / "aisp-captures").exists()


def test_a_program_that_cannot_be_started(machine: Machine) -> None:
    code, _, err = machine("capture", "--", "/no/such/program")
    assert (code, "cannot be started" in err) == (3, True)


def test_a_report_of_nsys_is_exported_and_proven(machine: Machine) -> None:
    both = make_program(machine.folder, "both.py", BOTH)
    assert machine("capture", "--keep-report", "--", sys.executable, both)[0] == 0
    (report,) = machine.folder.rglob("report.nsys-rep")
    code, out, err = machine("report", report, *OLD_AND_NEW, "--format", "html", "--json")
    assert code == 0, err
    assert json.loads(out)["proofs"][0]["speedup"]["value"] == pytest.approx(300_500 / 150_500)


def test_a_scrubbed_capture_has_no_names_and_no_paths(machine: Machine) -> None:
    machine.in_turn("--name", "fusion", "--repeat", "1")
    code, _, err = machine("scrub", machine.manifest.id, "-o", "public")
    assert code == 0, err
    assert sorted(path.name for path in (machine.folder / "public").iterdir()) == ["manifest.json", "trace.sqlite.xz"]
    text = (machine.folder / "public" / "manifest.json").read_text()
    assert SECRET not in text
    assert str(machine.folder) not in text
    assert "slow.py" in text  # its name stays in the caption, without the folders


def test_a_program_with_other_threads_may_be_counted_by_process(machine: Machine) -> None:
    assert (
        machine.in_turn("--attribution", "process", "--repeat", "1", "--name", "fusion", "--claim", "kernels == 1")[0]
        == 0
    )
    assert machine.manifest.declaration.attribution == "process"
    assert machine.report("fusion")[0] == 0


REAL = Path(__file__).parents[1] / "traces" / "programs"
"""`capture -- python3 train.py both 12` (train.py lies there) on an H200, 2026-11-30, scrubbed: a Llama's training step."""


def test_a_real_training_step_is_what_sql_says(tmp_path: Path) -> None:
    """AdamW fused against parameter by parameter, in turn in one process; autograd launches from threads of its own."""
    words = ("report", "program:train_both", "--captures", REAL, "--format", "html", "--json")
    done = aisp(*words, cwd=tmp_path)
    (proof,) = json.loads(done.stdout)["proofs"]
    assert (done.returncode, proof["verdict"], proof["completeness"]["status"]) == (0, "proven", "complete")
    (packed,) = REAL.glob("*/trace.sqlite.xz")
    (tmp_path / "trace.sqlite").write_bytes(lzma.decompress(packed.read_bytes()))
    times = {name: spans_by_hand(tmp_path / "trace.sqlite", name) for name in ("loop step", "fused step")}
    assert {len(one) for one in times.values()} == {12}
    assert proof["speedup"]["value"] == median(times["loop step"]) / median(times["fused step"])
    for variant, name in (("baseline", "loop step"), ("optimized", "fused step")):
        assert [one["end"] - one["start"] for one in proof[variant]["iterations"]] == times[name]
    codes = {finding["code"] for finding in proof["caveats"]}
    assert codes >= {"outputs_not_compared", "order_of_program", "bare_run_slow", "other_processes"}
    assert not codes & {"other_threads", "manifest_contradicts"}


def test_by_its_own_thread_a_training_step_lacks_its_backward_and_says_so(tmp_path: Path) -> None:
    words = ("--range", "baseline=loop step", "--range", "optimized=fused step", "--attribution", "thread")
    done = aisp("report", "program:train_both", "--captures", REAL, *words, "--format", "html", "--json", cwd=tmp_path)
    told = [one for one in json.loads(done.stdout)["proofs"][0]["caveats"] if one["code"] == "other_threads"]
    assert [one["values"]["variant"] for one in told] == ["baseline", "optimized"]


def spans_by_hand(trace: Path, name: str) -> list[int]:
    """Of each range of a name what its process launched inside, from the first start to the last end, in the order of time."""
    ops = " union all ".join(
        f"select start, end, correlationId from CUPTI_ACTIVITY_KIND_{table}" for table in ("KERNEL", "MEMCPY", "MEMSET")
    )
    query = f"""with ops as ({ops}) select max(ops.end) - min(ops.start) from NVTX_EVENTS n
        join CUPTI_ACTIVITY_KIND_RUNTIME r on r.start >= n.start and r.end <= n.end
        join ops on ops.correlationId = r.correlationId where n.text = ? group by n.rowid order by n.start"""
    with sqlite3.connect(trace) as database:
        return [ns for (ns,) in database.execute(query, (name,))]
