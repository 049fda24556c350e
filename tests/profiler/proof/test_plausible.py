"""A manifest that its trace contradicts proves nothing, and a check that could not be made is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.evidence import Evidence, Verdict
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.profiler.store.captures import Capture, shipped_store
from pair_trace import PAIR, US, manifest, record, run_pair, runs
from trace_builder import TraceBuilder

Data = dict[str, Any]
CLAIMS = ("speedup >= 1.5", "baseline.overlap_ratio <= 0.01")


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., Evidence]:
    """Prove a manifest to a built trace, either changed before: the manifest by a function, the trace's rows by another."""

    def build(
        edit: Callable[[Data], Any] = lambda m: None, rows: Callable[[TraceBuilder], Any] = lambda t: None
    ) -> Any:
        trace = TraceBuilder()
        run_pair(trace)
        data = deepcopy(manifest(CLAIMS, runs=runs(), sizes={"chunks": 4}, size="default"))
        rows(trace)
        edit(data)
        return prove(Manifest.from_json(data), trace.write(tmp_path / "t.sqlite"))

    return build


def codes(evidence: Evidence) -> set[str]:
    return {finding.code for finding in evidence.caveats}


def reasons(evidence: Evidence) -> set[str]:
    return {finding.code for claim in evidence.claims for finding in claim.reasons}


def test_an_honest_manifest_is_proven_without_a_word(built: Callable[..., Evidence]) -> None:
    evidence = built()
    assert evidence.verdict is Verdict.PROVEN
    assert codes(evidence) <= {"no_conditions", "same_engine_bound"}


def times(data: Data, run: str, factor: float, variant: str = "optimized") -> None:
    for one in data["runs"][run]["iterations"]:
        if one["variant"] == variant:
            one["event_ns"] = max(1, round(one["event_ns"] * factor))


def keep(data: Data, run: str, indices: set[int], number: bool = False) -> None:
    """Only these iterations, of each variant; numbered anew or not."""
    left = [one for one in data["runs"][run]["iterations"] if one["index"] in indices]
    order = {index: place for place, index in enumerate(sorted(indices))}
    data["runs"][run]["iterations"] = [{**one, "index": order[one["index"]]} if number else one for one in left]


def validation(data: Data, **values: Any) -> None:
    for run in data["runs"].values():
        run["validation"].update(values)


def counted(data: Data) -> None:
    """As if ncu had counted, in a run of which nothing is said."""
    data["files"] = {**data["files"], "c.csv": {"sha256": "0" * 64, "bytes": 1}}
    data["counters"] = {"files": ["c.csv"], "tier": "counted"}


EDITS: dict[str, tuple[Callable[[Data], Any], str]] = {
    "untraced times by 50": (lambda m: times(m, "untraced", 1 / 50), "untraced_implausible"),
    "untraced times of the baseline by 50": (lambda m: times(m, "untraced", 50, "baseline"), "untraced_implausible"),
    "untraced times of 1 ns": (lambda m: times(m, "untraced", 1e-9), "untraced_implausible"),
    "both times by 50": (lambda m: (times(m, "untraced", 0.02), times(m, "traced", 0.02)), "event_times_differ"),
    "untraced times below the engine": (lambda m: times(m, "untraced", 0.505), "untraced_below_engine"),
    "one traced time too long": (
        lambda m: m["runs"]["traced"]["iterations"][3].update(event_ns=9_000_000),
        "event_times_differ",
    ),
    "one traced time too short": (
        lambda m: m["runs"]["traced"]["iterations"][3].update(event_ns=900),
        "event_times_differ",
    ),
    "untraced iterations chosen": (lambda m: keep(m, "untraced", {1, 2, 5}), "iterations_left_out"),
    "untraced iterations chosen and numbered": (lambda m: keep(m, "untraced", {1, 2, 5}, True), "iterations_differ"),
    "traced iterations chosen": (lambda m: keep(m, "traced", {1, 2, 5}), "iterations_differ"),
    "no traced iteration": (lambda m: m["runs"]["traced"].update(iterations=[]), "iterations_differ"),
    "another order": (lambda m: m["runs"]["traced"]["iterations"].sort(key=lambda i: i["variant"]), "order_differs"),
    "an order that is not theirs": (lambda m: m["runs"]["untraced"].update(order=["baseline"]), "order_differs"),
    "no run": (lambda m: m.update(runs={}), "not_validated"),
    "no traced run": (lambda m: m["runs"].pop("traced"), "not_validated"),
    "no untraced run": (lambda m: m["runs"].pop("untraced"), "not_validated"),
    "no errors": (lambda m: validation(m, max_relative_error=None), "not_validated"),
    "no error of a variant": (lambda m: validation(m, max_relative_error={"baseline": 0}), "not_validated"),
    "no comparison of bits": (lambda m: validation(m, bitwise=None), "not_validated"),
    "no run under ncu": (counted, "not_validated"),
    "a tolerance without end": (lambda m: m["declaration"].update(tolerance=1e9), "limit_too_wide"),
    "a tolerance that zeros meet": (lambda m: m["declaration"].update(tolerance=1), "limit_too_wide"),
    "a band without end": (lambda m: m["declaration"].update(perturbation_band=1e9), "limit_too_wide"),
    "another GPU": (lambda m: m["gpus"][0].update(name="NVIDIA B200"), "manifest_contradicts"),
    "another GPU of that name": (lambda m: m["gpus"][0].update(uuid="GPU-0"), "manifest_contradicts"),
    "another GPU in a run": (lambda m: m["runs"]["traced"].update(gpu={"uuid": "GPU-0"}), "manifest_contradicts"),
    "a date before the trace": (lambda m: dated(m, "2026-11-20T21:10:00Z"), "manifest_contradicts"),
    "a date long after": (lambda m: dated(m, "2027-01-01T00:00:00Z"), "manifest_contradicts"),
    "a date that is not the id's": (lambda m: m.update(created_utc="2026-11-20T21:24:00Z"), "manifest_contradicts"),
    "an id of another pair": (lambda m: m.update(id="ch12." + m["id"][5:]), "manifest_contradicts"),
    "a run of another pair": (lambda m: m["runs"]["traced"].update(pair="ch12.x"), "manifest_contradicts"),
    "a run of another size": (lambda m: m["runs"]["traced"].update(size="small"), "manifest_contradicts"),
    "sizes of a run": (lambda m: m["runs"]["untraced"].update(sizes={"chunks": 1}), "manifest_contradicts"),
    "sizes": (lambda m: m.update(sizes={"chunks": 1}), "manifest_contradicts"),
    "a tolerance of a run": (lambda m: validation(m, tolerance=0.01), "manifest_contradicts"),
}  # fmt: skip


def dated(data: Data, text: str) -> None:
    data.update(created_utc=text, id=f"{PAIR}-{text.replace('-', '').replace(':', '')}-7e57ed")


@pytest.mark.parametrize("what", EDITS)
def test_a_manifest_that_cannot_be_is_unproven(built: Callable[..., Evidence], what: str) -> None:
    edit, code = EDITS[what]
    evidence = built(edit)
    assert evidence.verdict is Verdict.UNPROVEN
    assert code in codes(evidence) & reasons(evidence)
    assert evidence.speedup is None


WRONG: dict[str, Callable[[Data], Any]] = {
    "an error of 5": lambda m: validation(m, max_relative_error={"baseline": 0, "optimized": 5.0}),
    "an error of 5, and a tolerance to it": lambda m: validation(
        m, max_relative_error={"baseline": 5.0, "optimized": 5.0}, tolerance=1e9
    ),
    "an error that is not finite": lambda m: validation(m, max_relative_error={"baseline": 0, "optimized": None}),
    "an error below nothing": lambda m: validation(m, max_relative_error={"baseline": 0, "optimized": -1}),
    "other bits": lambda m: validation(m, bitwise=False),
    "a check that passes zeros": lambda m: validation(m, rejects={"zeros": False}),
    "no word of it": lambda m: [run["validation"].pop("valid") for run in m["runs"].values()],
    "no tolerance": lambda m: validation(m, tolerance=None),
}


@pytest.mark.parametrize("what", WRONG)
def test_valid_is_what_the_errors_say(built: Callable[..., Evidence], what: str) -> None:
    evidence = built(WRONG[what])
    assert evidence.verdict is Verdict.INVALID
    assert "outputs_invalid" in codes(evidence)


MISSING: dict[str, tuple[Callable[[Data], Any], str]] = {
    "untraced times of a variant": (
        lambda m: m["runs"]["untraced"].update(
            iterations=[one for one in m["runs"]["untraced"]["iterations"] if one["variant"] == "baseline"]
        ),
        "no_untraced_times",
    ),
    "untraced times": (lambda m: m["runs"]["untraced"].update(iterations=[]), "no_untraced_run"),
    "conditions": (lambda m: m.update(conditions=None), "no_conditions"),
    "conditions within the runs": (
        lambda m: m.update(conditions={"during": [{"utc_ns": 1, "sm_mhz": 1980}]}),
        "no_conditions_inside",
    ),
    "clocks": (
        lambda m: m.update(conditions={"during": [{"utc_ns": 1_795_209_738_000_000_000 + 3_000 * US}]}),
        "conditions_not_known",
    ),
    "the GPU": (lambda m: m.update(gpus=[]), "not_compared"),
    "the GPU's uuid": (lambda m: m["gpus"][0].pop("uuid"), "not_compared"),
    "a date": (lambda m: m.update(created_utc="2026"), "not_compared"),
    "an id that says when": (lambda m: m.update(id=f"{PAIR}-mine"), "not_compared"),
}


@pytest.mark.parametrize("what", MISSING)
def test_a_check_that_could_not_be_made_is_named(built: Callable[..., Evidence], what: str) -> None:
    edit, code = MISSING[what]
    evidence = built(edit)
    assert evidence.verdict is Verdict.PROVEN
    assert code in codes(evidence)


def without(trace: TraceBuilder, *, measure: str, rounds: set[int]) -> None:
    """The ranges of the optimized iterations of these numbers go: `measure` says what becomes of those around them."""
    rows = trace.rows["NVTX_EVENTS"]
    domain, *ranges = rows
    left = [domain]
    for outer, inner in zip(ranges[::2], ranges[1::2], strict=True):
        gone = "optimized" in outer["text"] and inner["int64Value"] in rounds
        if not gone or measure == "kept":
            left.append(outer)
        elif measure == "a warm-up":
            left.append({**outer, "text": outer["text"].replace("measure", "warmup")})
        left += [] if gone else [inner]
    rows[:] = left


@pytest.mark.parametrize(
    ("measure", "rounds", "code"),
    [
        ("kept", {2, 5}, "ranges_without_iteration"),
        ("gone", {2, 5}, "work_beside_iterations"),
        ("gone", {7}, "work_beside_iterations"),
        ("a warm-up", {2, 5}, "warmed_up_again"),
    ],
)
def test_iterations_left_out_of_the_trace_are_found(
    built: Callable[..., Evidence], measure: str, rounds: set[int], code: str
) -> None:
    """Also where manifest and numbers are put right: the work is still there."""
    kept = set(range(8)) - rounds

    def rows(trace: TraceBuilder) -> None:
        without(trace, measure=measure, rounds=rounds)
        for one in trace.rows["NVTX_EVENTS"]:
            if one["text"] == "iter" and one in optimized(trace):
                one["int64Value"] = sorted(kept).index(one["int64Value"])

    def edit(data: Data) -> None:
        for run in data["runs"].values():
            run["iterations"] = [
                {**one, "index": sorted(kept).index(one["index"])} if one["variant"] == "optimized" else one
                for one in run["iterations"]
                if one["variant"] == "baseline" or one["index"] in kept
            ]

    evidence = built(edit, rows)
    assert evidence.verdict is Verdict.UNPROVEN
    assert code in reasons(evidence)
    assert "iterations_differ" not in reasons(evidence)


def optimized(trace: TraceBuilder) -> list[Data]:
    rows = trace.rows["NVTX_EVENTS"]
    return [inner for outer, inner in pairwise(rows) if "optimized.measure" in (outer["text"] or "")]


def test_iterations_left_out_of_the_trace_alone_are_counted(built: Callable[..., Evidence]) -> None:
    evidence = built(rows=lambda trace: without(trace, measure="gone", rounds={2, 5}))
    assert "iterations_differ" in reasons(evidence)


def test_iterations_that_are_numbered_anew_in_the_trace_alone(built: Callable[..., Evidence]) -> None:
    evidence = built(rows=lambda trace: optimized(trace)[3].update(int64Value=9))
    assert "iterations_left_out" in reasons(evidence)


@pytest.fixture(scope="module")
def streams() -> Capture:
    capture = shipped_store().newest("ch11.streams")
    assert capture is not None
    return capture


def test_a_real_capture_divided_by_fifty(streams: Capture) -> None:
    """111 times was proven, beside "the busiest engine alone needs 5.29 ms"."""
    data = json.loads(json.dumps(streams.manifest.to_json()))
    data["declaration"]["claims"] = ["speedup >= 2"]
    assert prove(Manifest.from_json(data), streams.trace_path).verdict is Verdict.PROVEN
    times(data, "untraced", 1 / 50)
    evidence = prove(Manifest.from_json(data), streams.trace_path)
    assert evidence.verdict is Verdict.UNPROVEN
    assert {"untraced_implausible", "untraced_below_engine"} <= reasons(evidence)
    assert evidence.speedup is None


def test_nothing_but_a_manifest_is_held_to_its_own_words() -> None:
    run_pair(TraceBuilder())
    data = manifest(CLAIMS[:1], runs={"untraced": record()}, profile="none")
    assert prove(Manifest.from_json(data), None).verdict is Verdict.PROVEN
    keep(data, "untraced", {1, 2, 4, 5})
    assert "iterations_left_out" in reasons(prove(Manifest.from_json(data), None))
