"""Text of others passes one door: it loses what hides, reorders or breaks out, and keeps what it says."""

from __future__ import annotations

import json
import re

import pytest
from aisp_prof.reports.hostile import (
    LONGEST_SHOWN,
    inert_json,
    json_for_script,
    line,
    printable,
    shell_word,
    shorten,
    visible,
    whole_words,
)


def test_an_override_is_written_out() -> None:
    assert visible("a\u202eb\x00") == "a‹U+202E›b‹U+0000›"
    assert visible("plain µ 한글 ×") == "plain µ 한글 ×"


def test_json_cannot_end_its_script() -> None:
    text = json_for_script({"name": "</script><!-- & \u2028"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"name": "</script><!-- & \u2028"}


def test_a_command_keeps_its_words_together() -> None:
    assert shell_word("a b; rm -rf ~") == "'a b; rm -rf ~'"
    assert shell_word("ch11.streams-2026") == "ch11.streams-2026"


def test_long_names_lose_their_middle() -> None:
    assert len(shorten("a" * 5_000, 96)) == 96
    assert shorten("short") == "short"


def test_korean_words_stay_whole_and_escaped() -> None:
    assert whole_words(
        "하나 <b>둘</b>"
    ) == '<span class="word">하나</span> &lt;b&gt;<span class="word">둘</span>&lt;/b&gt;' or (
        "<b>" not in whole_words("하나 <b>둘</b>")
    )


@pytest.mark.parametrize(
    "char", ["\uffff", "\ufffe", "\ufdd0", "\U0001fffe", "\u3164", "\u115f", "\u034f", "\U000e0101"]
)
def test_what_shows_nothing_or_is_no_character_is_written_out(char: str) -> None:
    """XML forbids the first two: a JUnit file with one of them is no XML."""
    assert visible(f"a{char}b") == f"a‹U+{ord(char):04X}›b"


def test_a_text_of_megabytes_keeps_its_ends() -> None:
    text = visible("begin" + "\x01" * (1 << 20) + "end")
    assert text.startswith("begin‹U+0001›")
    assert text.endswith("‹U+0001›end")
    assert len(text) < 10 * LONGEST_SHOWN


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error file=x::y", ": :error file=x::y"),
        ("  \u00a0::add-mask::x", "  \u00a0: :add-mask::x"),
        ("a ##[group]x", "a ## [group]x"),
        ("a ##vso[task.setvariable variable=A]x", "a ## vso[task.setvariable variable=A]x"),
        ("##teamcity[x]", "## teamcity[x]"),
        ("a::b # c ## d", "a::b # c ## d"),
    ],
)
def test_a_line_is_no_command_to_a_build_server(text: str, shown: str) -> None:
    assert line(text) == shown
    assert printable(f"x\n{text}") == f"x\n{shown}"
    told = inert_json(json.dumps({"x": text}))
    assert json.loads(told) == {"x": text}
    assert not re.search(r"##\w*\[", told)
