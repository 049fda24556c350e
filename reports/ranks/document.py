"""The page of a run as one self-contained document, and as a PDF of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import UsageError
from ...machine.files import write_whole
from ...profiler.ranks.run import Run
from ..catalog import catalog
from ..page.document import render_alone
from ..page.pdf import write_pdf
from .view import BAR, ranks_page

SUFFIXES = (".html", ".pdf")


def render_ranks(run: Run, named: Sequence[str], lang: str = "en") -> str:
    """The page of a run.

    Raises:
        UsageError: no catalog for `lang`.
    """
    say = catalog(lang)
    return render_alone("ranks.html.j2", lang, "ranks.css", {"one": ranks_page(run, say, named), "bar": BAR})


def check_page(path: Path, lang: str) -> None:
    """Refuse early what would be refused after reading thousands of traces.

    Raises:
        UsageError: neither HTML nor PDF, or no catalog for `lang`.
    """
    catalog(lang)
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: neither .html nor .pdf", "-o page.html, or -o page.pdf")


def write_page(html: str, path: Path) -> None:
    """Write the document, as what its name says.

    Raises:
        EnvironmentLacks: a PDF, and its libraries are missing.
        OSError: it cannot be written.
    """
    write_pdf(html, path) if path.suffix == ".pdf" else write_whole(path, html.encode())
