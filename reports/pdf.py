"""The document on paper: a tagged PDF whose bytes depend on the document alone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ..errors import EnvironmentLacks

LIBRARIES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")


def write_pdf(html: str, path: Path) -> None:
    """Print the document to `path`, whole or not at all.

    Raises:
        EnvironmentLacks: WeasyPrint or the libraries under it are not installed.
    """
    printer = _printer()
    own_fonts_only = printer.URLFetcher(allowed_protocols=("data",), fail_on_errors=True)
    document = printer.HTML(string=html, url_fetcher=own_fonts_only, media_type="print")
    identifier = hashlib.sha256(html.encode()).digest()[:16]
    data: bytes = document.write_pdf(pdf_variant="pdf/ua-1", pdf_tags=True, pdf_identifier=identifier)
    write_whole(path, data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that nobody meets half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _printer() -> Any:
    try:
        import weasyprint
    except ModuleNotFoundError as error:
        raise EnvironmentLacks(
            "the PDF needs WeasyPrint, which is not installed", "pip install 'aisp-prof[pdf]'"
        ) from error
    except OSError as error:
        lacking = " ".join(LIBRARIES)
        raise EnvironmentLacks(f"the PDF needs {lacking}: {error}", f"apt-get install -y {lacking}") from error
    return weasyprint
