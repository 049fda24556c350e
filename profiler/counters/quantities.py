"""Numbers and units as ncu prints them, in any locale and scale, into plain numbers in base units."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ABSENT = {"", "n/a", "(!) n/a", "nan", "inf", "-inf", "no data"}
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?")
_SPACES = re.compile(r"[\s'’]")  # some locales group digits by (thin, unbreakable) spaces or apostrophes
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?$")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(\.\d{3})*,\d+$")

_PREFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_TIMES = {
    "ns": 1, "nsecond": 1, "us": 10**3, "usecond": 10**3, "ms": 10**6, "msecond": 10**6, "s": 10**9, "second": 10**9
}  # fmt: skip
_SCALED = re.compile(r"(?P<prefix>[KMGTP])(?P<base>byte|hz|inst|cycle|sector|warp|thread|block)(?P<rest>\b.*)")


def decimal_mark(texts: Iterable[str]) -> str:
    """Which character ends the whole part of numbers in these texts: "," where one of them can only be read so, else "."."""
    for text in texts:
        bare = _SPACES.sub("", text)
        if _DECIMAL_COMMA.match(bare) and not _COMMA_GROUPS.match(bare):
            return ","
    return "."


def number(text: str, mark: str = ".") -> float | None:
    """A printed number: an int where it has no decimals, so that large counts stay exact; None for "n/a" and other text.

    >>> number("17,179,869,184"), number("1.704.511.634,20", ","), number("(!) n/a")
    (17179869184, 1704511634.2, None)
    """
    bare = _SPACES.sub("", text)
    if text.strip().lower() in _ABSENT or not _NUMBER.fullmatch(bare):
        return None
    plain = bare.replace("." if mark == "," else ",", "").replace(mark, ".")
    try:
        return int(plain) if re.fullmatch(r"[+-]?\d+", plain) else float(plain)
    except ValueError:  # two decimal marks: a version number, an address
        return None


def base(value: float, unit: str) -> float:
    """A value in its unit's base: times in ns, bytes and rates without their prefix (decimal ones: ncu's K is 1000).

    >>> base(25.536, "us"), base(4.29, "Tbyte/s"), base(73.0, "%")
    (25536, 4290000000000, 73.0)
    """
    factor = _TIMES.get(unit, 1)
    if scaled := _SCALED.fullmatch(unit[:1] + unit[1:].lower()):
        factor = _PREFIXES[scaled["prefix"]]
    return value if factor == 1 else _whole(value * factor)


def _whole(value: float) -> float:
    """A product of a printed decimal and a power of ten, without the noise of the multiplication."""
    return round(value) if abs(value - round(value)) < 1e-6 * max(1.0, abs(value)) ** 0.5 else value
