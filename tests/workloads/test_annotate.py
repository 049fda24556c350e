"""NVTX ranges: names, order, categories and payloads, as a recording domain sees them."""

from __future__ import annotations

from typing import Any

import pytest
from aisp_prof.workloads.annotate import FORBIDDEN, Notes, open_notes
from aisp_prof.workloads.ch11.streams import PAIR
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.measure import measure
from aisp_prof.workloads.pair import Workload


def test_a_block_nests_as_the_reader_expects(domain: Any, notes: Notes, workload: Workload) -> None:
    measure(PAIR.declaration, workload, CpuDevice(), notes, iterations=2)
    first = next(at for at, call in enumerate(domain.calls) if call[0] == "start")
    name = "ch11.streams.baseline"
    assert domain.calls[first : first + 12] == [
        ("start", f"{name}.window", "measure", None),
        ("push", f"{name}.measure", "measure", None),
        ("push", "stage:hold", "stage", None),
        ("pop", "stage:hold", "stage", None),
        ("push", "iter", "iter", 0),
        ("push", "stage:submit", "stage", None),
        ("pop", "stage:submit", "stage", None),
        ("push", "stage:wait", "stage", None),
        ("pop", "stage:wait", "stage", None),
        ("pop", "iter", "iter", 0),
        ("pop", f"{name}.measure", "measure", None),
        ("end", f"{name}.window", "measure", None),
    ]


def test_blocks_run_abba_and_count_within_their_variant(domain: Any, notes: Notes, workload: Workload) -> None:
    measure(PAIR.declaration, workload, CpuDevice(), notes, iterations=4)
    opened = [call for call in domain.calls if call[0] == "push"]
    blocks = [call[1].split(".")[2][0] for call in opened if call[1].endswith(".measure")]
    assert "".join(blocks) == "boobobbo"
    assert [call[3] for call in opened if call[1] == "iter"] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_whole_run_is_annotated_with_selectable_names(domain: Any, notes: Notes) -> None:
    run_pair(PAIR, device="cpu", iterations=2, notes=notes)
    names = {call[1]: call[2] for call in domain.calls}
    assert not any(FORBIDDEN & set(name) for name in names)
    assert names["ch11.streams.setup"] == "setup"
    assert names["ch11.streams.verify"] == "verify"
    assert names["ch11.streams.optimized.warmup"] == "warmup"
    opened = [call[0] for call in domain.calls]
    assert opened.count("push") == opened.count("pop")
    assert opened.count("start") == opened.count("end")


def test_the_device_is_idle_when_a_measure_opens_and_closes(domain: Any, notes: Notes, workload: Workload) -> None:
    class Watched(CpuDevice):
        def synchronize(self) -> None:
            domain.calls.append(("synchronize", "", None, None))

    measure(PAIR.declaration, workload, Watched(), notes, iterations=2)
    at = domain.calls.index(("push", "ch11.streams.optimized.measure", "measure", None))
    assert domain.calls[at - 2][0] == "synchronize"
    end = domain.calls.index(("pop", "ch11.streams.optimized.measure", "measure", None))
    assert domain.calls[end - 1][0] == "synchronize"


@pytest.mark.parametrize("name", ["a/b", "a*", "x@y"])
def test_a_name_that_no_tool_can_select_is_refused(notes: Notes, name: str) -> None:
    with pytest.raises(ValueError, match="holds one of"), notes.range(name, "iter"):
        pass


def test_ranges_close_when_the_work_fails(domain: Any, notes: Notes) -> None:
    with pytest.raises(RuntimeError), notes.window("w"), notes.range("r", "measure"):
        raise RuntimeError
    assert [call[0] for call in domain.calls] == ["start", "push", "pop", "end"]


def test_the_real_package_accepts_every_call_without_a_tool() -> None:
    notes = open_notes()
    with notes.window("ch11.streams.baseline.window"), notes.range("iter", "iter", 3):
        pass
