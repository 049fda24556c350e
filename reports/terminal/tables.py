"""Query results as aligned text for a terminal: names from a trace made harmless, times in a unit that fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..hostile import shorten, visible
from ..units import NOTHING, duration, fixed, percent

LONGEST = 60


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Aligned lines under a header: the first `left` columns left-aligned, the others right-aligned."""
    from rich.cells import cell_len

    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(head))]

    def padded(text: str, width: int, number: int) -> str:
        space = " " * (width - cell_len(text))
        return text + space if number < left else space + text

    return ["  ".join(padded(text, widths[i], i) for i, text in enumerate(row)).rstrip() for row in cells]


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
