"""What a page draws is held against the rows, by nothing that drew it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, Verdict
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.reports.bundle.drawing import check_drawing
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.verification import Check, Status
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from aisp_prof.reports.hostile import shorten
from aisp_prof.reports.page import marks
from aisp_prof.reports.page.document import in_order, render_html
from forgery import pack, read, rehashed
from many_lanes import on_streams
from markupsafe import Markup
from shared import proven, shipped

CAPTURES = tuple({capture.manifest.pair: capture for capture in shipped()}.values())


def checked(html: str, *evidences: Evidence) -> Check:
    found = check_drawing("page.html", html, in_order(evidences))
    assert isinstance(found, Check), found
    return found


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.manifest.pair)
def test_every_shipped_page_draws_its_rows(capture: Capture) -> None:
    evidence = proven(capture.id)
    found = checked(render_html("page", [evidence]), evidence)
    assert found.problems == ()
    rows = sum(len(one.timeline) for one in evidence.variants)
    assert f"draw {rows} rows" in found.about


@pytest.mark.parametrize(("count", "apart"), [(100, 200_000), (1_950, 7_000), (3_000, 4_000), (25_000, 400)])
def test_pages_of_many_rows(samples: ModuleType, count: int, apart: int) -> None:
    evidence = crowded(samples, count, apart)
    assert checked(render_html("page", [evidence]), evidence).problems == ()


def test_several_pairs_and_such_without_a_picture(samples: ModuleType) -> None:
    every = [samples.judged(verdict) for verdict in Verdict]
    assert checked(render_html("page", every), *every).problems == ()


def crowded(samples: ModuleType, count: int, apart: int) -> Evidence:
    """Operations at uneven distances, in two streams, now and then several at once."""
    evidence: Evidence = samples.sample()
    begin = evidence.optimized.iterations[evidence.optimized.median_index].start
    ops = tuple(
        samples.op("compute", row, 13 + row % 2, begin + row * apart + row % 7 * apart // 9, apart // (2 + row % 5))
        for row in range(count)
    )
    return replace(evidence, optimized=replace(evidence.optimized, timeline=ops))


def in_path(edit: Callable[[str], str], nth: int = 0) -> Callable[[str], str]:
    """Edit the path data of one band."""

    def change(html: str) -> str:
        paths = list(re.finditer(r'(?<= d=")[^"]*(?="[^>]*data-kind)', html))
        at = paths[nth]
        return html[: at.start()] + edit(at[0]) + html[at.end() :]

    return change


def without(place: int) -> Callable[[str], str]:
    def edit(path: str) -> str:
        every = re.findall(r"M[^z]*z", path)
        del every[place]
        return "".join(every)

    return edit


def shifted(by: float, place: int = 0) -> Callable[[str], str]:
    def edit(path: str) -> str:
        every = re.findall(r"M[^z]*z", path)
        every[place] = re.sub(r"^M(\S+)", lambda m: f"M{float(m[1]) + by:g}", every[place])
        return "".join(every)

    return edit


def wider(by: float) -> Callable[[str], str]:
    def edit(path: str) -> str:
        width = float(re.search(r"h([^v]+)v", path)[1])
        return path.replace(f"h{width:g}v", f"h{width + by:g}v", 1).replace(f"h{-width:g}z", f"h{-width - by:g}z", 1)

    return edit


def in_data(edit: Callable[[dict], object]) -> Callable[[str], str]:
    def change(html: str) -> str:
        found = re.search(r'(<script type="application/json"[^>]*>)(.*?)(</script>)', html, re.DOTALL)
        data = json.loads(found[2])
        edit(data)
        return html.replace(found[2], json.dumps(data, separators=(",", ":"), sort_keys=True))

    return change


FORGED: dict[str, tuple[Callable[[str], str], str]] = {
    "a mark left out": (in_path(without(1)), "marks, the trace gives"),
    "the last mark left out": (in_path(without(-1)), "marks, the trace gives"),
    "a mark twice": (in_path(lambda p: p + p[p.rindex("M") :]), "marks, the trace gives"),
    "a mark moved": (in_path(shifted(3)), "row"),
    "a mark moved by a tenth": (in_path(shifted(0.1, 5)), "row"),
    "a mark longer": (in_path(wider(2)), "row"),
    "a mark shorter": (in_path(wider(-2)), "row"),
    "marks of the narrow picture": (in_path(shifted(3), -1), "narrow"),
    "a middle cut out": (in_path(lambda p: f"{p[:90]}…{p[-60:]}"), "no row of rectangles"),
    "another shape": (in_path(lambda p: f"{p}M0 0l1 1"), "no row of rectangles"),
    "a mark that is not closed": (in_path(lambda p: p[:-1]), "no row of rectangles"),
    "a mark of no height": (in_path(lambda p: re.sub(r"v[^h]+h", "v-9h", p)), "no row of rectangles"),
    "a flat mark": (in_path(lambda p: re.sub(r"v[^h]+h", "v1h", p)), "not drawn in its lane"),
    "a mark above its lane": (in_path(lambda p: re.sub(r"M(\S+) \S+?h", r"M\1 1h", p)), "not drawn in its lane"),
    "a band less": (lambda h: re.sub(r"<path [^>]*data-kind[^>]*/>", "", h, count=1), "is not drawn"),
    "a band more": (
        lambda h: re.sub(r'(<path [^>]*data-kind=")(\w+)("[^>]*/>)', r"\g<0>\1comm\3", h, count=1),
        "no row gives it",
    ),
    "a band of another lane": (lambda h: h.replace('data-lane="1"', 'data-lane="7"', 1), "is not drawn"),
    "an end moved": (lambda h: re.sub(r'(class="end" data-track="1" data-x=")[^"]+', r"\g<1>300", h), "its end"),
    "another axis": (lambda h: re.sub(r'data-width="[^"]+"', 'data-width="400"', h), "its end"),
    "a picture less": (
        lambda h: re.sub(r'<svg class="timeline narrow".*?</svg>', "", h, flags=re.DOTALL),
        "1 pictures",
    ),
    "the script's data of another time": (
        in_data(lambda d: d["tracks"][1]["lanes"][0][0].__setitem__(0, 5)),
        "the script's data",
    ),
    "an operation less in the script's data": (
        in_data(lambda d: d["tracks"][0]["lanes"][0].pop()),
        "the script's data",
    ),
    "another limit in the script's data": (in_data(lambda d: d.update(limit=9)), "ends elsewhere"),
    "no data for the script": (in_data(lambda d: d.clear()), "cannot be read"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_drawn_otherwise_is_found_and_named(samples: ModuleType, what: str) -> None:
    evidence, (change, said) = samples.sample(), FORGED[what]
    html = render_html("page", [evidence])
    assert change(html) != html
    found = checked(change(html), evidence)
    assert found.status is Status.WRONG
    assert any(said in f"{one.where} {one.what}" for one in found.problems), found.problems


def in_lane(lane: int, edit: Callable[[re.Match[str]], str], what: str = "path") -> Callable[[str], str]:
    """Edit what is drawn of one lane of the second variant of the wide picture."""
    return lambda html: re.sub(rf'<{what} [^>]*data-track="1" data-lane="{lane}"[^>]*/?>', edit, html, count=1)


FOLDED: dict[str, tuple[Callable[[str], str], str]] = {
    "a mark left out of a fold": (
        in_lane(9, lambda m: re.sub(r' d="M[^z]*z', ' d="', m[0])),
        "marks, the trace gives",
    ),
    "a mark moved in a fold": (in_lane(20, lambda m: re.sub(r' d="M[0-9.]+', ' d="M300', m[0])), "row"),
    "a lane left out of a fold": (in_lane(12, lambda _: "", "rect"), "lanes"),
    "a lane over another": (
        in_lane(12, lambda m: re.sub(r' y="[^"]+"', ' y="1"', m[0]), "rect"),
        "over the one above it",
    ),
    "a lane by another name": (
        in_lane(12, lambda m: m[0].replace("stream", "stream 1"), "rect"),
        "is named by",
    ),
    "another label beside a lane": (lambda h: h.replace(">stream 100<", ">stream 101<", 1), "its labels"),
    "a fold of fewer lanes": (lambda h: h.replace(">27 more like it<", ">26 more like it<", 1), "is one of 27"),
    "a fold over fewer lanes": (lambda h: h.replace('data-count="27"', 'data-count="26"', 1), "its folds"),
    "a fold that is not said": (lambda h: re.sub(r'<text class="fold.*?</text>', "", h, count=1), "its folds"),
}


@pytest.mark.parametrize("what", FOLDED)
def test_folded_lanes_are_held_against_the_rows_too(samples: ModuleType, what: str) -> None:
    evidence, (change, said) = on_streams(samples, 29), FOLDED[what]
    html = render_html("page", [evidence])
    assert checked(html, evidence).problems == ()
    assert change(html) != html
    found = checked(change(html), evidence)
    assert any(said in f"{one.where} {one.what}" for one in found.problems), found.problems


@pytest.mark.parametrize(("count", "more_on_every"), [(13, 0), (60, 3), (100, 2), (40, 1)])
def test_pages_of_many_lanes(samples: ModuleType, count: int, more_on_every: int) -> None:
    evidence = on_streams(samples, count, more_on_every)
    for lang in ("en", "ko"):
        assert checked(render_html("page", [evidence], lang), evidence).problems == ()


def test_a_step_that_is_not_drawn_is_found(samples: ModuleType) -> None:
    evidence = samples.sample()
    staged = replace(evidence, between=(replace(evidence.optimized, name="halfway"),))
    found = checked(render_html("page", [evidence]), staged)
    assert found.status is Status.WRONG
    assert checked(render_html("page", [staged]), staged).problems == ()


@pytest.mark.parametrize(
    "edit",
    [without(0), without(-1), without(7), shifted(0.4, 9), wider(0.4), wider(-0.2), lambda p: p[: len(p) // 2]],
    ids=["first", "last", "one within", "moved", "longer", "shorter", "half"],
)
def test_merged_marks_that_are_others_are_found(samples: ModuleType, edit: Callable[[str], str]) -> None:
    evidence = crowded(samples, 3_000, 4_000)
    html = render_html("page", [evidence])
    nth = max(range(9), key=lambda n: len(list(re.finditer(r' d="([^"]*)"[^>]*data-kind', html))[n][1]))
    assert checked(in_path(edit, nth)(html), evidence).status is Status.WRONG


@pytest.mark.parametrize("odd", ["nan", "inf", "1e999", "", "…"])
def test_what_is_no_place_is_not_compared(samples: ModuleType, odd: str) -> None:
    """Nothing is farther from "nan" than a hundredth of a pixel."""
    evidence = samples.sample()
    html = re.sub(r'data-left="[^"]+"', f'data-left="{odd}"', render_html("page", [evidence]))
    found = check_drawing("page.html", html, [evidence])
    assert isinstance(found, str)
    assert "cannot be read" in found


@pytest.mark.usefixtures("judged_once")
@pytest.mark.parametrize("fault", ["shortened", "merged", "half"])
def test_a_fault_of_the_code_that_draws_is_found(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page that verify makes again has the same fault: by its bytes it is as it should be."""
    right = marks.boxes
    faulty = {
        "shortened": lambda spans, y, height: Markup(shorten(str(right(spans, y, height)), 2000)),
        "merged": lambda spans, y, height: right([(spans[0][0], spans[-1][0] + spans[-1][1] - spans[0][0])], y, height),
        "half": lambda spans, y, height: right([(x, width / 2) for x, width in spans], y, height),
    }
    capture = next(one for one in CAPTURES if one.manifest.pair == "ch11.stream_ordered_kv_cache")
    monkeypatch.setattr(marks, "boxes", faulty[fault])
    write_bundle(tmp_path / "out.zip", [capture], [], Pages("ch11", "en", False), tmp_path)
    found = verify_bundle(tmp_path / "out.zip")
    assert {one.name: one.status for one in found.checks}["html"] is Status.OK
    assert found.exit_code == 1
    assert {one.file for one in found.problems} == {"ch11.html"}
    places = [one.where for one in found.problems if one.where]  # the last says how many more there are
    assert places
    assert all("timeline" in one for one in places)


@pytest.mark.usefixtures("judged_once")
def test_a_page_by_other_code_with_marks_left_out_is_wrong(made: Path, bundle: Path) -> None:
    """Not only "cannot be told": whichever code made it, its picture is not the trace's."""
    files = read(made.read_bytes())
    other = dict(files)
    environment = json.loads(files["environment.json"])
    environment["made_by"]["code_sha256"] = "0" * 64
    other["environment.json"] = (json.dumps(environment, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    other["ch11.html"] = in_path(without(2))(other["ch11.html"].decode()).encode()
    bundle.write_bytes(pack(rehashed(files, other)))
    found = verify_bundle(bundle)
    assert found.exit_code == 1
    assert any("timeline" in one.where for one in found.problems)
