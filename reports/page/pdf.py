"""The document on paper: a tagged PDF whose bytes depend only on the document."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, Final

from ...errors import EnvironmentLacks
from ...machine.files import write_whole
from .korean import check_fonts, whole_words
from .measured_texts import one_print

_NOT_PRINTED: Final = re.compile(r'<script\b.*?</script>|<svg\b[^>]*\bclass="[\w ]*\bnarrow\b.*?</svg>', re.DOTALL)
"""What no paper shows: it would be parsed, and every mark of a small screen's pictures given a style."""
LIBRARIES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")


@dataclass(frozen=True, slots=True)
class Printed:
    """A document on paper; `fonts` are the sha256 of the font subsets that it embeds, the page's own and the system's."""

    data: bytes
    fonts: tuple[str, ...]


def write_pdf(html: str, path: Path) -> None:
    """Print the document to `path`, whole or not at all.

    Raises:
        EnvironmentLacks: WeasyPrint, the libraries under it, or a font for the document's letters are not installed.
    """
    write_whole(path, print_html(html).data)


def print_html(html: str) -> Printed:
    """Print the document: the same bytes wherever `printer_versions` and the fonts are the same.

    Raises:
        EnvironmentLacks: WeasyPrint, the libraries under it, or a font for the document's letters are not installed.
    """
    printer = _printer()
    check_fonts(html)
    own_fonts_only = printer.URLFetcher(allowed_protocols=("data",), fail_on_errors=True)
    shown = whole_words(_NOT_PRINTED.sub("", html))
    with one_print():
        document = printer.HTML(string=shown, url_fetcher=own_fonts_only, media_type="print").render()
        data: bytes = document.write_pdf(pdf_variant="pdf/ua-1", pdf_tags=True, pdf_identifier=identifier_of(html))
    fonts = {hashlib.sha256(font.file_content).hexdigest() for font in document.fonts.values()}
    return Printed(data, tuple(sorted(fonts)))


def identifier_of(html: str) -> bytes:
    """How a PDF identifies the document that it was printed from."""
    return hashlib.sha256(html.encode()).digest()[:16]


def printer_versions() -> dict[str, str]:
    """The versions of all that the bytes of a PDF depend on.

    Raises:
        EnvironmentLacks: WeasyPrint or the libraries under it are not installed.
    """
    _printer()
    from weasyprint.text.ffi import harfbuzz, pango

    packages = {
        name: version(name) for name in ("weasyprint", "pydyf", "fonttools", "tinycss2", "tinyhtml5", "cssselect2")
    }
    below = {"pango": str(pango.pango_version()), "harfbuzz": _harfbuzz(harfbuzz.hb_version_atleast)}
    return {**packages, **below, "zlib": zlib.ZLIB_RUNTIME_VERSION}


def _harfbuzz(at_least: Callable[[int, int, int], int]) -> str:
    """HarfBuzz's version, which WeasyPrint's binding reveals only by comparison."""
    parts: list[int] = []
    for _ in range(3):
        part = next(n for n in count() if not at_least(*([*parts, n + 1, 0, 0][:3])))
        parts.append(part)
    return ".".join(map(str, parts))


def check_printer(sample: str = "") -> None:
    """Pass silently if a PDF can be printed, `sample` being a word of its language.

    Raises:
        EnvironmentLacks: WeasyPrint, the libraries under it, or a font for the sample's letters are not installed.
    """
    _printer()
    check_fonts(sample)


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
