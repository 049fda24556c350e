"""`@aisp_prof.pair`: what it makes of a class, what it refuses, and that the check still notices wrong outputs."""

from __future__ import annotations

from typing import Any

import aisp_prof
import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.decorated import ATTRIBUTE
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.record import Record, Validation


class Base:
    """Twice x."""

    n: int
    device: str

    def inputs(self, seed: int) -> None:
        self.x = torch.randn(self.n, generator=torch.Generator().manual_seed(seed), device=self.device)

    def baseline(self) -> Any:
        """Added to itself."""
        return self.x + self.x

    def optimized(self) -> Any:
        return self.x * 2

    def reference(self) -> Any:
        return self.x.double() * 2


def declared(cls: type[Any] = Base, **options: Any) -> Pair:
    made = type("TwiceX", (cls,), {"__module__": __name__})
    options = {"claims": ["speedup >= 1.1"], "sizes": {"n": 64}, **options}
    return vars(aisp_prof.pair(**options)(made))[ATTRIBUTE]


def run(pair: Pair, notes: Notes, **more: Any) -> Record:
    return run_pair(pair, device="cpu", iterations=2, notes=notes, **more)


def outcome(pair: Pair, notes: Notes) -> Validation:
    return run(pair, notes, validate_only=True).validation


def test_everything_but_the_class_and_its_claims_is_chosen() -> None:
    @aisp_prof.pair(claims=["speedup >= 1.1"], sizes={"n": 64})
    class TwiceX(Base):
        """Twice x, in one pass."""

    assert TwiceX().optimized  # the class itself stays as it is
    pair = vars(TwiceX)[ATTRIBUTE]
    told = pair.declaration
    assert (told.key, told.tolerance, told.names) == ("test_decorated.twice_x", 1e-3, ("baseline", "optimized"))
    assert told.title == {"en": "Twice x, in one pass"}
    assert told.sentence["en"].format(speedup="2×").startswith("Twice x, in one pass: the optimized")
    assert told.variants == {"baseline": {"en": "Added to itself"}, "optimized": {"en": "Optimized"}}
    assert (told.sizes, told.queued, told.attribution) == ({"default": {"n": 64}}, True, "process")
    assert type(told).from_json(told.to_json()) == told


@pytest.mark.parametrize(
    ("name", "snake"),
    [("FusedNorm", "fused_norm"), ("KVCache2", "kv_cache2"), ("fused", "fused"), ("A", "a"), ("GEMM", "gemm")],
)
def test_a_class_is_called_as_python_calls_functions(name: str, snake: str) -> None:
    made = aisp_prof.pair(claims=[], sizes={"n": 64})(type(name, (Base,), {"__module__": __name__}))
    assert vars(made)[ATTRIBUTE].declaration.name == snake


def test_it_is_run_as_a_chapters_pair_is(notes: Notes) -> None:
    record = run(declared(), notes)
    assert record.validation.valid
    assert record.validation.rejects == {"zeros": True, "stale": True, "permuted": True}
    assert record.measured is not None
    assert [one.variant for one in record.measured.iterations] == ["baseline", "optimized", "optimized", "baseline"]


def test_sizes_and_device_are_there_before_init_runs(notes: Notes) -> None:
    class Made(Base):
        def __init__(self) -> None:
            self.half = torch.full((self.n,), 0.5, device=self.device)

        def optimized(self) -> Any:
            return self.x / self.half

    assert outcome(declared(Made), notes).valid


def test_sizes_by_hardware_and_for_a_cpu() -> None:
    pair = declared(sizes={"default": {"n": 1 << 30}, "small": {"n": 32}})
    assert outcome_size(pair) == ("small", {"n": 32})


def outcome_size(pair: Pair) -> tuple[str, Any]:
    from aisp_prof.workloads.hardware import choose_size

    return choose_size(pair.declaration, None, None)


def test_without_sizes_there_is_one(notes: Notes, capsys: pytest.CaptureFixture[str]) -> None:
    from aisp_prof.workloads.bare import main

    class Fixed(Base):
        n = 64

    assert main(declared(Fixed, sizes=None), ["--device", "cpu", "--validate"]) == 0
    assert "size default" in capsys.readouterr().out


def test_steps_between_the_two(notes: Notes) -> None:
    class Staged(Base):
        def halfway(self) -> Any:
            return self.x.add(self.x)

    pair = declared(Staged, variants=["baseline", "halfway", "optimized"])
    assert list(outcome(pair, notes).max_relative_error) == ["baseline", "halfway", "optimized"]


# --- wrong outputs ------------------------------------------------------------------------------------------------------------


class Wrong(Base):
    def optimized(self) -> Any:
        return self.x * 2.01


class FirstInputs(Base):
    """Computes once, and returns that ever after."""

    def optimized(self) -> Any:
        self.kept = getattr(self, "kept", None)
        if self.kept is None:
            self.kept = (self.x * 2).clone()
        return self.kept


class Buffer(Base):
    """Returns the buffer that the other variant filled, and writes nothing into it."""

    def baseline(self) -> Any:
        if not hasattr(self, "out"):
            self.out = torch.empty(self.n)
        return torch.mul(self.x, 2, out=self.out)

    def optimized(self) -> Any:
        return self.out


class Whole(Base):
    """As `Buffer`, with integers, which hold no NaN."""

    def inputs(self, seed: int) -> None:
        self.x = torch.randint(-9, 9, (self.n,), generator=torch.Generator().manual_seed(seed))

    def baseline(self) -> Any:
        if not hasattr(self, "out"):
            self.out = torch.empty(self.n, dtype=torch.int64)
        return torch.mul(self.x, 2, out=self.out)

    def optimized(self) -> Any:
        return self.out


@pytest.mark.parametrize("cls", [Wrong, FirstInputs, Buffer, Whole])
def test_a_wrong_output_is_not_timed(notes: Notes, cls: type[Any]) -> None:
    record = run(declared(cls), notes)
    assert not record.validation.valid
    assert record.measured is None
    assert record.validation.max_relative_error["baseline"] is not None


def test_integers_that_are_right_are_valid(notes: Notes) -> None:
    class Right(Whole):
        def optimized(self) -> Any:
            return self.x * 2

    assert outcome(declared(Right), notes).valid


def test_an_output_with_a_gradient_and_one_of_inference_mode(notes: Notes) -> None:
    class Learning(Base):
        def baseline(self) -> Any:
            return self.x.clone().requires_grad_() * 2

        def optimized(self) -> Any:
            with torch.inference_mode():
                return self.x * 2

    assert outcome(declared(Learning), notes).valid


def test_what_a_variant_writes_in_between_may_be_poisoned_too(notes: Notes) -> None:
    """A variant that leaves half its work out is right as long as the other one's is still there."""

    class Half(Base):
        def baseline(self) -> Any:
            self.between = self.x * 2
            return self.between + 0

        def optimized(self) -> Any:
            return self.between + 0

    class Poisoned(Half):
        def poison(self) -> None:
            if hasattr(self, "between"):
                self.between.fill_(float("nan"))

    assert outcome(declared(Half), notes).valid
    assert not outcome(declared(Poisoned), notes).valid


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda x: None, "TwiceX.optimized returned NoneType, not a tensor"),
        (lambda x: (x, x), "returned tuple, not a tensor"),
        (lambda x: (x * 2).sum(), "returned a single number"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_its_mend(notes: Notes, returned: Any, said: str) -> None:
    class Odd(Base):
        def optimized(self) -> Any:
            return returned(self.x)

    with pytest.raises(UsageError, match=said) as caught:
        outcome(declared(Odd), notes)
    assert caught.value.mend


def test_bitwise_asks_for_an_exact_run(notes: Notes) -> None:
    class Exact(Base):
        def exact(self) -> Any:
            return self.x * 2

    assert outcome(declared(Exact, bitwise=True), notes).bitwise is True
    with pytest.raises(UsageError, match="no method exact"):
        declared(bitwise=True)


# --- refused declarations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "a/b"}, "no name may be called 'a/b'"),
        ({"group": "a.b"}, "no group may be called"),
        ({"group": "trace"}, "no group may be called 'trace'"),
        ({"name": "größe"}, "no name may be called"),
        ({"variants": ["baseline", "a,b", "optimized"]}, "no variant may be called"),
        ({"variants": ["optimized", "baseline"]}, "its variants begin with baseline"),
        ({"variants": ["baseline", "middle", "optimized"]}, "it has no method middle"),
        ({"sentence": "It is fast."}, "holds {speedup} 0 times"),
        ({"sentence": "{speedup}, {speedup}"}, "holds {speedup} 2 times"),
        ({"title": {"ko": "제목"}}, "lacks its English form"),
        ({"sizes": {"n": 1.5}}, "sizes are integers"),
        ({"sizes": {"small": {"n": 1}}}, "sizes are integers"),
        ({"sizes": {"default": {"n": 1}, "small": {"m": 1}}}, "every size has the same names"),
        ({"attribution": "stream"}, "attribution is thread or process"),
    ],
)
def test_what_a_declaration_may_not_say(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        declared(**options)


def test_a_title_with_braces_is_a_title() -> None:
    assert declared(title="x{0}").declaration.sentence["en"].startswith("x{0}: the optimized")


def test_a_class_that_inherits_from_a_pair_is_none_itself() -> None:
    from types import ModuleType

    from aisp_prof.workloads.found import pairs_in

    module = ModuleType("bench")
    first = aisp_prof.pair(claims=[], sizes={"n": 4})(type("First", (Base,), {"__module__": "bench"}))
    second, third = type("Second", (first,), {"__module__": "bench"}), type("Third", (Base,), {"__module__": "bench"})
    imported = aisp_prof.pair(claims=[], sizes={"n": 4})(type("Imported", (Base,), {"__module__": "elsewhere"}))
    vars(module).update(First=first, Alias=first, Second=second, Third=third, Imported=imported)
    assert list(pairs_in(module)) == ["First"]
    assert list(pairs_in(module, "first")) == ["First"]
    assert list(pairs_in(module, "Imported")) == ["Imported"]
    with pytest.raises(UsageError, match="has no pair 'Second'") as caught:
        pairs_in(module, "Second")
    assert "it has First" in caught.value.mend


def test_the_device_is_told() -> None:
    seen = []

    class Told(Base):
        def inputs(self, seed: int) -> None:
            seen.append(self.device)

    workload = declared(Told).build(CpuDevice(), {"n": 4})
    workload.inputs(0)
    assert seen == ["cpu"]
