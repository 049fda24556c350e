"""Write a stage's report into a folder: the HTML first, then the PDF from the same document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..profiler.evidence import Evidence
from .page import render_html
from .pdf import write_pdf, write_whole

FORMATS = ("html", "pdf")


def write_report(
    stage: str, evidences: Sequence[Evidence], folder: Path, lang: str = "en", formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write `<stage>.html` and `<stage>.pdf`, as asked for, and return the paths in that order.

    The HTML is in place before the PDF is begun: where the PDF's libraries are missing, the HTML still is there.

    Raises:
        UsageError: an unknown format, or a language without a catalog.
        EnvironmentLacks: the PDF was asked for and its libraries are missing.
        CannotTell: there is no evidence.
    """
    checked_formats(formats)
    html = render_html(stage, evidences, lang)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if "html" in formats:
        written.append(folder / f"{stage}.html")
        write_whole(written[-1], html.encode())
    if "pdf" in formats:
        written.append(folder / f"{stage}.pdf")
        write_pdf(html, written[-1])
    return written


def checked_formats(formats: Sequence[str]) -> None:
    """Refuse a format that there is not.

    Raises:
        UsageError: there is not.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"no report format {unknown[0]!r}", f"--format {'|'.join(FORMATS)}")
