"""JSON that others wrote: what makes it a trick is found, by the quick look as by the walk, and the innermost place is named."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import pytest
from aisp_prof.errors import UsageError
from aisp_prof.machine import records
from aisp_prof.machine.records import MOST_DEPTH, convert, parsed
from hypothesis import given, settings
from hypothesis import strategies as st


def nested(depth: int, opening: str = "[") -> str:
    inner = {"[": ("[", "]"), "{": ('{"a": ', "}")}
    pairs = [inner["[{"[place % 2]] if opening == "mixed" else inner[opening] for place in range(depth)]
    return "".join(a for a, _ in pairs) + "1" + "".join(b for _, b in reversed(pairs))


@pytest.mark.parametrize("opening", ["[", "{", "mixed"])
def test_depth(opening: str) -> None:
    parsed(nested(MOST_DEPTH, opening), "f")
    with pytest.raises(UsageError, match=f"more than {MOST_DEPTH} deep"):
        parsed(nested(MOST_DEPTH + 1, opening), "f")


@pytest.mark.parametrize("text", ['"[[[[]]"', '"\\"[{"', '["\\\\", "]"]', '{"a[": "}{"}'])
def test_brackets_in_strings_are_none(text: str) -> None:
    assert parsed(text, "f") == json.loads(text)


@pytest.mark.parametrize(("text", "refused"), [("18446744073709551615", False), ("-18446744073709551616", True),
    ("[18446744073709551616]", True), ("0.00000123456789012345678901", False), ('"18446744073709551616"', False),
    ("1e999", True), ('{"\\ud800": 1}', True), ('"\\ud83d\\ude00"', False), ("[0.5, 99999999999999999999]", True)])  # fmt: skip
def test_values(text: str, refused: bool) -> None:
    if not refused:
        assert parsed(text, "f") == json.loads(text)
        return
    with pytest.raises(UsageError, match="f"):
        parsed(text, "f")


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**66), 2**66)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("[]{}9a", max_size=25), inner)))
def test_strings_without_escapes_are_left_out_as_those_with_them(data: Any) -> None:
    """The quick look splits at quotes where the text holds no escape."""
    plain = json.dumps(data, ensure_ascii=False)
    escaped = records._plain(f'["\\\\", {plain}]')
    assert (records._plain(plain) is records._UNDECIDED) == (escaped is records._UNDECIDED)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"a": 1, "\\u0061": 2}', '[{"a": {"b": "\\":", "b": 0}}]',
    '{"a\\\\": 1, "a\\\\": 1, "x\\":": 2}', '{"": 1, ":": {}, "": ":"}'])  # fmt: skip
def test_a_name_twice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="stands twice in one object"):
        parsed(text, "f")


PIECES = st.sampled_from(['"a": 1, ', '"', ":", ",", "\\", "\\u0061", "\\ud800", "e", ".", "-", "9" * 19, "9" * 20, "[", "]",
    "{", "}", "NaN", "1e999", "\0", "\t", "\ufeff", "00", "+1", ".5"])  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 80), PIECES), max_size=3))
def test_what_the_quick_look_reads_is_what_the_walk_reads(changes: list[tuple[int, str]]) -> None:
    text = (
        '{"a": 1, "b": {"a": [1, 2.5, -0, -0.0, 1E-7, 18446744073709551615]}, "x\\"\\\\:": "", "k\\\\": [true, null]}'
    )
    for place, piece in changes:
        text = text[:place] + piece + text[place:]
    if (quick := records._plain(text)) is not records._UNDECIDED:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "_plain", lambda _: records._UNDECIDED)
            assert repr(parsed(text, "f")) == repr(quick)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_the_quick_look_passes_nothing_that_the_walk_refuses(data: Any) -> None:
    text = json.dumps(data)
    try:
        records._check_values(json.loads(text), "f")
        assert parsed(text, "f") == data
    except UsageError:
        with pytest.raises(UsageError):
            parsed(text, "f")


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    n: Annotated[int, msgspec.Meta(ge=1)] | Annotated[float, msgspec.Meta(ge=1)]
    texts: dict[str, str | None] = {}


class Ordered(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"{self.low} lies above {self.high}")


class Outer(msgspec.Struct):
    inner: list[Inner]
    by_name: dict[str, Inner] | None = None
    row: tuple[Ordered, ...] = ()
    ends: tuple[float, str] | None = None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "f is list, not an object"),
        ({}, "f: inner is missing"),
        ({"inner": 5}, "f.inner is int, not a list"),
        ({"inner": [{"n": 1}, {"n": 0}]}, "f.inner[1].n is 0, and must be 1 or more"),
        ({"inner": [{"n": True}]}, "f.inner[0].n is bool, not int or float"),
        ({"inner": [{"n": 1, "m": 2}]}, "f.inner[0]: no field is called 'm'"),
        ({"inner": [], "by_name": {"a.b": {"n": 2, "texts": {"x": 1}}}}, "f.by_name.a.b.texts.x is int, not str"),
        ({"inner": [], "by_name": {"a": {}}}, "f.by_name.a: n is missing"),
        ({"inner": [], "row": {}}, "f.row is dict, not a list"),
        ({"inner": [], "row": [{"low": 1, "high": 1}, {"low": 1}]}, "f.row[1]: high is missing"),
        ({"inner": [], "row": [{"low": 2, "high": 1}]}, "f.row[0]: 2 lies above 1"),
        ({"inner": [], "ends": [1, 2]}, "f.ends[1] is int, not str"),
        ({"inner": [], "ends": [1]}, "f.ends: Expected `array` of length 2, got 1"),
    ],
    ids=str,
)
def test_the_innermost_place_is_named(data: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert(data, Outer, "f")
    assert str(caught.value) == said
