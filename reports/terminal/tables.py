"""Query results as aligned text for a terminal: names from a trace made harmless, times in a unit that fits."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size

from ..hostile import shorten, visible
from ..units import NOTHING, duration, fixed, percent

LONGEST = 60
NARROWEST = 12
"""To so many characters a column is cut where a table is wider than the terminal."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Aligned lines under a header: the first `left` columns left-aligned, the others right-aligned."""
    from rich.cells import cell_len

    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(head))]
    if fitted := _fitted(widths, left):
        cells = [[_cut(text, fitted[i]) if i < left else text for i, text in enumerate(row)] for row in cells]
        widths = [max(cell_len(row[i]) for row in cells) for i in range(len(head))]

    def padded(text: str, width: int, number: int) -> str:
        space = " " * (width - cell_len(text))
        return text + space if number < left else space + text

    return ["  ".join(padded(text, widths[i], i) for i, text in enumerate(row)).rstrip() for row in cells]


def _cut(text: str, width: int) -> str:
    """The text with its middle left out where it is wider; a Korean syllable is two columns wide."""
    from rich.cells import cell_len

    wide = cell_len(text)
    return text if wide <= width else shorten(text, width * len(text) // wide)


def _fitted(widths: Sequence[int], left: int) -> list[int]:
    """The widths of the `left` columns with which the table fits the terminal, the widest cut first, and of several not the
    first, by which rows are named; empty where it fits as it is, where they cannot be cut so far, or where it is not written to
    a terminal."""
    if not sys.stdout.isatty() or not left:
        return []
    cut = range(1, left) if left > 1 else range(left)
    over = sum(widths) + 2 * (len(widths) - 1) - get_terminal_size().columns
    found = list(widths)
    while over > 0:
        widest = max(cut, key=lambda i: found[i])
        if found[widest] <= NARROWEST:
            return []
        found[widest] -= 1
        over -= 1
    return found if found != list(widths) else []


def name(text: str, longest: int = LONGEST) -> str:
    """A name from a trace: nothing invisible, the middle of a long one left out, a dash if there is none."""
    return shorten(visible(text), longest) if text else NOTHING


def time(ns: float | None) -> str:
    """A time with its unit, or a dash."""
    return NOTHING if ns is None else duration(ns).replace("\u00a0", " ")


def share(ratio: float | None) -> str:
    """A share as per cent, or a dash."""
    return NOTHING if ratio is None else percent(ratio)


def count(number: int | None) -> str:
    """A whole number with thousands separators, or a dash."""
    return NOTHING if number is None else f"{number:,}"


def size(number: float) -> str:
    """Bytes in a decimal unit: 16.78 MB."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(number) >= limit:
            return f"{fixed(number / limit, 2)} {unit}"
    return f"{fixed(number, 0)} B"


def more(shown: int, whole: int, option: str = "--limit 0") -> list[str]:
    """The line that says how many rows were omitted."""
    return [f"… {whole - shown:,} more: {option}, or --json"] if shown < whole else []


def gpu(uuid: str, device: int | None, label: str = "") -> str:
    """A device in a table: its CUDA ordinal and the beginning of its uuid; without a uuid, what else identifies it."""
    if label and not uuid:
        return visible(label)
    ordinal = NOTHING if device is None else str(device)
    return f"{ordinal} {visible(uuid)[:8]}".rstrip()
