"""Text from a trace must not run, hide, reorder or break out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, Finding
from aisp_prof.profiler.manifest import File
from aisp_prof.reports.page.document import render_html
from msgspec import structs

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


def test_no_command_is_offered_for_an_odd_table(evidence: Evidence) -> None:
    html = render_html("ch11", [attacked(evidence, '$(touch x) "')])
    assert "sqlite3" not in html


def test_the_replay_is_valid_json(samples: ModuleType) -> None:
    html = render_html("ch11", [samples.sample()])
    found = re.search(r'<script type="application/json" id="pair-1-replay">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert [len(track["lanes"]) for track in data["tracks"]] == [1, 4]
    assert len(data["tracks"][0]["lanes"][0]) == 48
