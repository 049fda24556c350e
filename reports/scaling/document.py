"""The page of a sweep as one self-contained document."""

from __future__ import annotations

from pathlib import Path

from ...profiler.queries.scaling import Scaling
from ..catalog import catalog
from ..page.document import render_alone
from .view import scaling_page


def render_scaling(found: Scaling, stored: Path | None = None, lang: str = "en") -> str:
    """The page of a sweep; `stored` is the file of all runs, where there is one.

    Raises:
        UsageError: no catalog for `lang`.
    """
    page = scaling_page(found, stored, catalog(lang))
    return render_alone("scaling.html.j2", lang, "scaling.css", {"one": page})
