"""Expectations made and changed: from captures that agree, with a reason, and never weaker in silence."""

from __future__ import annotations

import errno
import json
import threading

import pytest
from aisp_prof.errors import AispError, CannotTell, UsageError
from aisp_prof.machine import files as scratch
from aisp_prof.profiler.expect import update as module
from aisp_prof.profiler.expect.derive import PROVISIONAL, SETTLED, entry_of
from aisp_prof.profiler.expect.files import read_pair, write_chapter
from aisp_prof.profiler.expect.model import Measurement
from aisp_prof.profiler.expect.observe import Observation
from aisp_prof.profiler.expect.update import update_expectations
from aisp_prof.profiler.store.captures import shipped_store

OPTIMIZED = ("optimized", "iteration", "trace")


def kept(lab):
    found = read_pair(lab.folder, "h200", "ch11.streams")
    assert found is not None
    return found


def forget(capture):
    """The capture's folder is gone, as when it was never shipped."""
    for path in capture.folder.iterdir():
        path.unlink()
    capture.folder.rmdir()


def test_a_first_capture_makes_provisional_entries(lab, first):
    entry = kept(lab).entry(OPTIMIZED)
    (measured,) = entry.measured
    assert (entry.value, entry.tolerance, entry.bound.kind) == (measured.value, PROVISIONAL, "max")
    assert entry.bound.high == pytest.approx(entry.value * 1.1)
    assert (entry.reason, entry.history, entry.n) == ("first", (), 8)


def test_the_provenance_is_that_of_the_capture(lab, first):
    (source,) = kept(lab).sources
    manifest = first.manifest
    assert source.trace_sha256 == manifest.files["trace.sqlite"].sha256
    assert (source.capture, source.created_utc, source.commit) == (manifest.id, manifest.created_utc, manifest.commit)
    assert (source.driver, source.profile, source.versions) == ("580.159.04", "minimal", manifest.versions)
    assert kept(lab).context.size == "default"


def test_what_is_gated(lab, first):
    names = {f"{entry.name} {entry.bound.kind}" for entry in kept(lab).entries}
    counts = ("kernels", "copies", "memsets", "launch_calls", "syncs")
    assert names == {
        *(f"{v}.{c}_per_iteration exact" for v in ("baseline", "optimized") for c in counts),
        *(f"{v}.iteration max" for v in ("baseline", "optimized")),
        *(f"{v}.rate({d}) min" for v in ("baseline", "optimized") for d in ("h2d", "d2h")),
        "speedup min",
        "optimized.hidden(h2d, d2h) min",
        "baseline.overlap_ratio max",
    }


def test_no_bound_is_looser_than_the_claim(lab, first):
    pair = kept(lab)
    assert pair.entry(("", "speedup", "trace")).bound.low >= 1.5
    assert pair.entry(("baseline", "overlap_ratio", "trace")).bound.high == 0.01


def test_a_win_stays_a_win_where_the_claim_asks_for_less(lab):
    """6 % lie within the tolerance of one capture: a bound below 1 would be met by no difference at all."""
    lab.capture(optimized=1.75, claims=("speedup >= 0.9",))
    lab.update()
    entry = kept(lab).entry(("", "speedup", "trace"))
    assert 1.02 < entry.value < 1.1
    assert entry.bound.low == 1.0


def test_nothing_is_written_until_asked(lab):
    lab.capture()
    plan = lab.update(write=False)
    assert plan.changed
    assert len(plan.changes) == 19
    assert not lab.folder.exists()


def test_the_same_captures_change_nothing(lab, first):
    before = lab.file.read_bytes()
    plan = lab.update()
    assert (plan.changed, plan.refused, plan.exit_code) == (False, "", 0)
    assert lab.file.read_bytes() == before


def three_more(lab):
    """With the first, as many as say how sessions differ."""
    for day, name in enumerate("bcd", 2):
        lab.capture(name, day, optimized=1 + 0.001 * day)


def test_four_captures_that_agree_tighten(lab, first):
    three_more(lab)
    lab.update("a second machine")
    entry = kept(lab).entry(OPTIMIZED)
    assert entry.rests_on == tuple(f"ch11.streams-{name}" for name in "dcba")
    assert entry.value == pytest.approx(sorted(one.value for one in entry.measured)[1], rel=0.002)
    assert entry.tolerance == SETTLED
    assert len(kept(lab).sources) == 4


def test_history_says_what_it_was_and_why_it_changed(lab, first):
    old = kept(lab).entry(OPTIMIZED)
    three_more(lab)
    lab.update("a second machine")
    (former,) = kept(lab).entry(OPTIMIZED).history
    assert (former.value, former.bound, former.tolerance) == (old.value, old.bound, PROVISIONAL)
    assert (former.because, former.captures) == ("a second machine", ("ch11.streams-a",))
    assert kept(lab).entry(OPTIMIZED).reason == "a second machine"


def test_a_spread_widens_the_tolerance_so_that_every_capture_meets_it(lab):
    for day, factor in enumerate((1.0, 1.06), 1):
        lab.capture("ab"[day - 1], day, optimized=factor)
    lab.update()
    entry = kept(lab).entry(OPTIMIZED)
    assert entry.tolerance > SETTLED
    assert all(entry.bound.holds(*one.widened()) for one in entry.measured)


@pytest.mark.parametrize("factor", [0.8, 0.5])
def test_one_lucky_capture_does_not_ratchet(lab, first, factor):
    lab.capture("b", 2)
    lab.update()
    before = lab.file.read_bytes()
    lab.capture("lucky", 3, optimized=factor)
    plan = lab.update("so fast", weaken=True)
    assert plan.refused.startswith("1 of 2 captures agree")
    assert (plan.exit_code, lab.file.read_bytes()) == (4, before)


def test_lucky_captures_with_another_between_do_not_agree(lab, first):
    for day, factor in ((2, 0.8), (3, 1), (4, 0.8)):
        lab.capture(f"d{day}", day, optimized=factor)
    plan = lab.update("so fast")
    assert plan.rests_on == ("ch11.streams-d4",)
    assert plan.refused.startswith("1 of 2 captures agree")


def test_two_that_agree_on_being_faster_are_believed(lab, first):
    for day in (2, 3):
        lab.capture("bc"[day - 2], day, optimized=0.8)
    plan = lab.update("a faster kernel")
    assert plan.rests_on == ("ch11.streams-c", "ch11.streams-b")
    entry = kept(lab).entry(OPTIMIZED)
    assert entry.bound.high < entry.history[0].value
    assert any("ch11.streams-a does not agree: optimized.iteration [trace]" in note for note in plan.notes)


def test_a_capture_that_is_gone_speaks_through_what_was_recorded(lab, first):
    forget(first)
    three_more(lab)
    plan = lab.update("a second machine")
    assert plan.rests_on == tuple(f"ch11.streams-{name}" for name in "dcba")
    assert kept(lab).entry(OPTIMIZED).tolerance == SETTLED


def test_slower_captures_that_agree_need_leave_to_weaken(lab, first):
    for day in (2, 3):
        lab.capture("bc"[day - 2], day, optimized=1.2)
    before = lab.file.read_bytes()
    plan = lab.update("never mind")
    assert (plan.weaken_needed, plan.exit_code) == (True, 1)
    assert "optimized.iteration" in plan.refused
    assert lab.file.read_bytes() == before
    plan = lab.update("the chunks are checked now", weaken=True)
    assert any(change.weaker and change.after.key == OPTIMIZED for change in plan.changes)
    assert kept(lab).entry(OPTIMIZED).history[0].because == "the chunks are checked now"


def test_a_little_slower_keeps_the_bound_that_stands(lab, first):
    for day in (2, 3, 4):
        lab.capture("bcd"[day - 2], day)
    lab.update()
    old = kept(lab).entry(OPTIMIZED)
    for day in range(5, 10):
        lab.capture("efghi"[day - 5], day, optimized=1.03)
    plan = lab.update("drift")
    assert plan.refused == ""
    (change,) = (one for one in plan.changes if one.before is not None and one.before.key == OPTIMIZED)
    assert (change.kept, change.weaker) == (True, True)
    assert kept(lab).entry(OPTIMIZED) == old


def test_a_number_that_is_no_longer_measured_goes_only_with_leave(lab, first):
    for day in (2, 3):
        lab.capture("bc"[day - 2], day, claims=("speedup >= 1.5", "baseline.overlap_ratio <= 0.01"))
    plan = lab.update("the claim went")
    assert plan.weaken_needed
    assert "optimized.hidden(h2d, d2h)" in plan.refused
    lab.update("the claim went", weaken=True)
    (retired,) = kept(lab).retired
    assert (retired.metric, retired.history[0].because) == ("hidden(h2d, d2h)", "the claim went")
    assert kept(lab).entry(retired.key) is None


def test_a_new_claim_gets_an_entry(lab, first):
    for day in (2, 3):
        lab.capture("bc"[day - 2], day, claims=("speedup >= 1.5", "hidden(h2d, d2h) >= 0.5", "baseline.overlap_ratio <= 0.01",
                                                "optimized.idle <= 1ms"))  # fmt: skip
    lab.update("idle is claimed")
    entry = kept(lab).entry(("optimized", "idle", "trace"))
    assert (entry.bound.high, entry.tolerance, len(entry.measured)) == (1_000_000, None, 2)


def test_unproven_older_captures_are_left_out_and_named(lab, first):
    lab.capture("b", 2, claims=("speedup >= 9",))
    lab.capture("c", 3)
    plan = lab.update()
    assert plan.rests_on == ("ch11.streams-c", "ch11.streams-a")
    assert "ch11.streams-b left out: it is refuted" in plan.notes


def test_an_outcome_that_is_refuted_is_refused(lab):
    lab.capture(claims=("speedup >= 9",))
    plan = lab.update()
    assert plan.refused == "the newest capture, ch11.streams-a, is refuted"
    assert not lab.folder.exists()


def test_an_empty_reason_is_none(lab, first):
    with pytest.raises(UsageError, match="for a reason"):
        lab.update(" ")


def test_one_capture_cannot_agree(lab, first):
    with pytest.raises(UsageError, match="1 captures cannot agree"):
        lab.update(agreeing=1)


def test_no_capture_at_all(lab):
    with pytest.raises(CannotTell):
        update_expectations(["ch99.nothing"], lab.captures, "why", lab.folder)


def test_pairs_of_one_file_stay_beside_each_other(lab):
    pairs = [one.manifest.pair for one in shipped_store().captures() if one.manifest.pair.startswith("ch09.")]
    update_expectations(pairs[:1], lab.captures, "one", lab.folder, write=True)
    update_expectations(pairs[1:2], lab.captures, "two", lab.folder, write=True)
    assert sorted(json.loads((lab.folder / "h200" / "ch09.json").read_text())["pairs"]) == sorted(pairs[:2])


def test_the_file_is_whole_or_as_it_was(lab, first, monkeypatch):
    before = lab.file.read_bytes()
    lab.capture("b", 2)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aisp_prof.profiler.expect.files.os.fsync", full)
    with pytest.raises(Exception, match="No space left"):
        lab.update()
    assert lab.file.read_bytes() == before
    assert [path.name for path in lab.file.parent.iterdir()] == ["ch11.json"]


def test_two_updates_at_once_lose_nothing(lab, monkeypatch):
    """While one writes what it made of the first capture, a second one comes, and another update begins."""
    lab.capture()
    done, others = threading.Event(), []

    def slowly(path, pairs):
        monkeypatch.setattr(module, "write_chapter", write_chapter)
        lab.capture("b", 2)
        others.append(threading.Thread(target=lambda: (lab.update("a second machine"), done.set())))
        others[0].start()
        assert not done.wait(2)  # it waits for its turn; alone it takes a tenth of that
        write_chapter(path, pairs)

    monkeypatch.setattr(module, "write_chapter", slowly)
    lab.update("first")
    others[0].join()
    assert kept(lab).entry(OPTIMIZED).rests_on == ("ch11.streams-b", "ch11.streams-a")
    assert [former.because for former in kept(lab).entry(OPTIMIZED).history] == ["a second machine"]


def test_a_full_disk_leaves_what_stood(lab, first, monkeypatch):
    before = lab.file.read_bytes()
    lab.capture("b", 2)
    monkeypatch.setattr(scratch.os, "fsync", full_disk)
    with pytest.raises(AispError, match=r"ch11.json cannot be written: .*No space left") as caught:
        lab.update("a second machine")
    assert "--expectations" in caught.value.mend
    assert lab.file.read_bytes() == before
    assert [path.name for path in lab.file.parent.iterdir()] == ["ch11.json"]


def full_disk(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")


def seen_at(*values, unit="ns"):
    """Captures of one iteration time, or of a share."""
    metric = "iteration" if unit == "ns" else "hidden(h2d)"
    return [
        Observation("optimized", metric, "trace", unit, "less", Measurement(str(i), v, v, v, 20, 0.0))
        for i, v in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "tolerance"),
    [
        ((100.0,), 0.10),
        ((100.0, 100.1), 0.10),  # two that happen to lie close settle nothing
        ((100.0, 100.1, 99.9), 0.10),
        ((100.0, 100.1, 99.9, 100.0), 0.05),
        ((100.0, 97.0, 103.0, 100.0), 3.182 * 6**0.5 * 1.25**0.5 / 100),  # s = sqrt(18 / 3), three degrees of freedom
    ],
)
def test_the_spread_of_four_sessions_says_how_the_next_may_differ(values, tolerance):
    entry = entry_of(seen_at(*values), {}, "", "")
    assert entry.tolerance == pytest.approx(tolerance, rel=1e-3)


@pytest.mark.parametrize(
    ("unit", "values", "noisy"),
    [
        ("ns", (100.0, 112.0), False),
        ("ns", (100.0, 140.0), True),
        ("ratio", (0.5, 0.6), False),
        ("ratio", (0.4, 0.6), True),
    ],
)
def test_what_would_be_too_loose_gates_nothing(unit, values, noisy):
    entry = entry_of(seen_at(*values, unit=unit), {}, "", "")
    assert bool(entry.too_noisy) is noisy
