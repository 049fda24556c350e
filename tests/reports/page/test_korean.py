"""Korean on paper: without its letters nothing is printed, and no word is broken."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.profiler.evidence import Evidence
from aisp_prof.reports.bundle.header import Printer
from aisp_prof.reports.bundle.paper import printed
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.korean import whole_words
from aisp_prof.reports.page.pdf import print_html, printer_versions
from aisp_prof.reports.page.write import formats_to_write, write_report

pypdf = pytest.importorskip("pypdf")

TITLE = "어느 낱말도 두 줄로 나뉘지 않고 한 줄에 그대로 남아야 하는 제목"
STYLE = '.word { white-space: nowrap } @page { @bottom-center { content: "aisp-prof " counter(page) " / " counter(pages) } }'
NARROW = f'<html lang="ko"><title>t</title><style>{STYLE}</style><h1 style="width: 4em; font: 20px sans-serif">{TITLE}</h1></html>'


@pytest.fixture
def without_hangul(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with DejaVu alone, which Debian installs with fontconfig."""
    config = tmp_path / "fonts.conf"
    config.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>/usr/share/fonts/truetype/dejavu</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    monkeypatch.setenv("FONTCONFIG_FILE", str(config))


@pytest.mark.usefixtures("without_hangul")
def test_without_a_font_for_korean_no_boxes_are_printed(evidence: Evidence, tmp_path: Path) -> None:
    html = render_html("ch11", [evidence], "ko")
    with pytest.raises(EnvironmentLacks) as raised:
        write_report("ch11", html, tmp_path / "out", ("html", "pdf"))
    assert raised.value.exit_code == 3
    assert raised.value.mend == "apt-get install -y fonts-noto-cjk"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ch11.html"]
    formats, lacking = formats_to_write("", "ko")
    assert (formats, lacking and lacking.mend) == (("html",), raised.value.mend)
    assert formats_to_write("", "en") == (("html", "pdf"), None)


@pytest.mark.usefixtures("without_hangul")
def test_without_a_font_for_korean_a_print_in_english_needs_none() -> None:
    assert print_html('<html lang="en"><title>t</title><p>one</p></html>').data.startswith(b"%PDF")


def test_without_a_font_for_korean_a_bundles_pdf_is_read(request: pytest.FixtureRequest) -> None:
    made = print_html(NARROW)
    request.getfixturevalue("without_hangul")
    found = printed.check_pdf("a.pdf", made.data, NARROW, Printer(printer_versions(), made.fonts))
    assert found.about.startswith("a.pdf: read, because the PDF needs a font with Korean letters")


def test_no_word_of_a_title_is_broken_on_paper() -> None:
    """WeasyPrint alone breaks it between any two syllables."""
    text = pypdf.PdfReader(io.BytesIO(print_html(NARROW).data)).pages[0].extract_text()
    words = re.findall("[가-힣]+", text)
    assert text.count("\n") > 5
    assert words == TITLE.split()


def test_only_words_of_the_text_are_kept_whole() -> None:
    html = '<title>제목</title><svg aria-label="그림"><text>그림</text></svg><p class="가">a 두 b<br>cuMem·free와 <span class="word">한</span></p>'
    assert whole_words(html) == (
        '<title>제목</title><svg aria-label="그림"><text>그림</text></svg><p class="가">a <span class="word">두</span> b<br>'
        'cuMem·<span class="word">free와</span> <span class="word">한</span></p>'
    )
    assert whole_words("<p>one</p>") == "<p>one</p>"
