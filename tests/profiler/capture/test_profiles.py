"""How much of a pair a capture looks at: bare, traced, counted, with full sections; and what ncu lacks is said."""

from __future__ import annotations

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.capture.run import Profile, capture_pair, profile_of
from aisp_prof.profiler.counters.raw_csv import read_raw_csv

CEILINGS = {"ceilings": [{"name": "copy", "value": 4.28e12}], "calibration": {"rows": [], "reason": "none"}}


@pytest.fixture
def capture(tmp_path, declaration, fake_pair):
    """Captures a pair that runs `body` with a profile; what was told on the way is in `capture.steps`."""

    def run(profile, body="record()", ceilings=CEILINGS):
        run.steps = []
        folder = tmp_path / "captures"
        return capture_pair(
            declaration, [fake_pair(body)], "h200", "small", folder, 4, [], 30, run.steps.append, profile, ceilings
        )

    return run


def test_none_needs_no_nsys_and_leaves_event_times_only(capture, monkeypatch, tmp_path):
    monkeypatch.setenv("AISP_NSYS", str(tmp_path / "nothing"))
    made = capture(Profile.NONE, ceilings=None)
    assert (sorted(made.manifest.files), set(made.manifest.runs)) == (["run.log"], {"untraced"})
    assert (made.trace_path, made.manifest.profile, made.manifest.counters) == (None, "none", None)
    assert made.manifest.versions["nsys"] is None


def test_minimal_counts_nothing(capture, fake_nsys, fake_ncu):
    fake_nsys()
    fake_ncu()
    made = capture(Profile.MINIMAL, ceilings=None)
    assert (made.manifest.counters, made.manifest.ceilings, set(made.manifest.runs)) == (
        None,
        None,
        {"untraced", "traced"},
    )


def test_roofline_counts_and_carries_the_ceilings(capture, fake_nsys, fake_ncu):
    fake_nsys()
    fake_ncu()
    made = capture(Profile.ROOFLINE)
    assert {"counters.csv", "counters.ncu-rep", "trace.sqlite"} < set(made.manifest.files)
    assert set(made.manifest.runs) == {"untraced", "traced", "counted"}
    counters = made.manifest.counters
    assert (counters.tier, counters.ncu, counters.iterations) == ("counted", "2025.3.1.0", 2)
    assert counters.files == ["counters.ncu-rep", "counters.csv"]
    assert made.manifest.as_written["ceilings"] == CEILINGS
    assert made.manifest.versions["ncu"] == "2025.3.1.0"
    assert read_raw_csv(made.folder / "counters.csv")
    assert made.verify_files() == ()


def test_what_is_counted_is_the_same_size_in_profile_mode(capture, fake_nsys, fake_ncu):
    fake_nsys()
    fake_ncu()
    made = capture(Profile.ROOFLINE)
    command = (made.folder / "counters.ncu-rep").read_text()
    assert "--size small --iterations 2 --trace --profile-mode" in command
    assert "--nvtx-include aisp@ch99.fake.optimized.measure/iter/" in command


def test_deep_keeps_the_full_sections(capture, fake_nsys, fake_ncu):
    fake_nsys()
    fake_ncu()
    made = capture(Profile.DEEP)
    assert made.manifest.counters.sections == "sections.ncu-rep"
    assert "--set full" in (made.folder / "sections.ncu-rep").read_text()
    assert "--metrics" not in (made.folder / "sections.ncu-rep").read_text()


@pytest.mark.parametrize(
    ("ncu", "reason", "mend"),
    [
        ({"says": "==ERROR== ERR_NVGPUCTRPERM - no permission"}, "only root", "NVreg_RestrictProfilingToAdminUsers"),
        ({"says": "==ERROR== Failed to initialize the profiler: LibraryNotLoaded"}, "sandbox", "host"),
        ({"version": "2022.4.0.0"}, "2022.4.0.0; at least 2024.1", "nsight-compute"),
        ({"says": "==WARNING== No kernels were profiled."}, "no kernel", "nvtx"),
    ],
)
def test_what_ncu_lacks_is_a_capture_with_a_declared_tier(capture, fake_nsys, fake_ncu, ncu, reason, mend):
    fake_nsys()
    fake_ncu(**ncu)
    made = capture(Profile.ROOFLINE)
    counters = made.manifest.counters
    assert (counters.tier, counters.files) == ("declared", [])
    assert reason in counters.reason
    assert mend in counters.mend
    assert not {"counters.csv", "counters.ncu-rep"} & set(made.manifest.files)
    assert any("declared only" in step and reason in step for step in capture.steps)


def test_sections_that_fail_leave_what_was_counted(capture, fake_nsys, fake_ncu):
    fake_nsys()
    script = fake_ncu()
    script.write_text(
        script.read_text().replace("elif says:", 'elif "full" in arguments: sys.exit("too slow")\nelif says:')
    )
    counters = capture(Profile.DEEP).manifest.counters
    assert (counters.tier, counters.sections) == ("counted", "")
    assert "too slow" in counters.sections_reason


def test_invalid_outputs_are_not_counted(capture, fake_nsys, fake_ncu):
    fake_nsys()
    fake_ncu()
    bad = "bad = 'untraced' not in option['--record']; record(valid=not bad); sys.exit(bad)"
    assert capture(Profile.ROOFLINE, bad).manifest.counters is None


def test_an_unknown_profile_is_named():
    with pytest.raises(UsageError, match="'huge'") as error:
        profile_of("huge")
    assert "roofline" in error.value.mend
    assert profile_of("deep").counts
