"""Reading a PDF against its page: what agrees, and each way in which it does not."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.reports.bundle.paper.fonts import Compared, fonts_of
from aisp_prof.reports.bundle.paper.ink import ink_of
from aisp_prof.reports.bundle.paper.text import Paper, Text, printed_texts, read_pdf, text_differences
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.pdf import identifier_of, print_html

pypdf = pytest.importorskip("pypdf")
from paper_mutations import GLYPHS, HIDDEN, MOVED, UNSEEN, behind, rewritten
from pypdf.generic import DecodedStreamObject, NameObject
from shared import printed_once

PAGE = """<html><head><title>t</title><style>p{}</style></head><body>
<p>One <b>2.18×</b></p><svg class="narrow"><text>slim</text></svg>
<svg class="wide"><title>spoken</title><text>1.46 ms</text><path d=""/><text>1.43 ms</text></svg>
<span hidden>keys</span><script>s</script><p>Two &amp; three<br>lines</p></body></html>"""


def test_what_is_on_paper() -> None:
    assert printed_texts(PAGE) == [
        Text("One", False),
        Text("2.18×", False),
        Text("1.46ms", True),
        Text("1.43ms", True),
        Text("Two&three", False),
        Text("lines", False),
    ]


@pytest.mark.parametrize(
    ("paper", "said"),
    [
        ("One2.18×Two&threelines1.46ms1.43ms", []),
        ("One2.18×1.46ms1.43msTwo&threelines", []),
        ("One2.81×Two&threelines1.46ms1.43ms", ["the page says '2.18×'", "the PDF says '2.81×'"]),
        ("One2.18×Two&threelines1.43ms1.46ms", ["the page says '1.43ms'", "the PDF says '1.43ms'"]),
        ("One2.18×Two&three1.46ms1.43ms", ["the page says 'lines'"]),
        ("One2.18×Two&threelinesmore1.46ms1.43ms", ["the PDF says 'more'"]),
        ("", ["'One'", "'2.18×'", "'Two&three'", "'lines'", "'1.46ms'", "'1.43ms'"]),
    ],
)
def test_differences_are_named(paper: str, said: list[str]) -> None:
    found = text_differences(PAGE, Paper(paper, b""))
    assert len(found) == len(said)
    assert all(words in one for words, one in zip(said, found, strict=True))


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_print_says_all_of_its_page_and_no_more(samples: object, verdict: Verdict, lang: str) -> None:
    html = render_html("ch11", [samples.judged(verdict)], lang)
    paper = read_pdf(printed_once(html).data)
    assert text_differences(html, paper) == []
    assert isinstance(paper.glyphs, Compared)
    assert paper.glyphs.problems == ()
    assert paper.identifier == identifier_of(html)


def test_a_print_of_several_pairs_says_all_of_its_page_and_no_more(samples: object) -> None:
    """With links within it, and headings that stand in no title."""
    html = render_html("ch11", [samples.judged(Verdict.PROVEN), samples.judged(Verdict.REFUTED)], "ko")
    assert text_differences(html, read_pdf(printed_once(html).data)) == []


@pytest.fixture(scope="module")
def numbered() -> tuple[str, Paper]:
    """A document of three pages whose first names the pages of the others, printed and read."""
    style = """<style>@page { @bottom-center { content: "aisp-prof " counter(page) " / " counter(pages) } }
p { break-before: page } .page::after { content: target-counter(attr(href), page) }</style>"""
    rows = "".join(f'<div>{name} <a class="page" href="#{name}"></a> 2.00×</div>' for name in ("one", "two"))
    html = f'{style}<h1>T</h1>{rows}<p id="one">First 2</p><p id="two">Second</p>'
    return html, read_pdf(print_html(f'<html lang="en"><title>t</title>{html}').data)


def test_the_number_of_a_page_is_that_of_the_page_it_points_to(numbered: tuple[str, Paper]) -> None:
    html, paper = numbered
    assert paper.text == "Tone22.00×two32.00×First2Second"
    assert text_differences(html, paper) == []


@pytest.mark.parametrize(
    ("before", "after"), [("two32", "two22"), ("one22", "one12"), ("two32", "two2"), ("one22.", "one232.")]
)
def test_another_number_of_a_page_is_found(numbered: tuple[str, Paper], before: str, after: str) -> None:
    html, paper = numbered
    shift = len(after) - len(before)
    starts = (0, *(start + shift for start in paper.starts[1:]))
    assert text_differences(html, replace(paper, text=paper.text.replace(before, after), starts=starts))


def test_what_moved_to_another_page_contradicts_its_number(numbered: tuple[str, Paper]) -> None:
    html, paper = numbered
    assert text_differences(html, replace(paper, starts=(0, paper.starts[1])))


def test_a_page_that_begins_with_a_digit_is_not_taken_for_a_page_number() -> None:
    style = '<style>@page { @bottom-center { content: "aisp-prof " counter(page) " / " counter(pages) } }</style>'
    html = f'{style}<p>One</p><p style="break-before: page">1.46 ms</p><p style="break-before: page">2</p>'
    paper = read_pdf(print_html(f'<html lang="en"><title>t</title>{html}').data)
    assert paper.text == "One1.46ms2"
    assert text_differences(html, paper) == []


def opens_with_a_script(writer: object) -> None:
    from pypdf.generic import DictionaryObject, NameObject, TextStringObject

    action = {NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.alert(1)")}
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(action)


def annotated(writer: object) -> None:
    from pypdf.annotations import FreeText

    writer.add_annotation(0, FreeText(text="9.99×", rect=(0, 0, 9, 9)))


def with_additions(change: object) -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    change(writer)
    target = BytesIO()
    writer.write(target)
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (with_additions(opens_with_a_script), "holds"),
        (with_additions(lambda w: w.add_attachment("x.txt", b"x")), "EmbeddedFiles"),
        (
            with_additions(annotated),
            "annot",
        ),
        (b"%PDF-1.7\n%%EOF\n", "no PDF that can be read"),
        (b"", "no PDF that can be read"),
    ],
    ids=["a script", "an attachment", "an annotation", "nothing in it", "empty"],
)
def test_what_no_print_holds_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_pdf(data)


@pytest.fixture(scope="module")
def printed(samples: object) -> tuple[str, bytes]:
    """A page and its print."""
    html = render_html("ch11", [samples.judged(Verdict.PROVEN)], "en")
    return html, printed_once(html).data


@pytest.mark.parametrize("what", [*HIDDEN, *UNSEEN])
def test_what_hides_or_adds_to_the_text_is_found_by_reading(what: str, printed: tuple[str, bytes]) -> None:
    html, data = printed
    assert said_of(html, rewritten(data, {**HIDDEN, **UNSEEN}[what]))


@pytest.mark.parametrize("what", GLYPHS)
def test_letters_that_are_drawn_as_others_are_found_by_reading(what: str, printed: tuple[str, bytes]) -> None:
    html, data = printed
    said = said_of(html, rewritten(data, GLYPHS[what]))
    assert said
    assert any("Inter" in one or "Noto" in one or "over text" in one for one in said), said


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.97])
def test_a_part_of_a_line_that_is_painted_over_is_found(share: float, printed: tuple[str, bytes]) -> None:
    """Not only where a text begins: a digit in the middle of a line."""
    html, data = printed
    reader = pypdf.PdfReader(BytesIO(data))
    letters = ink_of(reader.pages[0], reader, fonts_of(reader)).glyphs
    x, y = letters[int(share * len(letters))].at
    white = b"\nq 1 1 1 rg %f %f 2 2 re f Q\n" % (x - 1, y - 1)

    def change(writer: object) -> None:
        stream = DecodedStreamObject()
        stream.set_data(b"q\n" + writer.pages[0]["/Contents"].get_object().get_data() + b"\nQ" + white)
        writer.pages[0][NameObject("/Contents")] = writer._add_object(stream)

    assert "painted over" in said_of(html, rewritten(data, change))[0]


@pytest.mark.parametrize("place", range(3))
def test_what_is_added_before_or_behind_is_found_by_reading(place: int, printed: tuple[str, bytes]) -> None:
    html, data = printed
    assert said_of(html, list(behind(data))[place][1])


@pytest.mark.parametrize("what", MOVED)
def test_what_is_only_written_otherwise_is_not_found_by_reading(what: str, printed: tuple[str, bytes]) -> None:
    html, data = printed
    assert said_of(html, rewritten(data, MOVED[what])) == []


def said_of(html: str, data: bytes) -> list[str]:
    try:
        paper = read_pdf(data)
        assert isinstance(paper.glyphs, Compared)
        return [*paper.glyphs.problems, *text_differences(html, paper)]
    except UsageError as error:
        return [str(error)]
