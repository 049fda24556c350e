"""The gate on a CPU: one candidate of each kind that must be refused, one that is admitted, and what is left afterwards."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
from aisp_prof.errors import CannotTell, UsageError
from aisp_prof.kernels.emit.artifacts import Artifacts
from aisp_prof.kernels.emit.spec import Spec, parse_spec
from aisp_prof.workloads.gate import isolate
from aisp_prof.workloads.gate.gate import Limits, Request, gate
from aisp_prof.workloads.gate.isolate import run_job
from aisp_prof.workloads.gate.job import Job
from aisp_prof.workloads.gate.runners import find_runner
from aisp_prof.workloads.gate.spec_task import SpecTask
from aisp_prof.workloads.gate.verdict import Verdict
from aisp_prof.workloads.measure import order

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """
version = 1
name = "soft"
dtype = "fp32"
shape = [33, 64]
[[steps]]
op = "softmax"
"""

GOOD = """
import torch
def run(inputs, output):
    torch.softmax(inputs[0], -1, out=output)
"""

SLOW = GOOD.replace("def run", "import time\ndef run").replace("    torch", "    time.sleep(0.02)\n    torch")

READS_BEYOND = """
import torch
def run(inputs, output):
    rows, columns = inputs[0].shape
    wide = inputs[0].as_strided((rows, columns + 1), (columns, 1))
    output.copy_(torch.softmax(wide, -1)[:, :columns])
"""

STALE = """
import torch
kept = {}
def run(inputs, output):
    shape = inputs[0].shape
    if shape not in kept: kept[shape] = torch.softmax(inputs[0], -1)
    output.copy_(kept[shape])
"""

NO_TAIL = """
import torch
def run(inputs, output):
    whole = output.shape[1] // 8 * 8 or 1
    output[:, :whole] = torch.softmax(inputs[0], -1)[:, :whole]
"""

WRONG_LATER = """
import torch
calls = 0
def run(inputs, output):
    global calls
    calls += output.shape == (33, 64)
    if calls < 4: torch.softmax(inputs[0], -1, out=output)
"""

SAME = "it returned the same output for two different inputs"

REFUSED = {
    "crash": ("import os\ndef run(inputs, output): os.abort()", "it crashed: SIGABRT, running the candidate at 1 x 64"),
    "segfault": ("import ctypes\ndef run(inputs, output): ctypes.string_at(0)", "it crashed: SIGSEGV"),
    "crash-on-import": ("import os\nos.abort()", "it crashed: SIGABRT, loading the candidate"),
    "hang": (
        "import time\ndef run(inputs, output): time.sleep(1e6)",
        "it hung: no end after 12 s, running the candidate at 1 x 64",
    ),
    "hog": ("import torch\ndef run(inputs, output): torch.empty(1 << 34)", "it took more than 0.25 GiB of memory"),
    "early-exit": ("import os\ndef run(inputs, output): os._exit(0)", "it ended its process early, with exit code 0"),
    "raises": ("def run(inputs, output): raise RuntimeError('no such luck')", "it raised RuntimeError: no such luck"),
    "no-run": ("def walk(inputs, output): pass", "it cannot be run: .* has no function run"),
    "writes-after-its-output": (
        GOOD + "    import ctypes\n    ctypes.memset(output.data_ptr() + output.numel() * 4, 0, 4)",
        "at 1 x 64: it wrote outside its output",
    ),
    "writes-before-its-output": (
        GOOD + "    import ctypes\n    ctypes.memset(output.data_ptr() - 4, 0, 4)",
        "at 1 x 64: it wrote outside its output",
    ),
    "reads-beyond-its-input": (READS_BEYOND, r"at 1 x 64: 64 elements are wrong, the first at \[0, 0\]: nan"),
    "changes-inputs": (GOOD + "    inputs[0].zero_()", "at 1 x 64: it changed its inputs"),
    "constant": ("def run(inputs, output): output.fill_(1 / output.shape[-1])", f"at 1 x 64: {SAME}"),
    "stale": (STALE, f"at 1 x 64: {SAME}"),
    "writes-nothing": ("def run(inputs, output): pass", "at 1 x 64: it wrote nothing"),
    "wrong-on-an-edge": (
        NO_TAIL,
        r"at 3 x 2: 3 elements are wrong, the first at \[0, 1\]: nan instead of .*; 3 elements hold what was there before",
    ),
    "wrong-on-nan": (
        GOOD.replace("inputs[0]", "inputs[0].nan_to_num()"),
        "at 7 x 64, with NaN, infinities and zeros: .* instead of nan",
    ),
    "wrong-later": (WRONG_LATER, "wrong while it was timed: 2112 elements are wrong"),
    "slow": (SLOW.replace("0.02", "0.06"), "right in every case, but .* the current best's speed"),
}


@pytest.fixture
def spec() -> Spec:
    return parse_spec(SPEC, "soft")


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def request(spec: Spec, folder: Path, candidate: str, **more: object) -> Request:
    """To judge a module's text against one that takes 20 ms."""
    files = {"candidate.py": candidate, "current.py": SLOW}
    for name, text in files.items():
        (folder / name).write_text(dedent(text))
    found = {name: find_runner(str(folder / name)) for name in files}
    limits = Limits(timeout_s=float(more.pop("timeout_s", 120)), memory_bytes=1 << 28)  # type: ignore[arg-type]
    return Request(SpecTask(spec), *found.values(), "cpu", 5, "test.gate", 24, limits=limits, **more)  # type: ignore[arg-type]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_FEATURES", "something.else,test.gate")


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind: str, spec: Spec, artifacts: Artifacts, tmp_path: Path) -> None:
    text, reason = REFUSED[kind]
    asked = request(spec, tmp_path, text, **({"timeout_s": 12} if kind == "hang" else {}))
    verdict, path = gate(asked, artifacts)
    assert (verdict.status, verdict.exit_code) == ("refused", 1), verdict.reason
    assert re.search(reason, verdict.reason), verdict.reason
    kept = json.loads(path.read_text())
    assert (kept["status"], kept["reason"]) == ("refused", verdict.reason)
    assert artifacts.get(path)


@pytest.mark.usefixtures("on")
def test_a_good_one_is_admitted_with_all_that_was_found(spec: Spec, artifacts: Artifacts, tmp_path: Path) -> None:
    verdict, path = gate(request(spec, tmp_path, GOOD), artifacts)
    assert (verdict.status, verdict.exit_code) == ("admitted", 0), verdict.reason
    kept = json.loads(path.read_text())
    names = [one["name"] for one in kept["checks"]]
    assert {"3 x 1", "3 x 7", "3 x 65", "33 x 64", "7 x 37, with NaN, infinities and zeros"} <= set(names)
    assert all(one["passed"] for one in kept["checks"] if one["name"] != "compute-sanitizer")
    assert kept["checks"][-1] == {"name": "compute-sanitizer", "words": "not run: not on a CPU", "passed": None}
    assert len(kept["timing"]["baseline_ns"]) == len(kept["timing"]["candidate_ns"]) == 24
    assert 1 <= kept["timing"]["low"] <= kept["timing"]["speedup"] <= kept["timing"]["high"]
    assert kept["candidate"]["sha256"] in {
        one.stem.removeprefix("kernel-") for one in artifacts.folder.glob("kernel-*")
    }


@pytest.mark.usefixtures("on")
def test_the_speed_that_is_asked_for_decides(spec: Spec, artifacts: Artifacts, tmp_path: Path) -> None:
    verdict, _ = gate(request(spec, tmp_path, GOOD, min_speedup=1e6), artifacts)
    assert verdict.status == "refused"
    assert "at least 1e+06× was asked for" in verdict.reason


@pytest.mark.usefixtures("on")
def test_a_current_best_that_is_wrong_is_not_the_candidates_fault(
    spec: Spec, artifacts: Artifacts, tmp_path: Path
) -> None:
    asked = request(spec, tmp_path, GOOD)
    (tmp_path / "current.py").write_text("def run(inputs, output): output.zero_()")
    asked = replace(asked, against=find_runner(str(tmp_path / "current.py")))
    verdict, _ = gate(asked, artifacts)
    assert (verdict.status, verdict.exit_code) == ("unknown", 4)
    assert verdict.reason.startswith("the current best itself is wrong")


HOG = """
import subprocess, sys, time
import torch
def run(inputs, output):
    code = "import time; held = b'x' * (700 << 20); time.sleep(60)"
    for child in [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]: child.wait()
"""


@pytest.mark.usefixtures("on")
def test_the_memory_of_its_children_counts(spec: Spec, artifacts: Artifacts, tmp_path: Path) -> None:
    verdict, _ = gate(request(spec, tmp_path, HOG), artifacts)
    assert verdict.status == "refused"
    assert verdict.reason.startswith("it took more than 0.25 GiB of memory")


KEY = """
import os
def run(inputs, output):
    raise RuntimeError("key " + repr(os.environ.get("AISP_MODEL_KEY")))
"""


@pytest.mark.usefixtures("on")
def test_a_candidate_sees_no_key(
    spec: Spec, artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISP_MODEL_KEY", "secret")
    verdict, _ = gate(request(spec, tmp_path, KEY), artifacts)
    assert "key None" in verdict.reason


@pytest.mark.parametrize("features", [None, "", "test.gates", "other"])
def test_nothing_runs_while_its_feature_is_off(
    features: str | None, spec: Spec, artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AISP_FEATURES", raising=False)
    if features is not None:
        monkeypatch.setenv("AISP_FEATURES", features)
    asked = request(spec, tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\n{GOOD}")
    with pytest.raises(CannotTell, match=r"candidate\.py was not run: the feature test\.gate is off") as caught:
        gate(asked, artifacts)
    assert (caught.value.exit_code, caught.value.mend) == (4, "set AISP_FEATURES=test.gate")
    assert not (tmp_path / "ran").exists()
    assert not artifacts.folder.exists()


def test_what_cannot_be_asked(spec: Spec, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few for an interval"):
        Request(SpecTask(spec), find_runner("eager"), find_runner("eager"), "cpu", 1, "f", iterations=10)
    with pytest.raises(UsageError, match="no candidate"):
        find_runner("kernel.ptx")
    with pytest.raises(UsageError, match="cannot read"):
        find_runner(str(tmp_path / "none.py"))


@pytest.mark.usefixtures("on")
def test_cuda_source_on_a_cpu_is_a_usage_error(spec: Spec, artifacts: Artifacts, tmp_path: Path) -> None:
    from aisp_prof.kernels.emit.cuda import write

    (tmp_path / "one.cu").write_text(write(spec))
    asked = Request(SpecTask(spec), find_runner(str(tmp_path / "one.cu")), find_runner("eager"), "cpu", 1, "test.gate")
    with pytest.raises(UsageError, match="runs on CUDA alone"):
        gate(asked, artifacts)


def test_an_admission_in_spite_of_a_check_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="in spite of a check"):
        Verdict("admitted", "so it is", (("1 x 1", "wrong", False),))


@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on PATH: torch.compile needs it on a CPU")
def test_the_inductor_path_runs_like_any_other(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race alone, which checks values too: every further child would import and compile anew.

    For one kernel Inductor need not compile a test program for each of the CPU's vector extensions, nor keep PyTorch's headers
    compiled, which is three quarters of g++'s work.
    """
    brief = {"VEC_ISA_OK": "1", "CPP_CACHE_PRECOMPILE_HEADERS": "0"}
    for name, value in brief.items():
        monkeypatch.setenv(f"TORCHINDUCTOR_{name}", value)
    monkeypatch.setattr(isolate, "PASSED_ON", (*isolate.PASSED_ON, *(f"TORCHINDUCTOR_{name}" for name in brief)))
    inductor, eager = find_runner("inductor"), find_runner("eager")
    outcome = run_job(Job("race", SpecTask(spec), inductor, eager, "cpu", 5, 12, 1 << 31, tmp_path / "results"), 500)
    assert outcome.ending == "done", outcome
    times = [one["timed"] for one in outcome.results if "timed" in one]
    assert times == list(order(12))
    assert not any("wrong" in one for one in outcome.results)
