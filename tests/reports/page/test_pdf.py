"""The same document on paper."""

from __future__ import annotations

import importlib.abc
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.profiler.evidence import Evidence, Verdict
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.write import FORMATS, formats_to_write, write_report
from shared import printed_once

pypdf = pytest.importorskip("pypdf")


@pytest.fixture(scope="module")
def printed(samples: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The proven pair, printed once."""
    html = render_html("ch11", [samples.sample()])
    return write_report("ch11", html, tmp_path_factory.mktemp("report"), FORMATS)[1]


def test_html_comes_before_pdf_and_nothing_else_is_left(printed: Path) -> None:
    assert sorted(path.name for path in printed.parent.iterdir()) == ["ch11.html", "ch11.pdf"]


def test_pages_are_a4_and_numbered(printed: Path) -> None:
    pages = pypdf.PdfReader(printed).pages
    assert len(pages) == 3
    for number, page in enumerate(pages, 1):
        assert (round(page.mediabox.width), round(page.mediabox.height)) == (595, 842)
        assert f"aisp-prof {number} / 3" in page.extract_text()


def test_the_first_page_is_the_proof(printed: Path) -> None:
    text = " ".join(pypdf.PdfReader(printed).pages[0].extract_text().split())
    assert "Four streams finish the same iteration 2.18× as fast as one." in text
    assert "stream 25" in text


def test_the_document_is_tagged_titled_and_dated(printed: Path) -> None:
    reader = pypdf.PdfReader(printed)
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] is True or root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert reader.metadata.title.startswith("ch11: Four streams")
    assert reader.metadata.creation_date.isoformat().startswith("2026-11-20T21:30:45")
    assert b"pdfuaid:part" in printed.read_bytes() or "pdfuaid" in str(root["/Metadata"].get_data())


def test_the_same_document_gives_the_same_bytes(printed: Path) -> None:
    assert printed_once(printed.with_suffix(".html").read_text("utf-8")).data == printed.read_bytes()


def test_a_stage_prints_an_overview_and_every_pair(samples: ModuleType) -> None:
    """Of two: a pair of each verdict is printed in tests/reports/bundle/paper, in both languages."""
    html = render_html("ch11", [samples.judged(Verdict.PROVEN), samples.judged(Verdict.REFUTED)], "ko")
    text = [page.extract_text() for page in pypdf.PdfReader(BytesIO(printed_once(html).data)).pages]
    assert "2개" in text[0]
    assert "".join(text).count("직접 확인하기") == 2


def test_without_weasyprint_the_html_is_there_and_the_mend_named(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(EnvironmentLacks) as raised:
        write_report("ch11", render_html("ch11", [evidence]), tmp_path, FORMATS)
    assert raised.value.mend == "pip install 'aisp-prof[pdf]'"
    assert [path.name for path in tmp_path.iterdir()] == ["ch11.html"]


class NoPango(importlib.abc.MetaPathFinder):
    """Importing WeasyPrint fails as it does where Pango is missing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0'")


def test_without_pango_the_packages_are_named(
    evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoPango(), *sys.meta_path])
    with pytest.raises(EnvironmentLacks) as raised:
        write_report("ch11", render_html("ch11", [evidence]), tmp_path, FORMATS)
    assert raised.value.mend == "apt-get install -y libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
    assert [path.name for path in tmp_path.iterdir()] == ["ch11.html"]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="no report format 'docx'"):
        formats_to_write("html,docx")
