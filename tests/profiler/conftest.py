"""Stand-ins for what a capture needs and a test machine lacks: an nsys, a pair's module, a declaration."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.declaration import Declaration
from aisp_prof.profiler.store.manifest import Manifest

FAKE_NSYS = """#!{python}
import pathlib, sqlite3, subprocess, sys
version, profile, export = {version!r}, {profile!r}, {export!r}
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("NVIDIA Nsight Systems version " + version)
elif arguments[0] == "profile":
    at = arguments.index("-o")
    code = subprocess.run(arguments[at + 2:]).returncode
    if profile == "works":
        pathlib.Path(arguments[at + 1] + ".nsys-rep").write_bytes(b"report")
        sys.exit(code)
    if profile == "importer":
        pathlib.Path(arguments[at + 1] + ".qdstrm").write_bytes(b"stream")
        sys.exit("QdstrmImporter: error while loading shared libraries: libdw.so.1: cannot open shared object file")
    sys.exit(profile)
elif arguments[0] == "export":
    target = arguments[arguments.index("--output") + 1]
    if export == "works":
        database = sqlite3.connect(target)
        database.execute("create table CUPTI_ACTIVITY_KIND_KERNEL (start integer)")
        database.execute("insert into CUPTI_ACTIVITY_KIND_KERNEL values (1)")
        database.commit()
    elif export == "empty":
        database = sqlite3.connect(target)
        database.execute("create table CUPTI_ACTIVITY_KIND_KERNEL (start integer)")
        database.commit()
    elif export == "garbage":
        pathlib.Path(target).write_bytes(b"SQLite format 3 it is not")
    else:
        sys.exit(export)
"""

FAKE_NCU = """#!{python}
import pathlib, shutil, subprocess, sys
version, says, fixture = {version!r}, {says!r}, {fixture!r}
arguments = sys.argv[1:]
def value(name):
    return arguments[arguments.index(name) + 1]
if arguments == ["--version"]:
    print("NVIDIA (R) Nsight Compute Command Line Profiler\\nVersion " + version + " (build 1)")
elif "--import" in arguments:
    shutil.copy(fixture, value("--log-file"))
elif says:
    sys.exit(says)
else:
    code = subprocess.run(arguments[arguments.index("--export") + 2:]).returncode
    pathlib.Path(value("--export") + ".ncu-rep").write_bytes(b"NVR" + " ".join(arguments).encode())
    sys.exit(code)
"""

FAKE_PAIR = """
import json, pathlib, sys, time
option = dict(zip(sys.argv[1:-1], sys.argv[2:]))
def record(valid=True):
    data = {{"schema": 1, "pair": "ch99.fake", "size": option["--size"], "sizes": {{"chunks": 4}},
             "versions": {{"python": "3.12", "torch": "2.9"}}, "validation": {{"valid": valid}}, "iterations": []}}
    pathlib.Path(option["--record"]).write_text(json.dumps(data))
print("the pair speaks")
{body}
"""


@pytest.fixture
def declaration() -> Declaration:
    text = {"en": "x"}
    return Declaration(
        chapter="ch99",
        name="fake",
        topic=text,
        title=text,
        sentence=text,
        compares=text,
        variants={"baseline": text, "optimized": text},
        claims=("optimized.kernels == 1",),
        sizes={"small": {"chunks": 4}},
        tolerance=1e-6,
        bitwise=False,
        perturbation_band=0.1,
        queued=False,
        needs=("cuda",),
    )


@pytest.fixture
def manifest(declaration: Declaration) -> Manifest:
    return Manifest.of(
        id="ch99.fake-20260101T000000Z-abcdef",
        created_utc="2026-01-01T00:00:00.000000Z",
        declaration=declaration.to_json(),
        hardware_key="h200",
        size="small",
        sizes={"chunks": 4},
        gpus=[{"name": "NVIDIA H200"}],
        versions={"aisp_prof": "0.1.0", "nsys": "2025.3.2.0"},
        command=["aisp-prof", "capture", "ch99"],
        commit=None,
        conditions=None,
        runs={"untraced": {"pair": "ch99.fake"}},
        files={},
    )


@pytest.fixture
def fake_nsys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make an nsys that AISP_NSYS names; "works", or how it fails: a text is said on stderr."""

    def make(version: str = "2025.3.2.474-253236389321v0", profile: str = "works", export: str = "works") -> Path:
        executable = tmp_path / "target-linux-x64" / "nsys"
        executable.parent.mkdir(exist_ok=True)
        executable.write_text(FAKE_NSYS.format(python=sys.executable, version=version, profile=profile, export=export))
        executable.chmod(0o755)
        monkeypatch.setenv("AISP_NSYS", str(executable))
        return executable

    return make


@pytest.fixture
def fake_ncu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make an ncu that AISP_NCU names; it runs the program and gives `fixture` as the raw page, or ends saying `says`."""

    def make(says: str = "", version: str = "2025.3.1.0", fixture: str = "h200-streams.csv") -> Path:
        executable = tmp_path / "ncu"
        page = str(Path(__file__).parent / "counters" / fixture)
        executable.write_text(FAKE_NCU.format(python=sys.executable, version=version, says=says, fixture=page))
        executable.chmod(0o755)
        monkeypatch.setenv("AISP_NCU", str(executable))
        return executable

    return make


@pytest.fixture
def fake_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Make a pair's module that runs `body`, where `record(valid)` writes its record; returns the module's name."""

    def make(body: str) -> str:
        folder = tmp_path / "modules"
        folder.mkdir(exist_ok=True)
        (folder / "fake_pair.py").write_text(FAKE_PAIR.format(body=body))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        return "fake_pair"

    return make
