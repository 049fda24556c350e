"""A whole run on a CPU: the record, its file, and that nothing is timed whose outputs are wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.declaration import Phase
from aisp_prof.errors import UsageError
from aisp_prof.machine.records import convert
from aisp_prof.profiler import manifest
from aisp_prof.profiler.judging.floor import phases_of
from aisp_prof.workloads.ch11.streams import PAIR, ChunkedChain
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.measure import order
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.record import Measurement, Record, Timed, write_record


class Broken(ChunkedChain):
    def run(self, variant: str) -> None:
        super().run("baseline")
        if variant == "optimized":
            self.output[0] += 1


BROKEN = Pair(PAIR.declaration, Broken)


def small_run(**options: Any) -> Record:
    return run_pair(PAIR, device="cpu", iterations=2, **options)


def test_phases_stand_in_the_record_as_the_floor_reads_them(tmp_path: Path) -> None:
    """At the sizes that ran, of every variant, and through the manifest's check of its shape."""

    def phases(sizes: Any, variant: str) -> tuple[Phase, ...]:
        whole = sizes["mib"] << 20
        return (
            Phase(h2d=whole, dram=2 * whole, flops={"fp32": 7}),
            Phase(d2h=whole, launches=1 if variant == "baseline" else 0),
        )

    data = run_pair(replace(PAIR, phases=phases), device="cpu", iterations=2).to_json()
    assert list(data["phases"]) == ["baseline", "optimized"]
    sizes = PAIR.declaration.sizes["small"]
    stated = convert(json.loads(json.dumps(data["phases"])), dict[str, list[manifest.Phase]], "phases")
    assert len(stated["baseline"]) == 2
    for variant, plain in data["phases"].items():
        assert len(plain) == len(stated[variant])
        assert phases_of(stated[variant], None) == phases(sizes, variant)


def test_the_record_has_the_documented_form() -> None:
    data = small_run(seed=5).to_json()
    assert list(data) == [
        "schema", "pair", "device", "size", "sizes", "seed", "versions",
        "gpu", "validation", "declared", "phases", "warmup", "hold_ns", "order", "iterations",
    ]  # fmt: skip
    assert (data["schema"], data["pair"], data["device"], data["size"]) == (1, "ch11.streams", "cpu", "small")
    assert data["sizes"] == PAIR.declaration.sizes["small"]
    assert data["seed"] == 5
    assert data["gpu"] is None
    assert list(data["versions"]) == ["python", "torch", "cuda", "triton", "nvtx"]
    assert set(data["validation"]) == {"valid", "bitwise", "max_relative_error", "tolerance", "rejects"}
    assert data["order"] == ["baseline", "optimized", "optimized", "baseline"]
    assert [(row["variant"], row["index"]) for row in data["iterations"]] == [
        ("baseline", 0), ("optimized", 0), ("optimized", 1), ("baseline", 1),
    ]  # fmt: skip
    assert all(isinstance(row["event_ns"], int) and row["event_ns"] > 0 for row in data["iterations"])
    assert all(3 <= count <= 30 for count in data["warmup"].values())


def test_seeds_are_fresh_unless_given() -> None:
    assert small_run(validate_only=True).seed != small_run(validate_only=True).seed


def test_invalid_outputs_are_not_timed() -> None:
    record = run_pair(BROKEN, device="cpu", iterations=2)
    assert not record.validation.valid
    assert record.measured is None
    assert record.to_json()["iterations"] == []
    assert record.to_json()["order"] == []


def test_an_invalid_record_with_times_cannot_be_built() -> None:
    invalid = run_pair(BROKEN, device="cpu", iterations=2)
    with pytest.raises(ValueError, match="no times"):
        replace(invalid, measured=Measurement({"baseline": 3}, 0, (Timed("baseline", 0, 1),)))


def test_outputs_that_are_not_finite_make_valid_json(tmp_path: Path) -> None:
    class Nothing(ChunkedChain):
        def run(self, variant: str) -> None:
            return

    record = run_pair(Pair(PAIR.declaration, Nothing), device="cpu", iterations=2)
    write_record(record, tmp_path / "record.json")
    read = json.loads((tmp_path / "record.json").read_text())
    assert read["validation"]["max_relative_error"] == {"baseline": None, "optimized": None}
    assert read["validation"]["valid"] is False


def test_a_record_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    write_record(small_run(), path)
    assert json.loads(path.read_text())["schema"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        write_record(small_run(validate_only=True), tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("iterations", [0, -2, 1, 7])
def test_rounds_must_be_whole(iterations: int) -> None:
    with pytest.raises(UsageError, match="A B B A"):
        order(iterations)


def test_order_is_abba() -> None:
    assert "".join(variant[0] for variant in order(6)) == "boobobboboob"


@pytest.mark.parametrize(("variants", "iterations"), [("AB", 20), ("ABC", 12), ("ABCDEFGH", 16)])
def test_no_variant_has_a_place_for_itself(variants: str, iterations: int) -> None:
    """A slot that is slower, or a steady drift, hits all alike: each runs as often in each place, and about the same middle."""
    sequence, width = order(iterations, variants), 2 * len(variants)
    assert len(sequence) == iterations * len(variants)
    rounds = [sequence[at : at + width] for at in range(0, len(sequence), width)]
    for variant in variants:
        places = [min(one.index(variant), width - 1 - one[::-1].index(variant)) for one in rounds]
        assert {places.count(place) for place in range(len(variants))} == {len(rounds) // len(variants)}
        assert all(one == one[::-1] and one.count(variant) == 2 for one in rounds)


def test_sizes_that_make_no_equal_chunks_are_refused() -> None:
    odd = replace(PAIR.declaration, sizes={"default": {"mib": 1, "chunks": 3, "rounds": 1}})
    with pytest.raises(UsageError, match="equal chunks"):
        run_pair(Pair(odd, ChunkedChain), device="cpu")
