"""The streams pair: its declaration reads well, and both variants really enqueue the same work."""

from __future__ import annotations

import lzma
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.declaration import VARIANTS, Declaration
from aisp_prof.profiler.judging.language import parse
from aisp_prof.workloads.ch11 import streams
from aisp_prof.workloads.ch11.streams import PAIR, ChunkedChain
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.registry import pairs

CAPTURES = Path(__file__).parents[3] / "captures"
DECLARATIONS = [pair.declaration for pair in pairs()]


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda declaration: declaration.key)
def test_claims_have_the_form_of_the_claim_language(declaration: Declaration) -> None:
    assert declaration.claims
    for claim in declaration.claims:
        parse(claim, declaration.names)
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


def test_the_sentence_is_true() -> None:
    work = ChunkedChain(CpuDevice(), PAIR.declaration.sizes["small"])
    assert len(work.streams) == 3


def test_the_declaration_survives_json() -> None:
    assert Declaration.from_json(PAIR.declaration.to_json()) == PAIR.declaration


class Spy(CpuDevice):
    """Writes down what is enqueued on which of its streams, and what waits for what."""

    def __init__(self) -> None:
        self.streams = 0
        self.current = 0
        self.log: list[tuple[str, int, int]] = []

    def stream(self) -> Any:
        self.streams += 1
        return SpyStream(self, self.streams)

    def on(self, stream: Any) -> Any:
        self.current = stream.number
        return super().on(stream)

    def event(self) -> Any:
        return SpyEvent(self)


class SpyStream:
    def __init__(self, device: Spy, number: int) -> None:
        self.device, self.number = device, number

    def wait_event(self, event: Any) -> None:
        self.device.log.append(("wait", self.number, id(event)))


class SpyEvent:
    def __init__(self, device: Spy) -> None:
        self.device = device

    def record(self, stream: Any) -> None:
        self.device.log.append(("record", stream.number, id(self)))

    def synchronize(self) -> None:
        raise AssertionError("a run must not wait for the device")


def kernels(monkeypatch: pytest.MonkeyPatch, variant: str) -> tuple[list[tuple[int, int, int, int]], Spy]:
    """(stream, input address offset, elements, rounds) of every kernel that one iteration enqueues."""
    device = Spy()
    work = ChunkedChain(device, PAIR.declaration.sizes["small"])
    seen = []
    base = work._device_in.data_ptr()

    def note(x: Any, out: Any, rounds: int) -> None:
        device.log.append(("kernel", device.current, 0))
        seen.append((device.current, x.data_ptr() - base, x.numel(), rounds))

    monkeypatch.setattr(streams, "sin_exp_chain", note)
    work.run(variant)
    return seen, device


def test_variants_differ_in_streams_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    (baseline, _), (optimized, _) = (kernels(monkeypatch, variant) for variant in VARIANTS)
    assert [call[0] for call in baseline] == [1] * 8
    assert [call[0] for call in optimized] == [2] * 8
    assert [call[1:] for call in baseline] == [call[1:] for call in optimized]
    assert sum(call[2] for call in baseline) * 4 == 1 << 20


def test_a_chunks_steps_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    log = kernels(monkeypatch, "optimized")[1].log
    for arrived, waited, kernel, computed, last in (log[i : i + 5] for i in range(0, len(log), 5)):
        assert (arrived[:2], waited[:2], kernel[:2]) == (("record", 1), ("wait", 2), ("kernel", 2))
        assert (computed[:2], last[:2]) == (("record", 2), ("wait", 3))
        assert (arrived[2], computed[2]) == (waited[2], last[2])
    assert len(log) == 5 * 8


MOVED = """
select sum(m.bytes * (m.copyKind = 1)), sum(m.bytes * (m.copyKind = 2))
from NVTX_EVENTS i left join StringIds s on s.id = i.textId
join CUPTI_ACTIVITY_KIND_RUNTIME r on r.start between i.start and i.end
join CUPTI_ACTIVITY_KIND_MEMCPY m on m.correlationId = r.correlationId
where coalesce(i.text, s.value) = 'iter' and exists (
    select 1 from NVTX_EVENTS o left join StringIds n on n.id = o.textId
    where coalesce(o.text, n.value) = ? and i.start between o.start and o.end)
group by i.start
"""


def moved_in_each_iteration(outer: str, tmp_path: Path) -> list[dict[str, int]]:
    trace = tmp_path / "trace.sqlite"
    trace.write_bytes(
        lzma.decompress((CAPTURES / "ch11.streams-20261121T015158Z-34bfc3" / "trace.sqlite.xz").read_bytes())
    )
    with closing(sqlite3.connect(trace)) as database:
        return [{"h2d": h2d, "d2h": d2h} for h2d, d2h in database.execute(MOVED, (outer,))]


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_phases_move_what_the_shipped_trace_moved(variant: str, tmp_path: Path) -> None:
    """Bytes each way of every iteration, by sqlite3 on the capture that ships."""
    assert PAIR.phases is not None
    stated = PAIR.phases(PAIR.declaration.sizes["h200"], variant)
    declared = {way: sum(getattr(phase, way) for phase in stated) for way in ("h2d", "d2h")}
    both = [phase for phase in stated if phase.h2d and phase.d2h]
    assert len(both) == (variant == "optimized")
    found = moved_in_each_iteration(f"ch11.streams.{variant}.measure", tmp_path)
    assert len(found) == 20
    assert found == [declared] * 20
