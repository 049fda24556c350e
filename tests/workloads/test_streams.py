"""The streams pair: its declaration reads well, and both variants really enqueue the same work."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aisp_prof.declaration import VARIANTS, Declaration
from aisp_prof.workloads.ch11 import streams
from aisp_prof.workloads.ch11.streams import PAIR, ChunkedChain
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.registry import pairs

NUMBER = r"[0-9.]+( GB/s)?"
METRIC = r"((baseline|optimized)\.)?[a-z0-9_]+(\([a-z0-9_, ]+\))?"
DECLARATIONS = [pair.declaration for pair in pairs()]


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda declaration: declaration.key)
def test_claims_have_the_form_of_the_claim_language(declaration: Declaration) -> None:
    assert declaration.claims
    for claim in declaration.claims:
        assert re.fullmatch(rf"{METRIC} (>=|<=|==) ({NUMBER}|{METRIC})", claim), claim
    assert len(set(declaration.claims)) == len(declaration.claims)


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda declaration: declaration.key)
def test_texts_are_there_in_english_and_korean(declaration: Declaration) -> None:
    texts = (declaration.topic, declaration.title, declaration.sentence, declaration.compares)
    for text in (*texts, *declaration.variants.values()):
        assert re.search(r"[a-z]", text["en"])
        assert re.search(r"[가-힣]", text["ko"])
    assert all(sentence.count("{speedup}") == 1 for sentence in declaration.sentence.values())


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda declaration: declaration.key)
def test_sizes_agree_in_their_names_and_include_default_and_small(declaration: Declaration) -> None:
    assert {"default", "small"} <= set(declaration.sizes)
    assert len({frozenset(sizes) for sizes in declaration.sizes.values()}) == 1


def test_the_sentence_is_true_of_every_size() -> None:
    assert all(sizes["streams"] == 4 for sizes in PAIR.declaration.sizes.values())


def test_the_declaration_survives_json() -> None:
    assert Declaration.from_json(PAIR.declaration.to_json()) == PAIR.declaration


class Spy(CpuDevice):
    """Knows which of its streams is current."""

    def __init__(self) -> None:
        self.count = 0
        self.current: int | None = None

    def stream(self) -> Any:
        self.count += 1
        return self.count

    def on(self, stream: Any) -> Any:
        self.current = stream
        return super().on(stream)


def launches(monkeypatch: pytest.MonkeyPatch, variant: str) -> list[tuple[int | None, int, int, int]]:
    """(stream, input address offset, elements, rounds) of every kernel that one iteration enqueues."""
    device = Spy()
    work = ChunkedChain(device, PAIR.declaration.sizes["small"])
    seen = []
    base = work._device_in.data_ptr()
    monkeypatch.setattr(
        streams,
        "sin_exp_chain",
        lambda x, out, rounds: seen.append((device.current, x.data_ptr() - base, x.numel(), rounds)),
    )
    work.run(variant)
    return seen


def test_variants_differ_in_streams_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    baseline, optimized = (launches(monkeypatch, variant) for variant in VARIANTS)
    assert [call[0] for call in baseline] == [1] * 8
    assert [call[0] for call in optimized] == [1, 2, 3, 4] * 2
    assert [call[1:] for call in baseline] == [call[1:] for call in optimized]
    assert sum(call[2] for call in baseline) * 4 == 1 << 20
