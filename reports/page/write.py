"""Write a stage's report into a folder: the HTML first, then the PDF from the same document."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import AispError, EnvironmentLacks, UsageError
from ...machine.files import write_whole
from ..catalog import catalog
from .pdf import check_printer, write_pdf

FORMATS = ("html", "pdf")


def write_report(stage: str, html: str, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write a rendered page as `<stage>.html` and print `<stage>.pdf`, as asked for; the paths come in that order.

    The HTML is in place before the PDF is begun: where the PDF's libraries are missing, the HTML is there all the same.

    Raises:
        EnvironmentLacks: the PDF was asked for, and its libraries or a font for it are missing.
        AispError: the folder cannot be written, or is full.
    """
    try:
        return list(_written(stage, html, folder, formats))
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error


def _unwritable(folder: Path, why: str, option: str = "--out") -> AispError:
    return AispError(f"the report cannot be written to {folder}: {why}", f"name another folder: {option}")


def _written(stage: str, html: str, folder: Path, formats: Sequence[str]) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    if "html" in formats:
        write_whole(folder / f"{stage}.html", html.encode())
        yield folder / f"{stage}.html"
    if "pdf" in formats:
        write_pdf(html, folder / f"{stage}.pdf")
        yield folder / f"{stage}.pdf"


def check_folder(folder: Path, option: str) -> None:
    """Refuse a folder that could not be written into, before anything is computed; it is not created. `option` named it.

    Raises:
        AispError: it is not a folder, or it, or the folder it would be created in, is not writable.
    """
    try:
        near = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
        writable = near.is_dir() and os.access(near, os.W_OK | os.X_OK)
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error), option) from error
    if not writable:
        raise _unwritable(folder, f"{near}: Permission denied" if near.is_dir() else f"{near} is no folder", option)


def formats_to_write(asked: str, lang: str = "en") -> tuple[tuple[str, ...], EnvironmentLacks | None]:
    """The formats that a comma-separated list names; if it is empty, all that can be written here in a language, and what
    prevents the others. A missing printer, or a missing font for that language, is for the caller to report, after the verdict.

    Raises:
        UsageError: an unknown format, or no catalog for `lang`.
    """
    if asked:
        named = tuple(asked.split(","))
        checked_formats(named)
        return named, None
    try:
        check_printer(catalog(lang)("page.kind"))
    except EnvironmentLacks as lacking:
        return ("html",), lacking
    return FORMATS, None


def checked_formats(formats: Sequence[str]) -> None:
    """Refuse an unknown format.

    Raises:
        UsageError: there is no such format.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"no report format {unknown[0]!r}", f"--format {'|'.join(FORMATS)}")
