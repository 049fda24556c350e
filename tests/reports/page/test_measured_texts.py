"""What a print does not do again is nothing that its bytes tell of."""

from __future__ import annotations

import gc
import re
from typing import Any

import pytest
from aisp_prof.reports.page import measured_texts, pdf
from aisp_prof.reports.page.measured_texts import measured_once, one_print
from aisp_prof.reports.page.pdf import Printed, print_html

line_break = pytest.importorskip("weasyprint.text.line_break")

CELLS = "".join(
    f"<tr><td>cudaMemcpyAsync {n % 3}.{n}\u00a0µs of them</td><td><code>a::b&lt;{n}&gt;</code></td></tr>"
    for n in range(40)
)
SAID = "AVAVAV office 0.10 1.11 in words that take more than one line of this narrow page"
STYLES = (
    "", "letter-spacing: 1px", "word-spacing: 4px", "white-space: nowrap", "font-weight: 700", "font-style: italic", "font-size: 9px",
    "font-family: monospace", "font-kerning: none", "font-variant-caps: small-caps", "overflow-wrap: normal", "word-break: break-all",
    "text-decoration: underline", "text-align: justify",
)  # fmt: skip
ALIKE = "".join(f'<p style="{style}">{SAID}</p>' for style in STYLES)
PAGE = f"""<html lang="en"><title>t</title><style>
@page {{ size: 90mm; @bottom-right {{ content: counter(page) " / " counter(pages) }} }}
body {{ overflow-wrap: anywhere; font-variant-numeric: tabular-nums }} .of::after {{ content: target-counter(attr(href), page) }}
.row {{ display: flex; justify-content: space-between }} .narrow {{ display: none }}
</style><p>See <a class="of" href="#end">the end, on page </a></p>{ALIKE}
<svg class="strip wide" width="9" height="9"><text>wide</text></svg><svg class="strip narrow" width="5"><text>no</text></svg>
<div class="row"><p>one side</p><p style="text-align: justify">the other side of a line that is broken somewhere</p></div>
<table>{CELLS}</table><script type="application/json">{{"<p>": 1}}</script><p id="end" lang="ko">the end</p></html>"""


@pytest.fixture
def in_vain(monkeypatch: pytest.MonkeyPatch) -> Printed:
    """The page as WeasyPrint alone prints it, measuring as often as it likes, with all that it does not show."""
    with monkeypatch.context() as patched:
        patched.setattr(measured_texts, "_TAKES", [])
        patched.setattr(pdf, "_NOT_PRINTED", re.compile("$^"))
        return print_html(PAGE)


def test_a_print_is_the_same_and_measures_less(in_vain: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    whole = line_break.create_layout

    def counted(text: str, *rest: Any) -> Any:
        asked.append(text)
        return whole(text, *rest)

    monkeypatch.setattr(line_break, "create_layout", counted)
    with measured_once():
        first = print_html(PAGE)
        once = len(asked)
        again = print_html(PAGE)
    assert in_vain == first == again
    assert once > 100
    assert len(asked) - once < once / 20, "the second print measured again"
    assert len(set(asked)) > once / 4, "a text was measured again and again"


def test_afterwards_weasyprint_is_as_it_was() -> None:
    from weasyprint.layout import inline, preferred

    before = gc.isenabled()
    gc.enable()
    seen: list[bool] = []

    def fail() -> None:
        with one_print():
            seen[:] = inline.split_first_line is line_break.split_first_line, gc.isenabled()
            raise ValueError("within")

    try:
        with pytest.raises(ValueError, match="within"):
            fail()
        assert seen == [False, False]
        assert inline.split_first_line is preferred.split_first_line is line_break.split_first_line
        assert gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()
    assert not measured_texts._open


def test_what_paper_does_not_show_is_left_out() -> None:
    left = pdf._NOT_PRINTED.sub("", PAGE)
    assert "wide" in left
    assert ">no<" not in left
    assert "application/json" not in left
    assert len(PAGE) - len(left) == 108
