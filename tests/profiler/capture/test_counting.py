"""Counting a pair, and the kernels of a shipped trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.machine.child import Watch
from aisp_prof.profiler.capture import counting as room
from aisp_prof.profiler.capture.counting import Counted, collect
from aisp_prof.profiler.counters.traced import traced_kernels
from aisp_prof.profiler.trace.reader import read_trace
from one_by_one import operations_of

CAPTURES = Path(__file__).parents[3] / "captures"


def run(tmp_path):
    watch = Watch(tmp_path / "log", 20, "mark")
    return collect("ch11.streams", ("baseline", "optimized"), ["true"], "9.0", tmp_path, watch)


def test_without_ncu_the_tier_is_declared_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_NCU", str(tmp_path / "nothing"))
    found = run(tmp_path)
    assert (found.tier, found.files) == ("declared", ())
    assert "cannot be run" in found.reason
    assert "nsight-compute" in found.mend


def test_an_ncu_that_takes_too_long_leaves_no_half_of_a_report(tmp_path, fake_ncu):
    script = fake_ncu()
    half = "pathlib.Path(value('--export') + '.ncu-rep').write_bytes(b'NVR'); __import__('time').sleep(30)"
    script.write_text(script.read_text().replace("elif says:", f"elif '--export' in arguments: {half}\nelif says:"))
    watch = Watch(tmp_path / "log", 1, "mark")
    found = collect("ch11.streams", ("baseline",), ["true"], "9.0", tmp_path, watch)
    assert (found.tier, found.files) == ("declared", ())
    assert "longer than 1 s" in found.reason
    assert not list(tmp_path.glob("counters.*"))


def test_what_is_counted(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(room, "find_ncu", lambda: room_ncu())
    monkeypatch.setattr(room, "count", lambda *arguments: calls.append(arguments))
    found = run(tmp_path)
    assert (found.tier, found.ncu, found.reason) == ("counted", "2025.3", "")
    assert calls[0][3] == ["aisp@ch11.streams.baseline.measure/iter/", "aisp@ch11.streams.optimized.measure/iter/"]
    assert "sm__ops_path_tensor_src_fp8.sum" in calls[0][2]


def room_ncu():
    from aisp_prof.profiler.capture.ncu import Ncu

    return Ncu(Path("ncu"), (2025, 3))


def test_a_contradiction_cannot_be_built():
    with pytest.raises(ValueError, match="counted has files"):
        Counted("counted", "2025.3", (), 2)
    with pytest.raises(ValueError, match="counted has files"):
        Counted("declared", None, ("counters.csv",), 2, "no ncu")


def test_the_kernels_of_a_range_with_grid_and_block():
    (path,) = CAPTURES.glob("ch11.streams-20261120*/trace.sqlite.xz")
    trace = read_trace(path)
    names = [trace.text(int(text)) for text in trace.ranges.text]
    index = next(i for i, name in enumerate(names) if name == "ch11.streams.optimized.measure")
    kernels = traced_kernels(path, trace, operations_of(trace, index))
    chain = [kernel for kernel in kernels if kernel.name == "sin_exp_chain_kernel"]
    assert len(chain) == 16
    assert {kernel.block for kernel in chain} == {(128, 1, 1)}
    assert all(kernel.grid[0] > 1 and kernel.end > kernel.start for kernel in chain)
