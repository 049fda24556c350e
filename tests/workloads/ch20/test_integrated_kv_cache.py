"""Decoding with three caches: all agree, every token and page counts, and no run leaves anything for the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.kernels.attention import paged_attention
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.bare import main
from aisp_prof.workloads.ch20.integrated_kv_cache import PAIR, Decoding, declared
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import relative_error, validate

NAMES = PAIR.declaration.names
SMALL = PAIR.declaration.sizes["small"]
FULL = PAIR.declaration.sizes["h200"]
PAGED = ("paged", "optimized")


class Waits(CpuDevice):
    """Counts how often it is waited for."""

    count = 0

    def synchronize(self) -> None:
        self.count += 1


def small(seed: int = 5, **sizes: int) -> Decoding:
    work = Decoding(CpuDevice(), {**SMALL, **sizes})
    work.inputs(seed)
    return work


def outputs(work: Decoding, variant: str) -> torch.Tensor:
    work.poison()
    work.run(variant)
    return work.output.clone()


def test_the_pair_runs_from_validation_to_times(notes: Notes) -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, notes=notes, seed=5)
    assert record.validation.valid
    assert record.measured is not None
    assert len(record.measured.iterations) == 2 * len(NAMES)


def test_variants_that_compute_alike_have_the_same_bits() -> None:
    work = small()
    found = {name: outputs(work, name) for name in NAMES}
    assert torch.equal(found["no_sync"], found["baseline"])
    assert torch.equal(found["preallocated"], found["baseline"])
    assert torch.equal(found["optimized"], found["paged"])


@pytest.mark.parametrize("variant", NAMES)
def test_a_run_begins_with_the_context_again(variant: str) -> None:
    """Also straight after another, without poison between them, as measured iterations follow each other."""
    work = small()
    first = outputs(work, variant)
    work.run(variant)
    assert torch.equal(work.output, first)
    others = [name for name in NAMES if name != variant]
    for name in others:
        work.run(name)
    work.run(variant)
    assert torch.equal(work.output, first)


def test_a_run_leaves_the_context_alone() -> None:
    work = small()
    kept = work._keys.clone(), work._values.clone()
    for name in NAMES:
        work.run(name)
    assert torch.equal(work._keys, kept[0])
    assert torch.equal(work._values, kept[1])


def test_only_the_baseline_waits_and_once_a_layer() -> None:
    device = Waits()
    work = Decoding(device, SMALL)
    work.inputs(1)
    counts = {}
    for name in NAMES:
        device.count = 0
        work.run(name)
        counts[name] = device.count
    assert counts == {**dict.fromkeys(NAMES, 0), "baseline": SMALL["layers"] * SMALL["tokens"]}


def test_the_pages_hold_the_context_once_and_poison_nothing_of_it() -> None:
    """Read token by token through the table; no page serves two sequences, and the pages are in no order."""
    work = small()
    work.poison()
    paged, page = work._paged, SMALL["page"]
    table = paged.table
    assert sorted(table.flatten().tolist()) == list(range(table.numel()))
    assert not torch.equal(table.flatten(), torch.arange(table.numel(), dtype=torch.int32))
    for pools, context in ((paged._keys, work._keys), (paged._values, work._values)):
        for layer in range(SMALL["layers"]):
            for sequence in range(SMALL["batch"]):
                for position in range(SMALL["context"] + SMALL["tokens"]):
                    held = pools[layer, int(table[sequence, position // page]), :, position % page]
                    if position < SMALL["context"]:
                        assert torch.equal(held, context[layer, sequence, :, position])
                    else:
                        assert held.isnan().all()


def test_after_a_run_the_pages_hold_the_new_tokens_as_the_plain_cache_does() -> None:
    work = small()
    work.run("baseline")
    work.run("paged")
    tokens = SMALL["context"] + SMALL["tokens"]
    for layer in range(SMALL["layers"]):
        for grown, pool in ((work._growing._keys, work._paged._keys), (work._growing._values, work._paged._values)):
            assert grown[layer].shape[2] == tokens
            for sequence, row in enumerate(work._paged.table):
                held = paged_attention.gathered(pool[layer], row, tokens)
                assert relative_error(held, grown[layer][sequence].double()) < 2e-2
    assert work._paged.lengths.tolist() == [tokens] * SMALL["batch"]
    assert work._paged.step.tolist() == [SMALL["tokens"]]


def test_poison_reaches_all_that_a_variant_writes() -> None:
    work = small()
    for name in NAMES:
        work.run(name)
    work.poison()
    assert work.output.isnan().all()
    for cache in (work._preallocated._keys, work._preallocated._values):
        assert cache[:, :, :, SMALL["context"] :].isnan().all()
        assert cache[:, :, :, : SMALL["context"]].isfinite().all()
    assert all(buffer.isnan().all() for buffer in (work._paged._q, work._paged._out, *work._paged._parts))
    assert work._growing._keys[0] is work._growing._context[0][0]


# What a wrong paged cache could do, each seen by the tolerance; at the full context of 4096 tokens too (4 layers, width 512, on
# a CPU): 0.15 for a swapped page, 0.12 for one token lost in one layer, 0.83 for the newest token left out, against 0.009.


def _swap_a_page(work: Decoding, patch: pytest.MonkeyPatch) -> None:
    load = work._paged.load

    def swapped(keys: Any, values: Any, order: Any) -> None:
        load(keys, values, order)
        table = work._paged.table
        table[0, 0], table[1, 0] = table[1, 0].clone(), table[0, 0].clone()

    patch.setattr(work._paged, "load", swapped)


def _leave_out_the_newest(work: Decoding, patch: pytest.MonkeyPatch) -> None:
    attend = paged_attention.attend
    patch.setattr(paged_attention, "attend", lambda *a: attend(*a[:4], a[4] - 1, *a[5:]))


def _lose_one_token_in_one_layer(work: Decoding, patch: pytest.MonkeyPatch) -> None:
    append, calls = paged_attention.append, []

    def losing(*arguments: Any) -> None:
        append(*arguments)
        calls.append(1)
        if len(calls) % (SMALL["layers"] * SMALL["tokens"]) == 1:
            lengths, table, _, keys, values = arguments[3:]
            page = keys.shape[2]
            where = table[:, int(lengths[0]) // page].long(), slice(None), int(lengths[0]) % page
            keys[where], values[where] = 0, 0

    patch.setattr(paged_attention, "append", losing)


def _never_advance(work: Decoding, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(work._paged, "advance", lambda: work._paged.step.add_(1))


def _turn_by_one_too_many(work: Decoding, patch: pytest.MonkeyPatch) -> None:
    append = paged_attention.append
    patch.setattr(paged_attention, "append", lambda *a: append(a[0], a[1].roll(1, 0), a[2].roll(1, 0), *a[3:]))


@pytest.mark.parametrize(
    "wrong",
    [_swap_a_page, _leave_out_the_newest, _lose_one_token_in_one_layer, _never_advance, _turn_by_one_too_many],
)
def test_a_wrong_cache_is_refused(
    wrong: Callable[[Decoding, pytest.MonkeyPatch], None], notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = small()
    wrong(work, monkeypatch)
    found = validate(PAIR.declaration, work, CpuDevice(), notes, 11)
    for name, error in found.max_relative_error.items():
        assert (error is None or error > PAIR.declaration.tolerance) == (name in PAGED), name


@pytest.mark.parametrize("context", [15, 16, 17, 31, 32])
@pytest.mark.parametrize("tokens", [1, 5])
def test_pages_may_end_anywhere(context: int, tokens: int) -> None:
    work = small(context=context, tokens=tokens)
    expected = work.reference()
    for name in ("preallocated", "paged"):
        assert relative_error(outputs(work, name), expected) < PAIR.declaration.tolerance


@pytest.mark.parametrize(
    "sizes", [{"kv_heads": 3}, {"tokens": 0}, {"page": 24}, {"splits": 3}], ids=["heads", "tokens", "page", "splits"]
)
def test_sizes_that_make_no_decoder_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"cannot be|powers of two"):
        Decoding(CpuDevice(), {**SMALL, **sizes})


def test_what_is_declared_is_what_the_tensors_hold() -> None:
    """At the small size, counted from the tensors themselves; the full size's floor is 0.91 ms a token at 4.28 TB/s."""
    work = small()
    decoder = work._decoder
    weights = sum(t.numel() for t in (decoder.qkv, decoder.o, decoder.up, decoder.down))
    a_token = work._keys[:, :, :, 0].numel() + work._values[:, :, :, 0].numel()
    tokens = sum(SMALL["context"] + number + 1 for number in range(SMALL["tokens"]))
    moved = 2 * (SMALL["tokens"] * weights + tokens * a_token)
    assert declared(SMALL, "optimized").bytes == declared(SMALL, "paged").bytes == moved
    assert declared(SMALL, "preallocated").bytes == moved + 2 * tokens * a_token * 2 * 2
    assert declared(SMALL, "baseline").bytes - declared(SMALL, "preallocated").bytes == 2 * tokens * a_token * 2
    assert declared(FULL, "optimized").bytes / FULL["tokens"] / 4.28e12 == pytest.approx(0.91e-3, rel=0.01)


def test_summaries_print_every_variant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PAIR, ["--summaries"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list(NAMES)
