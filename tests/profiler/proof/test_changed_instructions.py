"""The machine code that a capture holds, compared: what changed against the baseline's is a number that claims may speak of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.evidence import Evidence, Verdict
from aisp_prof.profiler.manifest import MachineCode
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.profiler.proof.rates import changed_instructions
from counted_pair import counted_capture

SAME = "optimized.changed_instructions == 0"
PLAIN = {"compiler": "Triton 3.6.0", "warps": 8, "sha256": "a" * 64, "instructions": {"HGMMA.64x256x16": 4, "BRA": 5}}
OTHER = {**PLAIN, "warps": 12, "sha256": "b" * 64, "instructions": {"HGMMA.64x256x16": 8, "BRA": 4, "USETMAXREG": 3}}


def judged(tmp_path: Path, code: dict[str, Any] | None, claim: str = SAME) -> Evidence:
    manifest, path = counted_capture(tmp_path, [claim])
    if code:
        runs = manifest.to_json()["runs"]
        manifest = manifest.changed(runs={**runs, "traced": {**runs["traced"], "code": code}})
    return prove(manifest, path)


def test_the_same_bytes_change_nothing(tmp_path: Path) -> None:
    evidence = judged(tmp_path, {"baseline": PLAIN, "optimized": PLAIN})
    (claim,) = evidence.claims
    assert (claim.verdict, claim.measured, claim.unit) == (Verdict.PROVEN, 0, "count")


def test_instructions_that_one_lacks_are_counted_both_ways(tmp_path: Path) -> None:
    evidence = judged(tmp_path, {"baseline": PLAIN, "optimized": OTHER})
    (claim,) = evidence.claims
    assert (claim.verdict, claim.measured) == (Verdict.REFUTED, 4 + 1 + 3)
    assert evidence.rates["baseline"].machine[0]["changed_instructions"] == 0


def test_code_that_differs_in_operands_alone_is_no_longer_the_same() -> None:
    plain, other = MachineCode(**PLAIN), MachineCode(**{**PLAIN, "sha256": "c" * 64})
    assert changed_instructions({"baseline": plain, "optimized": other}) == {"baseline": 0, "optimized": 1}


def test_nothing_is_said_where_no_code_was_recorded(tmp_path: Path) -> None:
    evidence = judged(tmp_path, None)
    assert [claim.verdict for claim in evidence.claims] == [Verdict.UNPROVEN]
    assert "changed_instructions" not in evidence.rates["optimized"].machine[0]


@pytest.mark.parametrize("code", [{}, {"optimized": PLAIN}])
def test_without_the_baselines_code_there_is_nothing_to_compare(code: dict[str, Any]) -> None:
    assert changed_instructions(code) == {}
