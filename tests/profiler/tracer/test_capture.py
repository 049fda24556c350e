"""A pair captured by the tracer: the capture is what it is under Nsight Systems, but for what recorded it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.declaration import Declaration
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.capture.run import Profile, capture_pair
from aisp_prof.profiler.store.published import published
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.tracer import library
from traced import Traced

BODY = """import os, subprocess
given = {{**os.environ, "STAND_IN_CUPTI": {cupti!r}, **{more!r}}}
code = subprocess.run([{program!r}, "cuda", "slow", "2"], env=given).returncode
record() if not code else sys.exit(code)
"""


def test_a_pair_is_captured_by_the_tracer(
    machine: Traced,
    declaration: Declaration,
    fake_pair: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library, "FILE", machine.built / "_tracer.so")
    monkeypatch.setenv("AISP_CUPTI", machine.variables["AISP_CUPTI"])
    steps: list[str] = []

    def capture(**more: str):  # type: ignore[no-untyped-def]
        body = BODY.format(program=str(machine.program), cupti=machine.variables["STAND_IN_CUPTI"], more=more)
        return capture_pair(
            declaration,
            [fake_pair(body)],
            "h200",
            "small",
            tmp_path / "captures",
            4,
            ["aisp-prof", "capture", "ch99"],
            60,
            steps.append,
            Profile.MINIMAL,
            None,
            "cupti",
        )

    made = capture()
    assert sorted(made.manifest.files) == ["run.log", "trace.sqlite"]
    assert made.manifest.versions["tracer"] == "aisp-prof tracer (CUPTI 13.0)"
    assert published(made.manifest).versions["tracer"] == "aisp-prof tracer (CUPTI 13.0)"
    assert "ch99.fake: running under the aisp-prof tracer" in steps
    trace = read_trace(made.folder / "trace.sqlite")
    assert (attest(trace).status, len(trace.ranges)) == ("complete", 2)
    with pytest.raises(EnvironmentLacks, match="another client of CUPTI is attached: ncu"):
        capture(STAND_IN_OTHER="ncu")
