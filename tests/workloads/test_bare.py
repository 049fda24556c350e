"""A pair module run by itself: results on stdout, progress and errors on stderr, exit codes, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import aisp_prof
import pytest
import torch
from aisp_prof.workloads.bare import gains, main
from aisp_prof.workloads.ch11.streams import PAIR, ChunkedChain
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.record import Measurement, Timed

CPU = ["--device", "cpu"]


def test_validate_checks_and_times_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PAIR, [*CPU, "--validate", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert "outputs: valid" in out
    assert "zeros rejected, stale rejected, permuted rejected" in out
    assert "median" not in out
    assert "seed 3" in err


def test_trace_prints_medians_with_n_and_spread(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PAIR, [*CPU, "--trace", "--iterations", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "median" in line]
    assert [line.split()[0] for line in lines] == ["baseline", "optimized"]
    assert all("n 2" in line and "min" in line and "max" in line for line in lines)


def measured(times: dict[str, list[int]]) -> Measurement:
    """So many ns of each variant, in the order they ran."""
    runs = tuple(Timed(name, i, ns) for name, all_ns in times.items() for i, ns in enumerate(all_ns))
    return Measurement(dict.fromkeys(times, 1), 0, runs)


def test_each_step_says_what_it_gained_with_its_interval() -> None:
    """Ten rounds: the median lies between the second and the ninth ratio with 97.9 %, 1 − 2·(1 + 10)/2¹⁰."""
    slow = [ns for number in range(10) for ns in (1000 + 10 * number, 3000 + 10 * number)]
    lines = gains(measured({"baseline": slow, "half": [ns // 2 for ns in slow], "optimized": [1000] * 20}))
    assert lines[0] == "baseline → half  2.000× the throughput [2.000, 2.000], 10 rounds"
    assert lines[1].startswith("half → optimized  1.022")
    assert lines[2] == "baseline → optimized  2.045× the throughput [2.010, 2.080], 10 rounds"


def test_variants_beyond_the_optimized_one_are_held_against_it() -> None:
    times = {"baseline": [4] * 20, "optimized": [2] * 20, "eight": [1] * 20, "slow": [8] * 20}
    shown = [line.partition(" the ")[0] for line in gains(measured(times))]
    assert shown == ["baseline → optimized  2.000×", "optimized → eight  2.000×", "optimized → slow  0.250×"]


def test_of_too_few_rounds_nothing_is_said_of_gains() -> None:
    assert gains(measured({"baseline": [2] * 10, "optimized": [1] * 10})) == []
    assert len(gains(measured({"baseline": [2] * 12, "optimized": [1] * 12}))) == 1


def test_invalid_outputs_exit_1_with_a_record(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    class Broken(ChunkedChain):
        def run(self, variant: str) -> None:
            self.output.zero_()

    path = tmp_path / "record.json"
    assert main(Pair(PAIR.declaration, Broken), [*CPU, "--record", str(path)]) == 1
    assert "NOT VALID, so nothing was timed" in capsys.readouterr().out
    record = json.loads(path.read_text())
    assert record["validation"]["valid"] is False
    assert record["iterations"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--iterations", "3"], "A B B A"),
        (["--size", "huge"], "no size 'huge'"),
        (["--record", "/nowhere/at/all.json"], "cannot write"),
    ],
)
def test_usage_errors_exit_2_with_the_mend(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(PAIR, [*CPU, *arguments]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert "mend: " in err
    assert out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("tier", [[], ["minimal"]])
def test_profile_is_not_taken_for_profile_mode(capsys: pytest.CaptureFixture[str], tier: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(PAIR, [*CPU, "--profile", *tier])
    assert ended.value.code == 2
    assert f"aisp-prof capture ch11:streams --profile {' '.join(tier) or 'TIER'}" in capsys.readouterr().err


@pytest.mark.parametrize(("variable", "told"), [("", True), ("NSYS_PROFILING_SESSION_ID", False)])
def test_trace_without_nsys_says_what_traces(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, told: bool
) -> None:
    for name in ("NSYS_PROFILING_SESSION_ID", "CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    assert main(PAIR, [*CPU, "--trace", "--iterations", "2"]) == 0
    assert ("this makes one: aisp-prof capture ch11:streams" in capsys.readouterr().err) is told


def test_a_missing_gpu_exits_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PAIR, ["--validate"]) == 3
    assert "no CUDA device" in capsys.readouterr().err


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    root = Path(aisp_prof.__file__).parent / ".pythonpath"
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"}
    path = tmp_path / "record.json"
    command = [sys.executable, "-W", "error", "-m", PAIR.module, *CPU, "--iterations", "2", "--record", str(path)]
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "outputs: valid" in found.stdout
    assert json.loads(path.read_text())["pair"] == "ch11.streams"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the pair cannot run on one here")
def test_the_pair_on_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert main(PAIR, ["--size", "small", "--iterations", "4", "--record", str(path)]) == 0
    record = json.loads(path.read_text())
    assert record["device"] == "cuda"
    assert record["gpu"]["uuid"].startswith("GPU-")
    assert record["validation"]["bitwise"] is True
    assert len(record["iterations"]) == 8


def test_sizes_as_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PAIR, ["--device", "cpu", "--validate", "--sizes", "1", "4", "2"]) == 0
    assert "size 1x4x2" in capsys.readouterr().out
    assert main(PAIR, ["--device", "cpu", "--validate", "--sizes", "1", "3", "2"]) == 2
