"""Every picture of every page that ships: its geometry is grammatical, and it draws the rows of its trace, by SQL alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from io import BytesIO

import pytest
from aisp_prof.profiler.evidence import VariantEvidence
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.reports.bundle.drawing import check_drawing
from aisp_prof.reports.bundle.verification import Check
from aisp_prof.reports.page.document import in_order, render_html
from aisp_prof.reports.page.pdf import print_html
from shared import fonts_unpacked_once, page_of, plain_trace, proven, shipped, shown_device
from svg_grammar import Pictures, check_marks

CAPTURES = tuple({capture.manifest.pair: capture for capture in shipped()}.values())
MOST = 2_000
KINDS = {1: "h2d", 2: "d2h", 8: "d2d", 10: "p2p"}
Row = tuple[int, int, int, int, str]
"""Device, stream, start, end, kind."""


@pytest.fixture(params=CAPTURES, ids=lambda capture: capture.manifest.pair)
def capture(request: pytest.FixtureRequest) -> Capture:
    return request.param


@pytest.fixture
def trace(capture: Capture) -> Iterator[sqlite3.Connection]:
    with plain_trace(capture) as connection:
        yield connection


def ranges(trace: sqlite3.Connection, variant: str) -> list[tuple[int, int, int]]:
    query = """
        SELECT i.globalTid, i.start, i.end FROM NVTX_EVENTS m LEFT JOIN StringIds b ON b.id = m.textId
            CROSS JOIN NVTX_EVENTS i LEFT JOIN StringIds a ON a.id = i.textId
        WHERE i.eventType = 59 AND m.eventType = 59 AND m.globalTid = i.globalTid
            AND i.start BETWEEN m.start AND m.end AND i.end <= m.end
            AND COALESCE(i.text, a.value) = 'iter' AND COALESCE(m.text, b.value) LIKE '%.' || ? || '.measure'
        ORDER BY i.start"""
    return trace.execute(query, (variant,)).fetchall()


TALKS = "(SELECT value FROM StringIds WHERE id = o.shortName) LIKE 'nccl%'"


def launched(trace: sqlite3.Connection, bounds: tuple[int, int, int], whole_process: bool) -> list[Row]:
    found: list[Row] = []
    for table, kind in (("KERNEL", f"-2 * ({TALKS})"), ("MEMSET", "-1"), ("MEMCPY", "o.copyKind")):
        query = f"""SELECT DISTINCT o.rowid, o.deviceId, o.streamId, o.start, o.end, {kind}
            FROM CUPTI_ACTIVITY_KIND_{table} o JOIN CUPTI_ACTIVITY_KIND_RUNTIME r
            ON r.correlationId = o.correlationId AND (r.globalTid & -16777216) = o.globalPid
            WHERE r.globalTid {"& -16777216 = ?1 & -16777216" if whole_process else "= ?1"}
                AND r.start BETWEEN ?2 AND ?3 AND r.end <= ?3"""
        for _, device, stream, start, end, code in trace.execute(query, bounds):
            found.append(
                (device, stream, start, end, {0: "compute", -1: "memset", -2: "comm"}.get(code) or KINDS[code])
            )
    return sorted(found, key=lambda row: (row[2], row[3]))


def drawn_rows(capture: Capture, trace: sqlite3.Connection, device: int, variant: VariantEvidence) -> list[Row]:
    """The rows of the iteration of median length on the device: of the drawn one, which must be such."""
    whole_process = capture.manifest.declaration.to_json().get("attribution") == "process"
    launches = (launched(trace, bounds, whole_process) for bounds in ranges(trace, variant.name))
    every = [[row for row in rows if row[0] == device] for rows in launches]
    lengths = sorted(max(row[3] for row in rows) - rows[0][2] for rows in every)
    rows = every[variant.median_index]
    assert max(row[3] for row in rows) - rows[0][2] in (lengths[(len(lengths) - 1) // 2], lengths[len(lengths) // 2])
    return rows


def test_the_timeline_draws_the_rows(capture: Capture, trace: sqlite3.Connection) -> None:
    """Both widths and languages: each lane's marks of each kind, painted and counted against the rows, and each variant's end."""
    evidence = proven(capture.id)
    device = shown_device(evidence, trace)
    rows = [drawn_rows(capture, trace, device, one) for one in evidence.variants]
    limit = max(max(row[3] for row in one) - one[0][2] for one in rows)
    merge = sum(map(len, rows)) > MOST
    for lang in ("en", "ko"):
        _held_against(Pictures(page_of(capture.id, lang)), rows, limit, merge)


def _held_against(page: Pictures, rows: list[list[Row]], limit: int, merge: bool) -> None:
    assert set(page.timelines) == {("pair-1", "wide"), ("pair-1", "narrow")}
    for picture in page.timelines.values():
        expected = {}
        for track, every in enumerate(rows):
            lanes = list(dict.fromkeys(row[:2] for row in every))
            for row in every:
                place = (track, lanes.index(row[:2]), row[4])
                expected.setdefault(place, []).append((row[2] - every[0][2], row[3] - every[0][2]))
            end = max(row[3] for row in every) - every[0][2]
            assert picture.ends[track] == pytest.approx(picture.left + picture.width * end / limit, abs=0.01)
        assert set(picture.bands) == set(expected)
        for place, spans in expected.items():
            check_marks(picture.bands[place], picture, spans, limit, merge)


def test_the_strips_show_every_run(capture: Capture) -> None:
    evidence = proven(capture.id)
    text = page_of(capture.id, "en")
    page = Pictures(text)
    events = evidence.speedup is not None and evidence.speedup.source == "events"
    shown = [(len(one.iterations), len(one.untraced_ns)) for one in evidence.variants]
    runs = [sum(one[events] for one in shown)]  # those that the speedup rests on; in the appendix all
    if not evidence.staged and all(all(one) for one in shown):
        runs.append(sum(map(sum, shown)))
    assert min(runs) > 20
    for kind in ("wide", "narrow"):
        pictures = re.findall(rf'<svg class="strip {kind}".*?</svg>', text, re.DOTALL)
        assert [count for one in pictures if (count := len(re.findall(r'<circle [^>]* r="2\.[16]"', one)))] == runs
    assert page.numbers > 100


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("chapter", sorted({capture.manifest.pair.partition(".")[0] for capture in CAPTURES}))
def test_all_geometry_of_a_chapter_is_grammatical(chapter: str, lang: str) -> None:
    mine = [proven(one.id) for one in CAPTURES if one.manifest.pair.startswith(f"{chapter}.")]
    html = render_html(chapter, mine, lang)
    page = Pictures(html)
    found = check_drawing("page.html", html, in_order(mine))
    assert isinstance(found, Check), found
    assert found.problems == ()
    assert len(page.timelines) == 2 * len(mine)
    assert page.paths > 2 * len(mine)


def filled(data: bytes) -> list[tuple[float, ...]]:
    """Of every filled path of a PDF the left edges of its parts, in points of its picture, by pypdf's reading of the operators."""
    from pypdf import PdfReader
    from pypdf.generic import ContentStream

    reader, found = PdfReader(BytesIO(data)), []

    def follow(stream: object, resources: dict) -> None:
        parts: list[list[float]] = []
        for operands, operator in ContentStream(stream, reader).operations:
            if operator in (b"m", b"re"):
                parts.append([float(operands[0])])
            elif operator == b"l":
                parts[-1].append(float(operands[0]))
            elif operator in (b"f", b"f*", b"B", b"B*"):
                found.append(tuple(min(part) for part in parts if len(part) > 1))
            if operator in (b"f", b"f*", b"B", b"B*", b"S", b"n"):
                parts = []
            elif operator == b"Do":
                form = resources["/XObject"][operands[0]].get_object()
                follow(form, form.get("/Resources", resources))

    for page in reader.pages:
        follow(page["/Contents"].get_object(), page["/Resources"])
    return found


def timelines_alone(html: str) -> str:
    """The page with every element that stands around a picture, and so every rule of its style, without words and other pictures."""
    head, body = html.split("</head>")
    parts = re.split("(<svg.*?</svg>)", re.sub("<table.*?</table>", "", body, flags=re.DOTALL), flags=re.DOTALL)
    return f"{head}</head>" + "".join(
        part
        if '<svg class="timeline' in part
        else re.sub(">[^<]+", ">", re.sub("(<svg[^>]*>).*</svg>", r"\1</svg>", part, flags=re.DOTALL))
        for part in parts
    )


WHOLE = {capture.manifest.pair.partition(".")[0]: capture.manifest.pair for capture in CAPTURES}.values()
"""A pair of each chapter."""


def test_the_print_draws_as_many_marks_at_the_same_places(capture: Capture) -> None:
    """What the test above has held against the rows, the PDF has too: all of it, once.

    Most are printed without all else, which takes four fifths of a print; tests/reports/bundle/paper/test_text.py reads that.
    """
    html = page_of(capture.id, "en")
    picture = Pictures(html).timelines["pair-1", "wide"]
    with fonts_unpacked_once():
        painted = filled(print_html(html if capture.manifest.pair in WHOLE else timelines_alone(html)).data)
    for band, marks in picture.bands.items():
        lefts = tuple(min(x for x, _ in mark) for mark in marks)
        same = [one for one in painted if len(one) == len(lefts) and one == pytest.approx(lefts, abs=0.02)]
        assert len(same) >= 1, f"{band}: {len(lefts)} marks"


def test_each_pair_is_one_page_of_print() -> None:
    """Of ch11, whose pairs have the most streams, steps and doubts."""
    from pypdf import PdfReader

    mine = [proven(one.id) for one in CAPTURES if one.manifest.pair.startswith("ch11.")]
    html = render_html("ch11", mine, brief=True)
    printed = PdfReader(BytesIO(print_html(html).data))
    assert len(printed.pages) == 1 + len(mine)
