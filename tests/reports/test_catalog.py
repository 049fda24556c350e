"""Both languages say the same things."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.evidence import Finding, Verdict
from aisp_prof.profiler.expect.check import Status
from aisp_prof.profiler.expect.model import TIERS
from aisp_prof.reports.catalog import LANGUAGES, Catalog, catalog, filled

CODES = {
    "events_missing": ("stated", "found"),
    "event_count_differs": ("stated", "found"),
    "diagnostic": ("severity", "text"),
    "nvtx_events_missing": ("stated", "found"),
    "nvtx_count_differs": ("stated", "found"),
    "may_be_missing": ("text",),
    "capture_range": ("text",),
    "graphs_without_device": ("table", "count"),
    "unattested": (),
    "launch_without_operation": ("count",),
    "operation_without_launch": ("count",),
    "graph_level_tracing": ("count",),
    "zero_timestamps": ("count",),
    "reversed_times": ("table", "count"),
    "absurd_times": ("table", "count"),
    "missing_values": ("table", "count"),
    "cut_by_window": ("count",),
    "crossing_ranges": ("count",),
    "unlisted_communication": ("count", "names"),
    "lower_bound": (),
    "open_range": ("name",),
    "device_without_operations": ("device",),
    "filtered_export": ("what",),
    "unknown_schema": ("version",),
    "no_cuda_activity": (),
    "no_nvtx": (),
    "range_not_found": ("name",),
    "few_iterations": ("n", "least"),
    "clocks_moved": ("low_mhz", "high_mhz"),
    "throttled": ("reasons",),
    "baseline_few_blocks": ("kernel", "blocks", "sms", "of_time"),
    "baseline_below_roof": ("kernel", "percent", "of_time"),
    "no_conditions": (),
    "perturbed": ("variant", "percent", "band_percent"),
    "noise_floor": ("percent",),
    "two_groups": ("variant", "count", "low_ms", "others", "high_ms", "changes"),
    "within_noise": ("percent",),
    "interval_straddles": ("low", "high", "threshold"),
    "more_iterations": ("n", "needed"),
    "other_processes": ("count",),
    "negative_latency": ("count",),
    "pageable_copies": ("count",),
    "not_interleaved": (),
    "no_untraced_run": (),
    "outputs_not_compared": (),
    "order_not_chosen": (),
    "times_under_tracer": (),
    "program_perturbed": ("variant", "percent"),
    "other_threads": ("variant", "count", "of"),
    "ranges_shared": ("count",),
    "separate_sessions": ("percent",),
    "not_comparable": ("what", "before", "after"),
    "sessions_not_known": ("what",),
    "times_of_both": (),
    "bare_run_slow": ("variant", "percent"),
    "order_of_program": (),
    "ranges_outside_runs": ("count", "overlaps"),
    "few_turns": ("n", "least"),
    "session_of_several_gpus": ("variant", "count"),
    "not_validated": ("run", "what"),
    "limit_too_wide": ("what", "says", "most"),
    "manifest_contradicts": ("what", "says", "found"),
    "not_compared": ("what",),
    "event_times_differ": ("variant", "count", "of"),
    "untraced_implausible": ("variant", "factor", "low", "high"),
    "untraced_below_engine": ("variant", "ms", "engine_ms"),
    "no_untraced_times": ("variant",),
    "iterations_differ": ("variant", "listed", "found"),
    "iterations_left_out": ("variant", "run"),
    "ranges_without_iteration": ("name", "count", "iterations"),
    "order_differs": ("run",),
    "work_beside_iterations": ("count",),
    "warmed_up_again": ("count",),
    "no_conditions_inside": ("count",),
    "conditions_not_known": ("what",),
    "dirty_commit": (),
    "outputs_invalid": ("error", "tolerance"),
    "implausible": ("metric",),
    "capability_missing": ("capability",),
    "metric_missing": ("metric",),
    "worst_iteration": ("value", "index"),
    "contradicted": ("measured", "threshold"),
    "same_engine_bound": ("ms",),
    "mixed_devices": ("count", "gpu"),
    "file_changed": ("file",),
    "not_traced": (),
    "no_counters": (),
    "no_ceilings": (),
    "not_counted": ("reason", "mend"),
    "kernels_differ": ("variant", "difference", "count"),
    "counter_missing": ("metric", "count"),
    "calibration_off": ("type", "counted", "declared"),
    "not_calibrated": ("reason",),
    "flops_disagree": ("variant", "percent", "band_percent"),
    "kernel_above_roof": ("variant", "kernel", "percent"),
    "clocks_fell": ("low_mhz", "usual_mhz"),
    "coarse_times": ("step",),
    "copy_rate_fell": ("way", "gbps", "usual_gbps"),
    "host_stalled": ("ms", "name", "row", "table"),
    "iterations_beyond": ("count", "of", "value", "index"),
    "kineto": (),
    "limit_uncertain": ("low", "high", "limit_low", "limit_high"),
    "no_ceiling": ("name",),
    "no_work_declared": (),
    "nothing_explains": (),
    "too_few_hold": ("count", "of", "needed"),
    "several_gpus": ("count",),
    "ranks_trace_failed": ("path", "message"),
    "ranks_absent": ("ranks", "count"),
    "ranks_twice": ("ranks", "count"),
    "ranks_incomplete": ("ranks", "count"),
    "ranks_communicator_assumed": ("rank",),
    "ranks_communicator_unknown": ("rank", "count"),
    "ranks_another_run": ("rank", "matched", "count"),
    "ranks_of_another_run": ("rank",),
    "ranks_order_differs": ("rank", "missing", "more", "count"),
    "ranks_collectives_missing": ("rank", "missing", "more", "count"),
    "ranks_clocks_disagree": ("ranks", "count", "ns"),
    "ranks_not_joined": (),
    "ranks_no_clock": (),
    "ranks_bounds_straddle": ("low", "high", "threshold"),
    "ranks_worst": ("rank", "value"),
}
SEVERAL = {
    "may_be_missing": ("text", "count"),
    "capture_range": ("text", "count"),
    "diagnostic": ("severity", "text", "count"),
    "launch_without_operation": ("count", "classes"),
    "operation_without_launch": ("count", "classes"),
    "cut_by_window": ("count", "classes"),
}
"""Codes with a second set of values, which has words of its own."""
OUTCOMES = ("tier.", "outcome.")
PACKAGE = Path(__file__).resolve().parents[2]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_languages_have_the_same_keys_and_placeholders() -> None:
    english, korean = (catalog(lang).words for lang in LANGUAGES)
    assert english.keys() == korean.keys()
    assert {key: placeholders(text) for key, text in english.items()} == {
        key: placeholders(text) for key, text in korean.items()
    }


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_a_finding_says_what_why_and_the_mend(code: str, lang: str) -> None:
    values: dict[str, str | int | float] = dict.fromkeys(CODES[code], 3)
    said = catalog(lang).finding(Finding(code, values))
    assert all((said.seen, said.why, said.mend))
    assert "{" not in said.seen + said.why + said.mend


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", SEVERAL)
def test_a_finding_with_more_values_tells_all_of_them(code: str, lang: str) -> None:
    values: dict[str, str | int | float] = {name: f"<{name}>" for name in SEVERAL[code]}
    said = catalog(lang).finding(Finding(code, values))
    assert all(f"<{name}>" in said.seen for name in values)
    assert all((said.why, said.mend))


def test_an_unknown_code_is_shown_by_its_code_and_values() -> None:
    said = catalog("en").finding(Finding("brand_new", {"count": 3, "name": "<b>"}))
    assert (said.seen, said.why, said.mend) == ("brand_new: count = 3, name = <b>", "", "")


def test_a_finding_without_its_values_is_shown_all_the_same() -> None:
    assert catalog("en").finding(Finding("clocks_moved", {"low_mhz": 1965})).seen == "clocks_moved: low_mhz = 1,965"


def test_a_claims_unit_reaches_its_reasons() -> None:
    finding = Finding("contradicted", {"measured": 0.42, "threshold": 0.85})
    assert catalog("en").finding(finding, "ratio").seen == "Measured 42.0%, against a threshold of 85.0%."


def test_every_verdict_has_words() -> None:
    for lang in LANGUAGES:
        assert all(catalog(lang)(f"verdict.{verdict}") for verdict in Verdict)


def test_an_unknown_language_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="no page in language 'fr'"):
        catalog("fr")


def test_every_word_is_used() -> None:
    """A key that no template and no module names is a leftover."""
    folders = (PACKAGE / "reports", PACKAGE / "templates", PACKAGE / "cli")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".j2"}]
    text = "\n".join(path.read_text("utf-8") for path in files)
    families = (
        "verdict.",
        "headline.",
        "lead.",
        "variant.",
        "kind.",
        "numbers.",
        "gain.",
        "ledger.",
        "trace.",
        "identity.",
        "roofline.",
        "tier.",
        "outcome.",
        "origin.",
        "console.list.",
        "words.",
        "overview.",
        "terms.",
    )
    english: Catalog = catalog("en")
    loose = [key for key in english.words if not key.startswith((*families, "finding.", "claims."))]
    assert [key for key in loose if f'"{key}"' not in text and f"'{key}'" not in text] == []


def test_every_outcome_of_an_expectation_has_its_word() -> None:
    english: Catalog = catalog("en")
    of_a_capture = {Status.REFUTED, Status.INVALID}
    words = {family: {key[len(family) :] for key in english.words if key.startswith(family)} for family in OUTCOMES}
    assert words == {"tier.": set(TIERS), "outcome.": {one.value for one in set(Status) - of_a_capture}}


def test_every_code_that_the_profiler_uses_is_listed():
    sources = [path.read_text() for path in (PACKAGE / "profiler").rglob("*.py")]
    used = {code for text in sources for code in re.findall(r'Finding\(\s*"([a-z_]+)"', text)}
    counted = {code for text in sources for code in re.findall(r'invalid\["([a-z_]+)"', text)}
    assert len(used) > 20
    assert used | counted <= set(CODES)


@pytest.mark.parametrize(
    ("text", "one", "many"),
    [
        ("{n:# block|# blocks} of {m}", "1 block of 7", "3 blocks of 7"),
        ("{n:The other holds|The # others hold}.", "The other holds.", "The 3 others hold."),
        ("{n} {n:is|are} there {n:once|# times}", "1 is there once", "3 are there 3 times"),
    ],
)
def test_a_number_has_its_noun_and_its_verb(text: str, one: str, many: str) -> None:
    assert filled(text, {"n": 1, "m": "7"}) == filled(text, {"n": "1", "m": "7"}) == one
    assert filled(text, {"n": "3", "m": "7"}) == many
    assert filled("{n:# block|# blocks}", {"n": "1|2 {x}"}) == "1|2 {x} blocks"


def test_no_sentence_counts_one_of_many() -> None:
    """Every English sentence in which a number stands before a plural has the singular too."""
    counted = re.compile(r"\{(n|count|blocks|streams|ranks|traces|iterations|needed|more)\} (more )?[a-z]+s\b")
    plain = {key: text for key, text in catalog("en").words.items() if counted.search(text)}
    assert plain == {}
