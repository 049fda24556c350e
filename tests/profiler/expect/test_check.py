"""A capture against expectations: what is met, what is not, and what cannot be compared."""

from __future__ import annotations

import json
from functools import partial

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.expect.check import Status, check_capture, without_capture
from aisp_prof.profiler.expect.files import read_pair
from aisp_prof.profiler.expect.update import update_expectations
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import Manifest, write_manifest
from pair_trace import US, overlapped, run_pair, serial
from rewritten import a_sync_more, began_ns, built, rewritten, slower
from trace_builder import TraceBuilder


def statuses(checked):
    return {f"{row.name} [{row.tier}]": row.status for row in checked.rows}


def edit(lab, change):
    """Rewrite the file of expectations by hand."""
    data = json.loads(lab.file.read_text())
    change(data)
    lab.file.write_text(json.dumps(data))


def entry_of(data, variant, metric):
    entries = data["pairs"]["ch11.streams"]["entries"]
    return next(e for e in entries if (e["variant"], e["metric"]) == (variant, metric))


def test_the_capture_that_made_them_meets_them(lab, first):
    checked = check_capture(first, lab.folder)
    assert checked.status is Status.MET
    assert {f"{v}.iteration [trace]" for v in ("baseline", "optimized")} < set(statuses(checked))
    assert {f"{v}.syncs_per_iteration [trace]" for v in ("baseline", "optimized")} < set(statuses(checked))


def test_another_commit_changes_nothing(lab, first):
    def told(data):
        data["commit"] = {"sha": "f" * 40, "dirty": True}

    one, two = check_capture(first, lab.folder), check_capture(rewritten(first, lab.captures, None, told), lab.folder)
    assert one.commit != two.commit
    assert (one.status, [r.to_json() for r in one.rows]) == (two.status, [r.to_json() for r in two.rows])


def of_eight_chunks(data):
    data["sizes"] = data["declaration"]["sizes"]["default"] = {"chunks": 8}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (lambda d: d["versions"].update(driver="570.1"), "driver branch: 580 expected, 570 here"),
        (lambda d: d.update(size="small"), "size: default expected, small here"),
        (of_eight_chunks, "sizes: chunks 4 expected, chunks 8 here"),
        (lambda d: d["gpus"][0].update(mig=True), "MIG: False expected, True here"),
        (lambda d: d["declaration"].update(attribution="process"), "attribution: thread expected, process here"),
    ],
    ids=["driver", "size", "sizes", "mig", "attribution"],
)
def test_what_cannot_be_compared_is_named(lab, first, told, reason):
    checked = check_capture(rewritten(first, lab.captures, None, told), lab.folder)
    assert checked.status is Status.NOT_COMPARABLE
    assert checked.reasons == (reason,)


def test_another_release_of_the_same_driver_branch_compares(lab, first):
    def told(data):
        data["versions"]["driver"] = "580.82.07"

    assert check_capture(rewritten(first, lab.captures, None, told), lab.folder).status is Status.MET


def test_a_bare_capture_has_no_number_of_the_trace(lab, first):
    data = {**first.manifest.to_json(), "profile": "none", "files": {}}
    bare = Manifest.from_json(data)
    (lab.captures / "bare").mkdir()
    write_manifest(bare, lab.captures / "bare")
    checked = check_capture(Capture(lab.captures / "bare", bare), lab.folder)
    assert set(statuses(checked).values()) == {Status.NOT_COMPARABLE}
    assert checked.rows[0].reason == "profile: a number of the tier trace expected, the capture's is none"
    assert checked.status.exit_code == 4


def test_nothing_expected_is_unqualified_and_no_pass(lab):
    checked = check_capture(lab.capture(), lab.folder)
    assert (checked.status, checked.status.exit_code) == (Status.UNQUALIFIED, 5)
    assert without_capture("ch11.streams", lab.folder).status is Status.UNQUALIFIED


def test_a_pair_without_a_capture_meets_nothing(lab, first):
    checked = without_capture("ch11.streams", lab.folder)
    assert (checked.status, checked.status.exit_code) == (Status.MISSING, 4)
    assert "h200" in checked.reasons[0]


def test_a_claim_that_nothing_is_expected_of_is_unqualified(lab, first):
    def told(data):
        data["declaration"]["claims"].append("optimized.max_in_flight >= 2")

    checked = check_capture(rewritten(first, lab.captures, None, told), lab.folder)
    assert checked.status is Status.UNQUALIFIED
    assert statuses(checked)["optimized.max_in_flight [trace]"] is Status.UNQUALIFIED


def test_a_number_that_is_gone_is_missing(lab, first):
    def told(data):
        data["declaration"]["claims"].remove("hidden(h2d, d2h) >= 0.5")

    edit(lab, lambda data: entry_of(data, "optimized", "hidden(h2d, d2h)").update(metric="concurrency"))
    checked = check_capture(rewritten(first, lab.captures, None, told), lab.folder)
    assert statuses(checked)["optimized.concurrency [trace]"] is Status.MISSING
    assert checked.status.exit_code == 4


def test_an_unproven_capture_meets_nothing(lab, first):
    """Its numbers are as good as they were; one claim asks for counters that it does not have."""

    def told(data):
        data["declaration"]["claims"].append("optimized.achieved_flops >= 1 TFLOP/s")

    checked = check_capture(rewritten(first, lab.captures, None, told), lab.folder)
    assert checked.status is Status.UNPROVEN
    assert set(statuses(checked).values()) == {Status.UNPROVEN}


def test_a_changed_file_meets_nothing(lab, first):
    with (first.folder / "trace.sqlite").open("ab") as file:
        file.write(b" ")
    checked = check_capture(first, lab.folder)
    assert checked.status is Status.UNPROVEN
    assert "file_changed" in {finding.code for finding in checked.findings}


def test_faster_by_more_than_the_tolerance_is_improved(lab, first):
    checked = check_capture(rewritten(first, lab.captures, slower("optimized", 0.8)), lab.folder)
    assert checked.status is Status.IMPROVED
    assert checked.status.exit_code == 0
    found = statuses(checked)
    assert found["optimized.iteration [trace]"] is Status.IMPROVED
    assert found["baseline.iteration [trace]"] is Status.MET


def test_an_interval_on_both_sides_decides_nothing(lab, first):
    """Half of the runs are far outside of the bound, the others inside."""
    checked = check_capture(rewritten(first, lab.captures, slower("optimized", 1.3, every=2)), lab.folder)
    row = next(row for row in checked.rows if row.name == "optimized.iteration")
    assert row.status is Status.UNPROVEN
    assert row.low < row.entry.bound.high < row.high
    assert row.reason == "its interval lies on both sides of the bound"


def test_a_count_that_is_off_in_some_iterations_is_off(lab, first):
    checked = check_capture(rewritten(first, lab.captures, partial(a_sync_more, every=3)), lab.folder)
    row = next(row for row in checked.rows if row.name == "optimized.syncs_per_iteration")
    assert (row.measured.value, row.measured.low, row.measured.high) == (1, 1, 2)
    assert row.status is Status.REGRESSED


def test_the_noise_floor_widens_what_is_held_against_the_bound(lab, first):
    """The interval alone would meet this bound; the same runs against themselves differ by more."""
    (measured,) = read_pair(lab.folder, "h200", "ch11.streams").entry(("optimized", "iteration", "trace")).measured
    low, high = measured.widened()
    assert (low, high) == (measured.low / (1 + measured.noise_floor), measured.high * (1 + measured.noise_floor))
    assert low < measured.low < measured.high < high
    between = (measured.high + high) / 2
    edit(lab, lambda data: entry_of(data, "optimized", "iteration")["bound"].update(high=between))
    assert statuses(check_capture(first, lab.folder))["optimized.iteration [trace]"] is Status.UNPROVEN


def at_clock(mhz):
    """The manifest of a capture whose SM clock was sampled during its iterations."""

    def told(data):
        begin = began_ns(data["created_utc"])
        samples = [{"utc_ns": begin + i * 1_000_000, "sm_mhz": mhz} for i in range(60)]
        data["conditions"] = {"before": {}, "during": samples, "after": {}}

    return told


@pytest.mark.parametrize(
    ("factor", "mhz", "status"),
    [
        (1.0, 1980, Status.MET),
        (1.2, 1980, Status.REGRESSED),
        (1.2, 1485, Status.UNPROVEN),  # the clock alone could explain it
        (1.6, 1485, Status.REGRESSED),  # even at the full clock it would be slower
        (1.0, 2376, Status.UNPROVEN),  # the clock may hide that it got slower
    ],
)
def test_a_clock_that_differs_excuses_no_more_than_it_can(tmp_path, lab, factor, mhz, status):
    trace = TraceBuilder()
    run_pair(trace)
    usual = built(tmp_path / "usual", trace, ("hidden(h2d, d2h) >= 0.5",))
    rewritten(usual, lab.captures, None, at_clock(1980))
    assert lab.update().changed
    entry = read_pair(lab.folder, "h200", "ch11.streams").entry(("optimized", "iteration", "trace"))
    assert entry.at_mhz == 1980.0
    assert entry.normalised == entry.value
    changed = rewritten(usual, tmp_path / "changed", slower("optimized", factor), at_clock(mhz))
    row = next(r for r in check_capture(changed, lab.folder).rows if r.entry is not None and r.entry.key == entry.key)
    assert row.status is status
    assert row.normalised == pytest.approx(row.measured.value * mhz / 1980)


def test_gpus_used_are_counted(lab):
    """A run on two is no run on one; each number is that of the GPU on which it is worst."""

    def on_both(run):
        def both(p, at, wobble):
            end = run(p, at, wobble)
            p.kernel("reduce", (at + 50, at + 51), (end, end + 10 * US), device=1)
            return end + 10 * US

        return both

    trace = TraceBuilder()
    gpus = ("a0ae1ff2-b9e3", "b1bf2003-c0f4")
    run_pair(trace, gpus=gpus, baseline=on_both(serial), optimized=on_both(overlapped))
    capture = built(lab.captures, trace, ("baseline.kernels_per_iteration >= 1",), "two")
    plans = update_expectations(["ch11.streams"], lab.captures, "two", lab.folder, write=True)
    assert [plan.hardware_key for plan in plans] == ["2x_h200", "h200"]  # the capture that ships ran on one
    (lab.file).unlink()
    assert (lab.folder / "2x_h200" / "ch11.json").is_file()
    assert check_capture(capture, lab.folder).status is Status.MET
    trace = TraceBuilder()
    run_pair(trace)
    kernels = read_pair(lab.folder, "2x_h200", "ch11.streams").entry(("baseline", "kernels_per_iteration", "trace"))
    assert kernels.bound.low == 4  # of the busier one; the other has one
    alone = check_capture(built(lab.captures, trace, ("speedup >= 1.5",), "one"), lab.folder)
    assert alone.status is Status.UNQUALIFIED
    assert alone.reasons == ("hardware: expectations are of 2x_h200, the capture is of h200",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema=2), "schema 2"),
        (lambda d: d.update(hardware_key="b200"), "is not of ch11 on h200"),
        (lambda d: entry_of(d, "optimized", "iteration").update(n=3), "contradict the measurements"),
        (lambda d: entry_of(d, "optimized", "iteration").update(tier="guess"), "no tier is called 'guess'"),
        (lambda d: entry_of(d, "optimized", "iteration").pop("bound"), "bound is missing"),
        (lambda d: entry_of(d, "optimized", "iteration")["bound"].update(kind="min"), "calls itself 'min'"),
        (lambda d: entry_of(d, "optimized", "iteration")["bound"].update(high=None), "lower or an upper end"),
        (lambda d: entry_of(d, "optimized", "iteration").update(extra=1), "no field is called 'extra'"),
        (lambda d: d["pairs"]["ch11.streams"].update(sources=[]), "nothing is said of the captures ch11.streams-a"),
        (lambda d: d["pairs"]["ch11.streams"].update(entries=d["pairs"]["ch11.streams"]["entries"] * 2), "same number"),
    ],
    ids=["schema", "hardware", "n", "tier", "no bound", "kind", "open", "unknown", "sources", "twice"],
)
def test_a_file_that_contradicts_itself_is_refused(lab, first, change, message):
    edit(lab, change)
    with pytest.raises(UsageError, match=message) as error:
        check_capture(first, lab.folder)
    assert str(lab.file) in str(error.value)
