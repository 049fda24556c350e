"""Regressions built into captures, real and built: each must be caught, and by the right number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.expect.check import Checked, Status, check_capture
from aisp_prof.profiler.expect.update import update_expectations
from aisp_prof.profiler.proof.prove import prove_capture
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.reports.terminal.expectations import check_lines
from pair_trace import US, run_pair
from rewritten import (
    a_against_a,
    a_sync_more,
    another_gpu,
    built,
    copies_out_last,
    events_of_a,
    half_the_kernels,
    launches_again,
    rewritten,
    slower,
    slower_events,
    told_of_another_gpu,
    wrong_outputs,
)
from trace_builder import Process, TraceBuilder

CLAIMS = (
    "speedup >= 1.5",
    "hidden(h2d, d2h) >= 0.5",
    "optimized.kernels_per_iteration == 4",
    "baseline.overlap_ratio <= 0.01",
)
GRAPH_CLAIMS = ("speedup >= 1.1", "optimized.launch_calls_per_iteration == 1")


@dataclass(frozen=True)
class Good:
    """A capture that meets its expectations, and where these lie."""

    capture: Capture
    folder: Path
    captures: Path

    def checked(self, change: Callable | None = None, told: Callable | None = None) -> tuple[Checked, Verdict]:
        changed = rewritten(self.capture, self.captures / "changed", change, told)
        return check_capture(changed, self.folder), prove_capture(changed).verdict


def expected(capture: Capture, tmp_path: Path, captures: Path) -> Good:
    folder = tmp_path / "expectations"
    update_expectations([capture.manifest.pair], captures, "first", folder, write=True)
    good = Good(capture, folder, tmp_path)
    assert check_capture(capture, folder).status is Status.MET
    return good


def shipped(pair: str) -> Capture:
    found = shipped_store().newest(pair)
    assert found is not None
    return found


@pytest.fixture(params=["real", "built"])
def streams(request, tmp_path) -> Good:
    if request.param == "real":
        return expected(shipped("ch11.streams"), tmp_path, tmp_path / "none")
    trace = TraceBuilder()
    run_pair(trace, rounds=8)
    return expected(built(tmp_path / "captures", trace, CLAIMS), tmp_path, tmp_path / "captures")


def one_by_one(p: Process, at: int, wobble: int) -> int:
    """Eight kernels of 20 us, each by its own launch, with 5 us between them."""
    busy = at + 100 * US
    for i in range(8):
        p.kernel("step", (at + 2 * i, at + 2 * i + 1), (busy, busy + 20 * US + wobble))
        busy += 25 * US
    return busy


def in_a_graph(p: Process, at: int, wobble: int) -> int:
    """The same eight by one launch, with nothing between them."""
    busy = at + 100 * US
    call = p.call("cudaGraphLaunch_v10000", (at, at + 90))
    for i in range(8):
        p.kernel("step", None, (busy, busy + 20 * US + wobble), correlation=call, node=i + 1)
        busy += 20 * US + wobble
    return busy


@pytest.fixture(params=["real", "built"])
def graph(request, tmp_path) -> Good:
    if request.param == "real":
        return expected(shipped("ch09.compute_bound"), tmp_path, tmp_path / "none")
    trace = TraceBuilder()
    run_pair(trace, baseline=one_by_one, optimized=in_a_graph)
    return expected(built(tmp_path / "captures", trace, GRAPH_CLAIMS), tmp_path, tmp_path / "captures")


def by_status(checked: Checked) -> Mapping[str, Status]:
    return {f"{row.name} [{row.tier}]": row.status for row in checked.rows}


def regressed(checked: Checked) -> set[str]:
    return {name for name, status in by_status(checked).items() if status is Status.REGRESSED}


def test_an_optimized_variant_30_percent_slower(streams):
    checked, verdict = streams.checked(slower("optimized", 1.3), slower_events("optimized", 1.3))
    assert verdict is not Verdict.PROVEN or "speedup [trace]" in regressed(checked)
    assert checked.status.exit_code == 1
    assert {"optimized.iteration [trace]", "speedup [trace]"} <= regressed(checked)
    assert "baseline.iteration [trace]" not in regressed(checked)


def test_it_is_refuted_where_the_claim_is_near_what_was_measured(tmp_path):
    good = expected(shipped("ch11.streams"), tmp_path, tmp_path / "none")
    checked, verdict = good.checked(slower("optimized", 1.3), slower_events("optimized", 1.3))
    assert verdict is Verdict.REFUTED
    assert checked.status is Status.REFUTED
    assert "optimized.iteration [events]" in regressed(checked)


def test_a_baseline_30_percent_slower_is_no_win(streams):
    """The proof of the pair alone falls for it: its speedup is larger, and every claim holds."""
    checked, verdict = streams.checked(slower("baseline", 1.3), slower_events("baseline", 1.3))
    assert verdict is Verdict.PROVEN
    assert checked.status is Status.REGRESSED
    assert "baseline.iteration [trace]" in regressed(checked)
    assert by_status(checked)["speedup [trace]"] is Status.IMPROVED
    assert by_status(checked)["optimized.iteration [trace]"] is Status.MET


def test_one_stream_serialised(streams):
    checked, verdict = streams.checked(copies_out_last)
    assert verdict is Verdict.REFUTED
    assert checked.status is Status.REFUTED
    assert {"optimized.hidden(h2d, d2h) [trace]", "optimized.iteration [trace]"} <= regressed(checked)


def test_a_sync_more(streams):
    """No claim of the pair speaks of it."""
    checked, verdict = streams.checked(a_sync_more)
    assert verdict is Verdict.PROVEN
    assert checked.status is Status.REGRESSED
    assert regressed(checked) == {"optimized.syncs_per_iteration [trace]"}


def test_a_graph_turned_back_into_launches(graph):
    checked, verdict = graph.checked(launches_again)
    assert verdict is Verdict.REFUTED
    assert regressed(checked) == {"optimized.launch_calls_per_iteration [trace]"}
    assert checked.status is Status.REFUTED


def test_half_of_the_kernels_dropped(streams):
    checked, verdict = streams.checked(half_the_kernels)
    assert verdict is Verdict.UNPROVEN
    assert checked.status is Status.UNPROVEN
    assert checked.status.exit_code == 4
    assert set(by_status(checked).values()) == {Status.UNPROVEN}
    assert "events_missing" in {finding.code for finding in checked.findings}


def test_wrong_outputs(streams):
    checked, verdict = streams.checked(told=wrong_outputs)
    assert verdict is Verdict.INVALID
    assert (checked.status, checked.status.exit_code) == (Status.INVALID, 1)
    assert set(by_status(checked).values()) == {Status.UNPROVEN}


def test_a_against_a_is_no_win(streams):
    checked, verdict = streams.checked(a_against_a, events_of_a)
    assert verdict is not Verdict.PROVEN
    assert checked.status.exit_code == 1
    assert "optimized.iteration [trace]" in regressed(checked)
    assert "speedup [trace]" in regressed(checked)


def test_a_small_win_is_not_met_by_a_against_a(tmp_path):
    """2.6 % lie far inside the tolerance of a single capture: a win has to stay one all the same."""
    good = expected(shipped("ch09.triton"), tmp_path, tmp_path / "none")
    checked, verdict = good.checked(a_against_a, events_of_a)
    assert verdict is not Verdict.PROVEN
    assert checked.status.exit_code in (1, 4)
    assert by_status(checked)["speedup [trace]"] in (Status.REGRESSED, Status.UNPROVEN)


def test_a_trace_from_another_gpu(streams):
    """The manifest says h200 still; the trace does not."""
    checked, _ = streams.checked(another_gpu)
    assert (checked.status, checked.status.exit_code) == (Status.UNPROVEN, 4)
    assert {finding.code for finding in checked.findings} == {"manifest_contradicts"}
    assert checked.reasons == ("hardware: NVIDIA H200 expected, NVIDIA A100-SXM4-80GB here",)
    assert set(by_status(checked).values()) == {Status.NOT_COMPARABLE}


def test_a_capture_from_another_gpu(streams):
    checked, _ = streams.checked(another_gpu, told_of_another_gpu)
    assert (checked.status, checked.status.exit_code) == (Status.UNQUALIFIED, 5)
    assert '  → aisp-prof expect update ch11:streams --reason "…"' in check_lines([checked])
    assert checked.reasons == ("hardware: expectations are of h200, the capture is of a100_sxm_80gb",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (slower("optimized", 1.3), slower_events("optimized", 1.3)),
        (copies_out_last, None),
        (half_the_kernels, None),
        (None, wrong_outputs),
        (a_against_a, events_of_a),
        (another_gpu, None),
    ],
    ids=["slower", "serialised", "dropped", "wrong", "a_against_a", "another_gpu"],
)
def test_no_update_takes_it_up(tmp_path, change, told):
    """As the newest capture each of these is refused, and the file stays as it is."""
    good = expected(shipped("ch11.streams"), tmp_path, tmp_path / "none")
    before = (good.folder / "h200" / "ch11.json").read_bytes()
    rewritten(good.capture, tmp_path / "newer", change, told)
    (plan,) = update_expectations(["ch11.streams"], tmp_path / "newer", "try", good.folder, write=True, weaken=True)
    assert plan.refused
    assert plan.exit_code == 4
    assert (good.folder / "h200" / "ch11.json").read_bytes() == before


@pytest.mark.parametrize("change", [slower("baseline", 1.3), a_sync_more], ids=["baseline", "sync"])
def test_what_the_proof_lets_through_no_update_takes_up_either(tmp_path, change):
    """It is alone against the capture that the entries rest on."""
    good = expected(shipped("ch11.streams"), tmp_path, tmp_path / "none")
    rewritten(good.capture, tmp_path / "newer", change)
    (plan,) = update_expectations(["ch11.streams"], tmp_path / "newer", "try", good.folder, weaken=True)
    assert "1 of 2 captures agree" in plan.refused
    assert "does not agree" in plan.notes[0]
