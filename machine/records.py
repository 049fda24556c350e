"""JSON from untrusted sources: decoded strictly and checked against record types; every refusal says where."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import repeat
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ..errors import UsageError

MOST_DEPTH = 64
"""How deeply lists and objects may nest; those that this project writes reach 8."""

T = TypeVar("T")


class Contradiction(UsageError, ValueError):
    """What a record refuses of its own fields; a ValueError, so that `convert` names the place."""


def parsed(text: str | bytes, where: str) -> Any:
    """Plain data: no NaN, no name twice in one object (of which two readers may see different ones), no depth without end, no
    infinity (`1e999`), nothing above 64 bits, no half of a character.

    Raises:
        UsageError: the text breaks one of these rules.
    """
    if (data := _plain(text)) is not _UNDECIDED:
        return data
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise UsageError(f"{where}: lists or objects lie too deep in each other") from error
    except ValueError as error:
        raise UsageError(f"{where}: not JSON: {error}") from error
    if _deeper(data, MOST_DEPTH):
        raise UsageError(f"{where}: lists or objects lie more than {MOST_DEPTH} deep in each other")
    _check_values(data, where)
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice[:80]!r} stands twice in one object")
    return members


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_WIDE = b"0" * 20
_INTEGER = re.compile(rb"(?<![\d.])\d{20}")
"""As many digits as the smallest number above 64 bits has; digits after a decimal point do not count."""


_UNDECIDED = object()


def _plain(text: str | bytes) -> Any:
    """The data, where it breaks no rule of `parsed` for sure, which is decided without walking it: msgspec refuses infinities
    and lone surrogates, and data with fewer names than its text has lost one that stands twice."""
    try:
        raw = text.encode() if isinstance(text, str) else text
        data = msgspec.json.decode(raw)
        again = msgspec.json.encode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError, ValueError):
        return _UNDECIDED
    bare = _outside_strings(raw)
    names = _outside_strings(again).count(b":") if b"\\" in again else again.count(b'":')
    wide = _WIDE in bare.translate(_DIGITS) and _INTEGER.search(bare)
    return _UNDECIDED if wide or bare.count(b":") != names or _nested(bare) else data


def _outside_strings(raw: bytes) -> bytes:
    """JSON text without its strings."""
    return _STRING.sub(b"", raw) if b"\\" in raw else b"".join(raw.split(b'"')[::2])


def _nested(bare: bytes) -> bool:
    """Whether the brackets of JSON text (its strings removed) nest more than `MOST_DEPTH` deep."""
    rest = bare.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MOST_DEPTH):
        if not rest:
            return False
        rest = rest.replace(b"[]", b"")
    return bool(rest)


_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _deeper(value: Any, most: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (most == 0 and isinstance(value, dict | list)) or any(_deeper(one, most - 1) for one in inner)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _check_values(data: Any, where: str) -> None:
    """No infinity, nothing above 64 bits, no lone surrogate, in keys as well as in values.

    Raises:
        UsageError: there is one; the message says where.
    """
    for name, value in _items(data):
        _check_values(name, where)
        _check_values(value, f"{where}.{name}")
    if isinstance(data, float) and not math.isfinite(data):
        raise UsageError(f"{where} is no finite number")
    if isinstance(data, int) and abs(data) >= 1 << 64:
        raise UsageError(f"{where} is beyond 64 bits")
    if isinstance(data, str) and _SURROGATE.search(data):
        raise UsageError(f"{where!a} holds half of a character")


def _items(data: Any) -> Iterator[tuple[Any, Any]]:
    yield from data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()


def convert(data: Any, kind: type[T], where: str) -> T:
    """Plain data as records of a type.

    Raises:
        UsageError: it has another shape; the innermost place that differs is named.
    """
    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        place, said = _differs(data, kind, where) or (where, f": {error}")
        raise UsageError(f"{place}{said}") from error


def _differs(data: Any, kind: Any, where: str) -> tuple[str, str] | None:
    """The innermost place where data is not of a type, and what is wrong there; None where it is of the type."""
    try:
        msgspec.convert(data, kind)
        return None
    except msgspec.ValidationError as error:
        within = (_differs(value, inner, place) for place, value, inner in _parts(data, kind, where))
        return next((found for found in within if found), None) or (where, _said(data, kind, error))


def _alternatives(kind: Any) -> list[Any]:
    """The types of a union, except None and msgspec's UNSET."""
    if get_origin(kind) in (Union, UnionType):
        return [one for one in get_args(kind) if one not in (NoneType, msgspec.UnsetType)]
    return [kind]


def _bare(kind: Any) -> Any:
    """`dict` of `dict[str, int]`, `int` of a bounded one."""
    return _bare(get_args(kind)[0]) if get_origin(kind) is Annotated else get_origin(kind) or kind


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _parts(data: Any, kind: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """The direct children of an object or a list: where each is, its value, and the type that it should have."""
    for one in _alternatives(kind):
        if _is_record(one) and isinstance(data, Mapping):
            hints = get_type_hints(one, include_extras=True)
            yield from ((f"{where}.{name}", data[name], hint) for name, hint in hints.items() if name in data)
        elif _bare(one) in (dict, Mapping) and isinstance(data, Mapping) and get_args(one):
            yield from ((f"{where}.{str(name)[:80]}", value, get_args(one)[1]) for name, value in data.items())
        elif _bare(one) in (list, tuple) and isinstance(data, list | tuple):
            every = repeat(get_args(one)[0]) if _bare(one) is list or Ellipsis in get_args(one) else get_args(one)
            yield from ((f"{where}[{number}]", *both) for number, both in enumerate(zip(data, every, strict=False)))


_WORDS = {dict: "an object", Mapping: "an object", list: "a list", tuple: "a list"}


def _said(data: Any, kind: Any, error: msgspec.ValidationError) -> str:
    """What is wrong with data when no single part of it is to blame."""
    wanted = _alternatives(kind)
    record = next((one for one in wanted if _is_record(one)), None)
    if record is not None and isinstance(data, Mapping):
        return _fields_said(data, record, error)
    bounds = [meta.ge for one in wanted if get_origin(one) is Annotated for meta in one.__metadata__]
    if bounds and isinstance(data, int | float) and not isinstance(data, bool):
        return f" is {data}, and must be {bounds[0]} or more"
    if any(_bare(one) is tuple for one in wanted) and isinstance(data, list | tuple):
        return f": {error}"
    choices = [str(word) for one in wanted if get_origin(one) is Literal for word in get_args(one)]
    if choices and isinstance(data, str):
        return f" is {data[:80]!r}, and must be one of: {', '.join(choices)}"
    words = dict.fromkeys("an object" if _is_record(one) else _words(_bare(one)) for one in wanted)
    return f" is {type(data).__name__}, not {' or '.join(words)}"


def _words(kind: Any) -> str:
    return _WORDS.get(kind) or kind.__name__


def _fields_said(data: Mapping[str, Any], record: type[msgspec.Struct], error: msgspec.ValidationError) -> str:
    known = msgspec.structs.fields(record)
    if missing := [one.name for one in known if one.required and one.name not in data]:
        return f": {missing[0]} is missing"
    if odd := sorted(str(name) for name in data.keys() - {one.name for one in known}):
        return f": no field is called {odd[0][:80]!r}"
    return f": {error}"
