from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.machine import tools
from aisp_prof.profiler.capture import doctor, ncu
from aisp_prof.profiler.capture.doctor import Check, Status, abilities, diagnose
from aisp_prof.profiler.tracer import recording


def check(name: str) -> Check:
    return next(one for one in diagnose() if one.name == name)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with nothing: no tools, no driver."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("AISP_NSYS", raising=False)
    monkeypatch.delenv("AISP_NCU", raising=False)
    monkeypatch.setattr(ncu, "PLACES", ())
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.setattr(tools, "CUDA_PLACES", ())
    monkeypatch.setattr(doctor, "DRIVER_PARAMETERS", Path("/nowhere"))
    monkeypatch.setitem(sys.modules, "pynvml", None)


def test_everything_is_named_with_purpose_and_mend() -> None:
    checks = diagnose()
    names = "nsys ncu GPU torch Pango nvcc compute-sanitizer triton nvtx nvidia-ml-py weasyprint counters"
    for name in names.split():
        assert any(name in one.name for one in checks), name
    for one in checks:
        assert one.purpose
        assert bool(one.mend) == (one.status is not Status.OK)
        assert bool(one.found) == (one.status is not Status.MISSING)
        assert json.loads(json.dumps(one.to_json()))["status"] in ("ok", "limited", "missing")


def test_nsys(fake_nsys: Callable[..., Path]) -> None:
    executable = fake_nsys()
    assert check("nsys").found == f"2025.3.2.474 at {executable}"
    fake_nsys(version="2023.4.4.54")
    assert check("nsys").status is Status.LIMITED
    assert "2023.4.4.54" in check("nsys").found


def test_the_tracer_serves_where_there_is_no_nsys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recording, "library", lambda: tmp_path / "_tracer.so")
    monkeypatch.setenv("AISP_CUPTI", "/wheels/libcupti.so.13")
    checks = diagnose()
    tracer = next(one for one in checks if one.name == "tracer")
    assert (tracer.status, "CUPTI at /wheels/libcupti.so.13" in tracer.found) == (Status.OK, True)
    needs = {one.command: one.lacks for one in abilities(checks)}["aisp-prof capture ch11"]
    assert not {"nsys", "tracer", "nsys or tracer"} & set(needs)
    monkeypatch.setattr(recording, "library", lacking)
    checks = diagnose()
    assert next(one for one in checks if one.name == "tracer").mend == "apt-get install gcc"
    assert "nsys or tracer" in {one.command: one.lacks for one in abilities(checks)}["aisp-prof capture ch11"]


def lacking() -> Path:
    raise EnvironmentLacks("no C compiler", "apt-get install gcc")


def test_ncu_is_the_one_that_a_capture_would_use(fake_ncu: Callable[..., Path]) -> None:
    executable = fake_ncu()
    assert check("ncu").found == f"2025.3.1.0 at {executable}"
    fake_ncu(version="2022.4.0.0")
    assert check("ncu").status is Status.LIMITED
    assert "at least 2024.1" in check("ncu").found


def test_a_tool_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvcc"
    tool.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check("nvcc").found == f"13.0.88 at {tool}"
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert check("nvcc").found == f"unknown version at {tool}"


@pytest.mark.parametrize(
    ("told", "user", "status"),
    [("1", 1000, Status.LIMITED), ("0", 1000, Status.OK), ("1", 0, Status.OK), (None, 0, Status.LIMITED)],
)
def test_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, user: int, status: Status) -> None:
    parameters = tmp_path / "params"
    parameters.write_text("Other: 1\n" + (f"RmProfilingAdminOnly: {told}\n" if told else ""))
    monkeypatch.setattr(doctor, "DRIVER_PARAMETERS", parameters)
    monkeypatch.setattr(doctor.os, "geteuid", lambda: user)
    assert check("GPU counters").status is status


def test_torch_is_judged_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(doctor, "_version", lambda distribution: "2.9.0+cpu")
    assert check("torch").found == "2.9.0+cpu (CPU only)"
    assert check("torch").status is Status.LIMITED
    assert "torch" not in sys.modules
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert f"'{extras['gpu'][3]}'" in check("torch").mend
    monkeypatch.setattr(doctor, "_torch_has_cuda", lambda version: True)
    assert check("torch").status is Status.OK


def test_pango_names_what_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_loads", lambda library: "subset" not in library)
    assert check("Pango").found == "without libharfbuzz-subset.so.0"
    monkeypatch.setattr(doctor, "_loads", lambda library: False)
    assert check("Pango").status is Status.MISSING
