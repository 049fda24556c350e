"""Numbers and units as ncu prints them, in any locale and scale, into plain numbers in base units.

Seen with ncu 2022.3 to 2025.3 in the locales C, de_DE, de_CH, en_IN, es_ES and fr_FR: a number in a scaled unit has six
decimals after a ".", whatever the locale; every other number has the locale's marks, and two decimals, or none if it is
whole. One file holds both, so each cell is read on its own. "628.032" alone may be 628 or 628 thousand: the other
numbers in the file decide, and if they do not, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ABSENT = {"", "n/a", "(!) n/a", "nan", "inf", "-inf", "no data"}
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<body>\d[\d.,]*)(?P<exponent>[eE][+-]?\d{1,3})?")
_SPACES = re.compile(r"[\s'’\ufffd]")  # locales that group digits by (thin, unbreakable) spaces or apostrophes
_GROUPS = re.compile(r"[1-9]\d{0,2}(?:\.\d{2,3})*\.\d{3}")  # by threes; in India by twos before the last three
_SCALED_DECIMALS = 6

_PREFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_TIMES = {
    "ns": 1, "nsecond": 1, "us": 10**3, "usecond": 10**3, "ms": 10**6, "msecond": 10**6, "s": 10**9, "second": 10**9
}  # fmt: skip
_SCALED = re.compile(r"(?P<prefix>[KMGTP])(?P<base>byte|hz|inst|cycle|sector|warp|thread|block)(?P<rest>\b.*)")


class AmbiguousError(ValueError):
    """A number with one mark before three digits, in a file whose other numbers do not settle what the mark means."""


def decimal_mark(texts: Iterable[str]) -> str:
    """The decimal mark of these texts: "." or ","; "" where they do not settle it, or contradict each other."""
    marks = {mark for text in texts if (mark := _told_by(text))}
    return marks.pop() if len(marks) == 1 else ""


def _told_by(text: str) -> str:
    """The only decimal mark with which a number can be read; a number in a scaled unit says nothing about the locale."""
    parts = _NUMBER.fullmatch(_SPACES.sub("", text))
    if not parts or parts["exponent"]:
        return ""
    body = parts["body"]
    marks = re.findall(r"[.,]", body)
    if not marks or not _split(body, "") or _unclear(body):
        return ""
    if len(set(marks)) == 1 and len(marks) > 1:
        return "," if marks[0] == "." else "."
    scaled = marks == ["."] and len(body.partition(".")[2]) == _SCALED_DECIMALS
    return "" if scaled else marks[-1]


def number(text: str, mark: str = "") -> float | None:
    """A printed number: an int where it has no decimals, so that large counts stay exact; None for "n/a" and other text.

    `mark` is what `decimal_mark` found in the file.

    >>> number("17,179,869,184"), number("1.704.511.634,20"), number("(!) n/a"), number("628.032", ",")
    (17179869184, 1704511634.2, None, 628032)

    Raises:
        AmbiguousError: one mark before three digits, and no `mark`.
    """
    parts = _parsed(text, mark)
    if parts is None:
        return None
    sign, whole, decimals, exponent = parts
    return float(f"{sign}{whole}.{decimals or 0}{exponent}") if decimals or exponent else int(f"{sign}{whole}")


def uncertainty(text: str, mark: str = "") -> float:
    """How far a printed number may lie from the value that was rounded: half a unit of its last decimal, 0 if it is whole."""
    parts = _parsed(text, mark)
    if parts is None or not (parts[2] or parts[3]):
        return 0.0
    return 0.5 * float(f"1e{int(parts[3][1:] or 0) - len(parts[2])}")


def _parsed(text: str, mark: str) -> tuple[str, str, str, str] | None:
    """Sign, whole digits, decimals and exponent."""
    bare = _SPACES.sub("", text)
    parts = None if text.strip().lower() in _ABSENT else _NUMBER.fullmatch(bare)
    if parts is None:
        return None
    if not mark and _unclear(parts["body"]):
        raise AmbiguousError(text)
    digits = _split(parts["body"], mark)
    return None if digits is None else (parts["sign"], *digits, parts["exponent"] or "")


def _unclear(body: str) -> bool:
    """Whether the marks in these digits could separate thousands as well as decimals."""
    return sum(map(body.count, ".,")) == 1 and _GROUPS.fullmatch(body.replace(",", ".")) is not None


def _split(body: str, mark: str) -> tuple[str, str] | None:
    """Digits with marks, as whole digits and decimals; None where no locale writes it that way: a version number, an
    address."""
    marks = re.findall(r"[.,]", body)
    if not marks:
        return body, ""
    last = marks[-1]
    grouped = marks.count(last) > 1 or (_unclear(body) and mark not in ("", last))
    whole, _, decimals = (body, "", "") if grouped else body.rpartition(last)
    if re.search(r"[.,]", whole) and not _grouped(whole):
        return None
    return re.sub(r"[.,]", "", whole), decimals


def _grouped(whole: str) -> bool:
    return len(set(re.findall(r"[.,]", whole))) == 1 and _GROUPS.fullmatch(whole.replace(",", ".")) is not None


def base(value: float, unit: str) -> float:
    """A value in its unit's base: times in ns, bytes and rates without their prefix (decimal ones: ncu's K is 1000).

    >>> base(25.536, "us"), base(4.29, "Tbyte/s"), base(73.0, "%")
    (25536, 4290000000000, 73.0)
    """
    by = factor(unit)
    return value if by == 1 else _whole(value * by)


def factor(unit: str) -> int:
    """How many base units a unit is.

    >>> factor("us"), factor("Tbyte/s"), factor("%")
    (1000, 1000000000000, 1)
    """
    if scaled := _SCALED.fullmatch(unit[:1] + unit[1:].lower()):
        return _PREFIXES[scaled["prefix"]]
    return _TIMES.get(unit, 1)


def _whole(value: float) -> float:
    """The product of a printed decimal and a power of ten, without the rounding noise of the multiplication."""
    return round(value) if abs(value - round(value)) < 1e-6 * max(1.0, abs(value)) ** 0.5 else value
