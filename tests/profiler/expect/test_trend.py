"""A pair's numbers over its captures: changes are marked, noise and other hardware are not."""

from __future__ import annotations

from aisp_prof.profiler.expect.trend import trend
from rewritten import rewritten


def marks(moments):
    return [{name: round(p.change, 2) for name, p in one.series.items() if p.change is not None} for one in moments]


def test_a_change_is_marked_once_where_it_came(lab):
    for day, factor in enumerate((1, 1.01, 1.3, 1.31, 1.3), 1):
        lab.capture(f"d{day}", day, optimized=factor)
    shipped, *moments = trend("ch11.streams", lab.captures)[0]
    assert [one.capture for one in moments] == [f"ch11.streams-d{day}" for day in range(1, 6)]
    assert marks(moments) == [{}, {}, {"optimized": 0.29, "speedup": -0.23}, {}, {}]
    assert shipped.shipped
    assert any("size" in one for one in moments[0].context)
    assert moments[1].context == ()


def test_a_return_is_a_change_too(lab):
    for day, factor in enumerate((1, 1.3, 1), 1):
        lab.capture(f"d{day}", day, optimized=factor)
    assert [sorted(one) for one in marks(trend("ch11.streams", lab.captures, 3)[0])] == [
        [], ["optimized", "speedup"], ["optimized", "speedup"]
    ]  # fmt: skip


def test_other_hardware_starts_anew(lab):
    one = lab.capture("a", 1)

    def told(data):
        data["versions"]["driver"] = "590.1"

    rewritten(one, lab.captures, None, told, "b", 2)
    *_, last = trend("ch11.streams", lab.captures)[0]
    assert last.context == ("driver branch: 580 expected, 590 here",)
    assert marks([last]) == [{}]


def test_a_capture_that_shows_nothing_is_in_it_without_numbers(lab):
    one = lab.capture("a", 1)
    with (one.folder / "trace.sqlite").open("ab") as file:
        file.write(b" ")
    (moment,) = trend("ch11.streams", lab.captures, 1)[0]
    assert (moment.verdict, moment.series) == ("unproven", {})
    assert moment.to_json()["baseline"] is None
