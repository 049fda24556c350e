"""Whether a bundle's PDF is a print of its page: printed again and compared, or where that cannot be, read."""

from __future__ import annotations

from functools import lru_cache

from ....errors import EnvironmentLacks, UsageError
from ....profiler.store.zipped import first_unequal
from ...page.pdf import Printed, identifier_of, print_html, printer_versions
from ..header import Printer
from ..verification import Check, Problem, Status, check
from .fonts import Compared
from .text import Paper, read_pdf, text_differences

NAME = "pdf"
_ANOTHER = "it is no print of the page that the traces give"
_WHERE = (
    "verify it where the versions and fonts that environment.json names are installed, "
    "or ask for a bundle without a PDF (report --format html)"
)


@lru_cache(maxsize=2)
def _printed(html: str) -> Printed:
    return print_html(html)


def check_pdf(file: str, data: bytes, html: str, printer: Printer | None) -> Check:
    """Compare a PDF with the page that it should be a print of.

    Args:
        file: its name, for messages.
        html: the page, made again from the traces.
        printer: what environment.json says of the program that printed it.
    """
    try:
        versions = printer_versions()
    except EnvironmentLacks as error:
        return _read(file, data, html, printer, str(error))
    recorded = printer.versions if printer else {}
    if differing := sorted(name for name in versions | recorded if versions.get(name) != recorded.get(name)):
        other = ", ".join(f"{name} {recorded.get(name)}, here {versions.get(name)}" for name in differing)
        return _read(file, data, html, printer, f"it was printed by other versions: {other}")
    about = f"{file}: printed again by WeasyPrint {versions['weasyprint']}, compared byte for byte"
    if not _names(data, html):
        return check(NAME, about, [Problem(file, "", _ANOTHER)])
    try:
        again = _printed(html)
    except EnvironmentLacks as error:
        return _read(file, data, html, printer, str(error))
    if again.data != data and tuple(again.fonts) != _fonts(printer):
        return _read(file, data, html, printer, "it was printed with other fonts than are installed here")
    return check(NAME, about, _differing(file, data, again.data, html))


def _fonts(printer: Printer | None) -> tuple[str, ...]:
    return printer.fonts if printer else ()


def _names(data: bytes, html: str) -> bool:
    """Whether the PDF carries the identifier of the page, as any print of it does."""
    import pydyf

    return bytes(pydyf.String(identifier_of(html)).data) in data


def _differing(file: str, data: bytes, again: bytes, html: str) -> list[Problem]:
    if data == again:
        return []
    at = first_unequal(data, again)
    try:
        said = [Problem(file, "text", what) for what in text_differences(html, read_pdf(data))]
    except UsageError as error:
        said = [Problem(file, "", str(error))]
    except EnvironmentLacks:
        said = []
    return [Problem(file, f"byte {at}", "differs from the print of the page that the traces give"), *said]


def _read(file: str, data: bytes, html: str, printer: Printer | None, reason: str) -> Check:
    """The weaker check: it finds what is wrong, and proves nothing, since whoever made the bundle names his printer's versions."""
    try:
        paper = read_pdf(data)
    except EnvironmentLacks as error:
        about = f"{file}: not checked: {reason}; and {error}"
        return Check(NAME, Status.UNPROVEN, about, mend=f"{error.mend}, or install what it was printed by")
    except UsageError as error:
        return check(NAME, f"{file}: read, because {reason}", [Problem(file, "", str(error))])
    other = [] if paper.identifier == identifier_of(html) else [Problem(file, "", _ANOTHER)]
    if tuple(paper.fonts) != _fonts(printer):
        other.append(Problem(file, "fonts", "it embeds other fonts than those that it was printed with"))
    if isinstance(paper.glyphs, Compared):
        other += [Problem(file, "glyphs", what) for what in paper.glyphs.problems]
    other += [Problem(file, "text", what) for what in text_differences(html, paper)]
    if other:
        return check(NAME, f"{file}: read, because {reason}", other)
    about = (
        f"{file}: only read, not printed again: {reason}. All of its text is the page's and can be seen; {_glyphs(paper)}; "
        "where it stands and what is drawn beside it was not compared"
    )
    return Check(NAME, Status.UNPROVEN, about, mend=_WHERE)


def _glyphs(paper: Paper) -> str:
    """How far it is known that its letters are drawn as what they are read as."""
    if isinstance(paper.glyphs, str):
        return f"how its letters are drawn was not compared: {paper.glyphs}"
    strange = (
        f", but those of {', '.join(paper.glyphs.strange)}, fonts of the machine that printed it"
        if paper.glyphs.strange
        else ""
    )
    return f"its letters are drawn as in the fonts of aisp-prof{strange}"
