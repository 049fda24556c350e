"""Accepted regressions: they pass while they last, are said with their reason, and cover neither more nor what comes back."""

from __future__ import annotations

import json

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.expect.accepted import accept, standing, withdraw, without_mended
from aisp_prof.profiler.expect.check import Status, check_capture
from aisp_prof.profiler.expect.files import read_pair
from rewritten import a_sync_more, rewritten

SLOW = 1.14
WHY = {"reason": "exact sums, see #42", "by": "Ada"}


def row(checked, name, tier="trace"):
    (found,) = (row for row in checked.rows if (row.name, row.tier) == (name, tier))
    return found


def checked(lab, capture):
    return without_mended(check_capture(capture, lab.folder), capture, lab.captures, lab.folder)


@pytest.fixture
def slow(lab, first):
    """A capture in which the optimized variant is slower than expected, and that accepted."""
    made = lab.capture("slow", 2, optimized=SLOW)
    assert row(check_capture(made, lab.folder), "optimized.iteration").status is Status.REGRESSED
    accept(made, (), **WHY, folder=lab.folder)
    return made


def test_what_was_accepted_passes_with_its_reason(lab, slow):
    found = checked(lab, slow)
    one = row(found, "optimized.iteration")
    assert (one.status, one.status.exit_code) == (Status.ACCEPTED, 0)
    assert one.reason.startswith("by Ada, 20")
    assert one.reason.endswith(": exact sums, see #42")
    assert (found.status, found.status.exit_code) == (Status.ACCEPTED, 0)
    assert one.to_json()["accepted"]["capture"] == slow.id


def test_it_covers_nothing_worse(lab, slow):
    tolerance = row(checked(lab, slow), "optimized.iteration").entry.tolerance
    worse = lab.capture("worse", 3, optimized=SLOW * (1 + tolerance) * 1.1)
    one = row(checked(lab, worse), "optimized.iteration")
    assert one.status is Status.REGRESSED
    assert one.reason.startswith("worse than accepted by Ada")


def test_it_covers_no_other_number(lab, slow):
    changed = rewritten(slow, lab.captures, a_sync_more, name="sync", day=3)
    found = checked(lab, changed)
    assert row(found, "optimized.iteration").status is Status.ACCEPTED
    assert row(found, "optimized.syncs_per_iteration").status is Status.REGRESSED
    assert found.status is Status.REGRESSED


def test_once_mended_it_is_stale_and_covers_no_longer(lab, slow):
    mended = lab.capture("mended", 3)
    found = checked(lab, mended)
    assert row(found, "optimized.iteration").status in (Status.MET, Status.IMPROVED)
    assert row(found, "optimized.iteration").reason.startswith("mended; stale: accepted by Ada")
    assert found.status.exit_code == 0
    again = lab.capture("again", 4, optimized=SLOW)
    found = checked(lab, again)
    assert row(found, "optimized.iteration").status is Status.REGRESSED
    assert row(found, "optimized.iteration").reason == f"anew: what Ada accepted was mended in {mended.id}"
    assert found.status is Status.REGRESSED
    assert row(checked(lab, slow), "optimized.iteration").status is Status.ACCEPTED  # that was before
    accept(again, (), "again", "Eve", lab.folder)
    assert row(checked(lab, again), "optimized.iteration").reason.endswith(": again")


def test_a_capture_that_cannot_be_read_mends_nothing(lab, slow):
    damaged = lab.capture("mended", 3)
    damaged.trace_path.write_bytes(b"no trace")
    again = lab.capture("again", 4, optimized=SLOW)
    assert row(checked(lab, again), "optimized.iteration").status is Status.ACCEPTED


def test_the_trend_knows_it_until_it_is_mended(lab, slow):
    every = {(one.accepted.name, one.accepted.tier): one for one in standing("ch11.streams", lab.captures, lab.folder)}
    assert every["optimized.iteration", "trace"].mended == ""
    assert every["optimized.iteration", "trace"].to_json()["by"] == "Ada"
    mended = lab.capture("mended", 3)
    assert {one.mended for one in standing("ch11.streams", lab.captures, lab.folder)} == {mended.id}


def test_it_is_withdrawn_by_name_or_as_a_whole(lab, slow):
    kept = json.loads(lab.file.read_text())["pairs"]["ch11.streams"]["accepted"]
    assert len(kept) > 1
    gone = withdraw("ch11.streams", ["optimized.iteration [trace]"], lab.folder)
    assert [(one.name, one.tier) for one in gone] == [("optimized.iteration", "trace")]
    assert row(checked(lab, slow), "optimized.iteration").status is Status.REGRESSED
    assert len(withdraw("ch11.streams", (), lab.folder)) == len(kept) - 1
    assert "accepted" not in json.loads(lab.file.read_text())["pairs"]["ch11.streams"]
    with pytest.raises(UsageError, match="was accepted"):
        withdraw("ch11.streams", (), lab.folder)


def test_a_count_is_accepted_as_it_is(lab, first):
    changed = rewritten(first, lab.captures, a_sync_more, name="sync", day=2)
    (made,) = accept(changed, ["optimized.syncs_per_iteration"], **WHY, folder=lab.folder)
    assert (made.bound.low, made.bound.high) == (made.expected.low, made.value)
    assert row(checked(lab, changed), "optimized.syncs_per_iteration").status is Status.ACCEPTED
    more = rewritten(changed, lab.captures, a_sync_more, name="more", day=3)
    assert row(checked(lab, more), "optimized.syncs_per_iteration").status is Status.REGRESSED


def test_an_update_keeps_it_while_its_bound_stands(lab, slow):
    before = read_pair(lab.folder, "h200", "ch11.streams")
    assert before.accepted
    lab.capture("d", 3)
    lab.capture("e", 4)
    lab.update("more of the same")
    after = read_pair(lab.folder, "h200", "ch11.streams")
    standing_bounds = {(entry.key, entry.bound) for entry in after.entries}
    assert set(after.accepted) == {one for one in before.accepted if (one.key, one.expected) in standing_bounds}
    assert after.entries != before.entries


@pytest.mark.parametrize(
    ("names", "reason", "by", "said"),
    [
        ((), "", "Ada", "for a reason"),
        ((), "so", " ", "by somebody"),
        (["optimized.iterations"], "so", "Ada", "optimized.iterations of ch11.streams regressed in"),
        (["baseline.iteration"], "so", "Ada", "baseline.iteration of ch11.streams regressed in"),
    ],
)
def test_a_slip_is_refused_and_nothing_written(lab, first, names, reason, by, said):
    slow = lab.capture("slow", 2, optimized=SLOW)
    before = lab.file.read_bytes()
    with pytest.raises(UsageError, match=said):
        accept(slow, names, reason, by, lab.folder)
    assert lab.file.read_bytes() == before


def test_what_did_not_regress_is_not_accepted(lab, first):
    with pytest.raises(UsageError, match=r"nothing of ch11\.streams regressed in"):
        accept(first, (), **WHY, folder=lab.folder)


def test_a_damaged_acceptance_is_refused(lab, slow):
    data = json.loads(lab.file.read_text())
    data["pairs"]["ch11.streams"]["accepted"][0]["bound"]["kind"] = "exact"
    lab.file.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="calls itself 'exact'"):
        check_capture(slow, lab.folder)
    data["pairs"]["ch11.streams"]["accepted"][0]["bound"]["kind"] = "max"
    del data["pairs"]["ch11.streams"]["accepted"][0]["by"]
    lab.file.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="by is missing"):
        check_capture(slow, lab.folder)
