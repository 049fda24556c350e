"""A term has one word in Korean, and a word stands for one term."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.reports.catalog import LANGUAGES, catalog

FILE = Path(__file__).resolve().parents[2] / "templates" / "text" / "glossary.toml"
NO_WORDS = re.compile(r"\{(?:\w+:)?(?P<forms>[^}|]*\|[^}]*)?[^}]*\}|--[\w-]+")
"""Placeholders, but for the forms of a noun with its number, and options."""
TERMS: dict[str, dict[str, Any]] = tomllib.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("term", TERMS)
def test_a_term_has_one_word_and_the_word_no_other_term(term: str) -> None:
    known = TERMS[term]
    english, korean = (catalog(lang).words for lang in LANGUAGES)
    meant = {
        key
        for key, text in english.items()
        if re.search(known["english"], NO_WORDS.sub(lambda found: found["forms"] or "", text))
    }
    said = {key for key, text in korean.items() if any(word in text for word in known["korean"])}
    assert {key: (english[key], korean[key]) for key in said - meant} == {}
    assert said
    if not known.get("loose"):
        assert {key: (english[key], korean[key]) for key in meant - said} == {}


def test_no_word_stands_for_two_terms() -> None:
    words = [word for known in TERMS.values() for word in known["korean"]]
    assert len(words) == len(set(words))
