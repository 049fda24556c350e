from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest
from aisp_prof.errors import AispError, EnvironmentLacks, TraceError, UsageError
from aisp_prof.profiler.queries.reading import read
from trace_builder import TraceBuilder


@pytest.fixture
def sqlite(tmp_path):
    trace = TraceBuilder()
    trace.process(1).kernel("k", (1, 2), (3, 4))
    return trace.write(tmp_path / "t.sqlite")


@pytest.fixture
def nsys(tmp_path, monkeypatch, sqlite):
    """An nsys whose export copies the SQLite, or does what `body` says."""

    def make(body=f"shutil.copy({str(sqlite)!r}, arguments[arguments.index('--output') + 1])"):
        executable = tmp_path / "target-linux-x64" / "nsys"
        executable.parent.mkdir(exist_ok=True)
        executable.write_text(
            f"#!{sys.executable}\nimport shutil, sys\narguments = sys.argv[1:]\n"
            f"if arguments == ['--version']:\n    print('NVIDIA Nsight Systems version 2025.3.2')\nelse:\n    {body}\n"
        )
        executable.chmod(0o755)
        monkeypatch.setenv("AISP_NSYS", str(executable))

    return make


def test_a_report_is_exported_by_nsys(tmp_path, nsys):
    nsys()
    report = tmp_path / "r.nsys-rep"
    report.write_bytes(b"report")
    assert len(read(report).operations) == 1
    packed = tmp_path / "r.nsys-rep.gz"
    packed.write_bytes(gzip.compress(b"report"))
    assert len(read(packed).operations) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if "report" in path.name) == []


def test_an_nsys_that_cannot_export_is_quoted(tmp_path, nsys):
    nsys("sys.exit('this report is of a newer version')")
    report = tmp_path / "r.nsys-rep"
    report.write_bytes(b"report")
    with pytest.raises(AispError, match="of a newer version"):
        read(report)


def test_without_nsys_the_way_to_get_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_NSYS", str(tmp_path / "nowhere"))
    report = tmp_path / "r.nsys-rep"
    report.write_bytes(b"report")
    with pytest.raises(EnvironmentLacks) as error:
        read(report)
    assert error.value.mend


def test_what_is_no_trace(tmp_path, sqlite):
    assert len(read(sqlite).operations) == 1
    with pytest.raises(UsageError, match="no regular expression"):
        read(sqlite, ["("])
    for path in (Path(__file__), tmp_path / "nowhere"):
        with pytest.raises(TraceError):
            read(path)
