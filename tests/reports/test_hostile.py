"""Text from a trace must not run, hide, reorder or break out."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, Finding, Verdict
from aisp_prof.profiler.manifest import File
from aisp_prof.profiler.queries.assertions import Answer, Checked, Question
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.export.asked import Asked
from aisp_prof.reports.export.junit import junit
from aisp_prof.reports.export.perfetto import events
from aisp_prof.reports.export.sarif import sarif
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
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.terminal.assertion import summary_markdown
from msgspec import structs
from trace_builder import TraceBuilder

ATTACKS = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(3)>',
    "' onmouseover='alert(4)",
    "{{ 7 * 7 }}{% raw %}",
    "kernel\u202egnp.exe\u2066",
    "nul\x00esc\x1b[31m\x07\x85",
    "lone \ud800 surrogate",
    "line\nbreak\u2028paragraph\u2029",
    "javascript:alert(5)",
    "x" * 20_000,
)


class Elements(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def attacked(evidence: Evidence, text: str) -> Evidence:
    """The attack wherever a trace or a manifest can put text."""
    told = evidence.manifest.declaration
    declaration = replace(
        told,
        name=text,
        title={**told.title, "en": text},
        topic={**told.topic, "en": text},
        compares={**told.compares, "en": text},
        sentence={**told.sentence, "en": text + " {speedup} {0} {x!r}"},
        variants={**told.variants, "baseline": {**told.variants["baseline"], "en": text}},
    )
    manifest = structs.replace(  # what no manifest that is read may say, too
        evidence.manifest,
        declaration=declaration,
        gpus=({"name": text},),
        versions=dict.fromkeys(evidence.manifest.versions, text),
        files={**evidence.manifest.files, text: File("0" * 64, 1)},
    )
    ops = tuple(replace(op, name=text, table=text) for op in evidence.optimized.timeline)
    witnesses = tuple(replace(one, a=ops[0], b=ops[1]) for one in evidence.optimized.witnesses)
    finding = Finding("diagnostic", {"severity": text, "text": text})
    return replace(
        evidence,
        manifest=manifest,
        capture_id=text,
        claims=tuple(replace(one, text=text, metric=text, reasons=(finding,)) for one in evidence.claims),
        caveats=(finding, Finding(text, {text: text})),
        optimized=replace(evidence.optimized, timeline=ops, witnesses=witnesses),
    )


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: ascii(attack[:24]))
def test_no_attack_becomes_markup(evidence: Evidence, attack: str) -> None:
    clean, dirty = Elements(), Elements()
    clean.feed(render_html("ch11", [attacked(evidence, "harmless_name")]))
    html = render_html("ch11", [attacked(evidence, attack)])
    dirty.feed(html)
    assert set(dirty.tags) <= set(clean.tags)
    assert dirty.tags.count("script") == clean.tags.count("script") == 2
    assert not [name for name, _ in dirty.attributes if name.startswith("on") or name == "style"]
    assert {name for name, _ in dirty.attributes} <= {name for name, _ in clean.attributes}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: ascii(attack[:24]))
def test_no_invisible_character_is_left(evidence: Evidence, attack: str) -> None:
    html = render_html("ch11", [attacked(evidence, attack)])
    html.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]", html)


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


def test_no_command_is_offered_for_an_odd_table(evidence: Evidence) -> None:
    html = render_html("ch11", [attacked(evidence, '$(touch x) "')])
    assert "sqlite3" not in html


def test_long_names_lose_their_middle() -> None:
    assert len(shorten("a" * 5_000, 96)) == 96
    assert shorten("short") == "short"


def test_korean_words_stay_whole_and_escaped() -> None:
    assert whole_words(
        "하나 <b>둘</b>"
    ) == '<span class="word">하나</span> &lt;b&gt;<span class="word">둘</span>&lt;/b&gt;' or (
        "<b>" not in whole_words("하나 <b>둘</b>")
    )


def test_the_replay_is_valid_json(samples: ModuleType) -> None:
    html = render_html("ch11", [samples.sample()])
    found = re.search(r'<script type="application/json" id="pair-1-replay">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert [len(track["lanes"]) for track in data["tracks"]] == [1, 4]
    assert len(data["tracks"][0]["lanes"][0]) == 48


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


@pytest.mark.timeout(20)
def test_a_stream_or_a_lane_an_operation(tmp_path: Path) -> None:
    """Perfetto's tracks: their number is what a trace says, and each took a look at every operation."""
    trace = TraceBuilder()
    process = trace.process(1)
    for k in range(8_000):
        process.kernel("k", None, (k, 10**6 - k), stream=k % 4_000)
    read = read_trace(trace.write(tmp_path / "t.sqlite"))
    begun = time.process_time()
    names = [event for event in map(json.loads, events(read)) if event["name"] == "thread_name"]
    assert len(names) == 8_000
    assert len({event["tid"] for event in names}) == 8_000
    assert time.process_time() - begun < 4


def test_of_many_long_reasons_none_is_cut_out(evidence: Evidence) -> None:
    """Each text of others is shortened on its own: what is made of them keeps its own words."""
    reasons = tuple(Finding("diagnostic", {"severity": f"reason {n}", "text": "x" * 400}) for n in range(60))
    claim = replace(evidence.claims[0], reasons=reasons, verdict=Verdict.UNPROVEN)
    answer = Answer(Verdict.UNPROVEN, evidence.completeness, "thread", {}, (Checked(claim, "", ()),))
    asked = Asked("t", Question((claim.text,), {"baseline": "a*", "optimized": "b*"}))
    written = (junit(answer, asked), sarif(answer, asked), summary_markdown(answer, "t"))
    for text in written:
        assert len(text) > LONGEST_SHOWN
        assert all(f"reason {n}" in text for n in range(60))
