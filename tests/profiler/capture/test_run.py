from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.declaration import Declaration
from aisp_prof.errors import AispError, EnvironmentLacks, UsageError
from aisp_prof.machine.child import MARK
from aisp_prof.machine.files import PREFIX, remove_abandoned
from aisp_prof.profiler.capture.run import capture_pair, check_trace
from aisp_prof.profiler.manifest import Validation
from aisp_prof.profiler.store.captures import Capture, Store

FakeNsys = Callable[..., Path]
FakePair = Callable[[str], str]


class Capturer:
    """Captures the fake pair below `folder`; `steps` is what the progress was told."""

    def __init__(self, folder: Path, declaration: Declaration) -> None:
        self.folder, self.declaration, self.steps = folder, declaration, list[str]()

    def __call__(self, module: str, timeout_s: float = 60, *profile: Any) -> Capture:
        typed = ["aisp-prof", "capture", "ch99"]
        return capture_pair(
            self.declaration, [module], "h200", "small", self.folder, 4, typed, timeout_s, self.steps.append, *profile
        )

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def capture(tmp_path: Path, declaration: Declaration) -> Capturer:
    return Capturer(tmp_path / "captures", declaration)


def test_a_capture(capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair) -> None:
    fake_nsys()
    made = capture(fake_pair("record()"))
    assert capture.left == [made.id]
    assert sorted(made.manifest.files) == ["report.nsys-rep", "run.log", "trace.sqlite"]
    assert made.verify_files() == ()
    assert set(made.manifest.runs) == {"untraced", "traced"}
    assert made.manifest.sizes == {"chunks": 4}
    assert made.manifest.command == ("aisp-prof", "capture", "ch99")
    assert made.manifest.versions["nsys"] == "2025.3.2.474"
    assert made.manifest.versions["torch"] == "2.9"
    assert (made.folder / "run.log").read_text().count("the pair speaks") == 2
    assert [step.split(": ")[-1].split(" 2025")[0] for step in capture.steps] == [
        "running without a tracer",
        "running under Nsight Systems",
        "exporting the trace to SQLite",
    ]
    assert Store(capture.folder).get(made.id) == made


def test_invalid_outputs_are_a_capture_without_a_trace(
    capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair
) -> None:
    fake_nsys()
    made = capture(fake_pair("record(valid=False); sys.exit(1)"))
    assert made.trace_path is None
    assert made.manifest.runs["untraced"].validation == Validation(valid=False)
    assert set(made.manifest.runs) == {"untraced"}


def test_outputs_invalid_only_under_nsys(capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair) -> None:
    fake_nsys()
    made = capture(fake_pair("bad = 'untraced' not in option['--record']; record(valid=not bad); sys.exit(bad)"))
    assert made.manifest.runs["traced"].validation == Validation(valid=False)
    assert made.trace_path is not None


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("sys.exit(3)", EnvironmentLacks, "the pair speaks"),
        ("sys.exit(2)", UsageError, "refused its arguments"),
        ("raise RuntimeError('boom')", AispError, "exit code 1(.|\n)*boom"),
        ("pass", AispError, "exit code 0"),
        ("pathlib.Path(option['--record']).write_text('{')", AispError, "not JSON"),
        ("pathlib.Path(option['--record']).write_text('{}')", AispError, "of something else"),
        ("if 'traced.json' == pathlib.Path(option['--record']).name: sys.exit(9)\nrecord()", AispError, "code 9"),
    ],
)
def test_failures_leave_nothing(
    capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair, body: str, error: type[AispError], said: str
) -> None:
    fake_nsys()
    with pytest.raises(error, match=said) as caught:
        capture(fake_pair(body))
    assert type(caught.value) is error
    assert capture.left == []


@pytest.mark.parametrize(
    ("profile", "export", "said"),
    [
        ("importer", "works", "libdw.so.1|no host-linux"),
        ("Permission denied", "works", "was refused"),
        ("works", "No space left on device", "disk is full"),
        ("works", "empty", "not one GPU operation"),
    ],
)
def test_failures_of_nsys_are_the_environments(
    capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair, profile: str, export: str, said: str
) -> None:
    fake_nsys(profile=profile, export=export)
    with pytest.raises(EnvironmentLacks, match=said) as caught:
        capture(fake_pair("record()"))
    assert caught.value.mend
    assert capture.left == []


def test_a_garbled_export(capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair) -> None:
    fake_nsys(export="garbage")
    with pytest.raises(AispError, match="no readable SQLite"):
        capture(fake_pair("record()"))
    assert capture.left == []


@pytest.mark.parametrize("changed", [False, True])
def test_a_file_of_the_pair_that_is_changed_between_its_runs(
    capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair, changed: bool
) -> None:
    """Times of one code and the trace of another were one capture."""
    fake_nsys()
    body = f"""
record()
path = pathlib.Path(option["--record"])
data = json.loads(path.read_text())
data["sources"] = [{{"file": "bench/fused.py", "sha256": "a" * 63 + path.name[{0 if changed else -1}]}}]
path.write_text(json.dumps(data))
"""
    if not changed:
        assert set(capture(fake_pair(body)).manifest.sources) == {"bench/fused.py"}
        return
    with pytest.raises(AispError, match=r"bench/fused\.py was changed while ch99\.fake was captured") as caught:
        capture(fake_pair(body))
    assert caught.value.mend == "capture it again"
    assert capture.left == []


def test_timeout(capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair) -> None:
    fake_nsys()
    with pytest.raises(AispError, match="longer than 1 s"):
        capture(fake_pair("sys.stdout.flush(); time.sleep(60)"), timeout_s=1)
    assert capture.left == []


def test_two_captures_at_once(
    tmp_path: Path, declaration: Declaration, fake_nsys: FakeNsys, fake_pair: FakePair
) -> None:
    fake_nsys()
    module, made = fake_pair("time.sleep(0.5); record()"), list[Capture]()
    capturers = [Capturer(tmp_path / "captures", declaration) for _ in range(2)]
    threads = [threading.Thread(target=lambda one=one: made.append(one(module))) for one in capturers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.id for one in made}) == 2
    assert capturers[0].left == sorted(one.id for one in made)
    assert len(Store(tmp_path / "captures").captures()) == 2


DRIVER = """
import json, sys
from pathlib import Path
from aisp_prof.declaration import Declaration
from aisp_prof.profiler.capture.run import capture_pair
declaration = Declaration.from_json(json.loads(sys.argv[1]))
capture_pair(declaration, [sys.argv[2]], "h200", "small", Path(sys.argv[3]), 4, [], 60, print)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("run", ["untraced", "traced"])
def test_an_interrupted_capture_leaves_nothing(
    capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair, number: signal.Signals, run: str, tmp_path: Path
) -> None:
    fake_nsys()
    started = tmp_path / "started"
    wait = f"pathlib.Path({str(started)!r}).write_text(str(__import__('os').getpid())); time.sleep(60)"
    module = fake_pair(f"if {run + '.json'!r} == pathlib.Path(option['--record']).name: {wait}\nrecord()")
    told = json.dumps(capture.declaration.to_json())
    root = str(Path(__file__).parents[3] / ".pythonpath")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((root, os.environ["PYTHONPATH"]))}
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, told, module, str(capture.folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: started.exists() and started.read_text() != "")
    process.send_signal(number)
    process.wait(20)
    assert Store(capture.folder).captures() == []
    if number is signal.SIGKILL:  # nobody could clean up: the next capture does, and ends what still runs
        assert any(name.startswith(PREFIX) for name in capture.left)
        remove_abandoned(capture.folder)
    wait_for(lambda: not alive(int(started.read_text())))
    assert capture.left == []


def alive(pid: int) -> bool:
    try:
        return MARK.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_another_capture_works_on_is_not_abandoned(
    capture: Capturer, fake_nsys: FakeNsys, fake_pair: FakePair
) -> None:
    fake_nsys()
    seen = []
    capture.steps = Watching(lambda: seen.append((remove_abandoned(capture.folder), len(capture.left))))
    capture(fake_pair("record()"))
    assert seen == [([], 2)] * 3  # the hidden folder and its lock, at every step


class Watching(list[str]):
    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self.look = look

    def append(self, step: str) -> None:
        self.look()


def test_check_trace_reads_only(tmp_path: Path) -> None:
    trace = tmp_path / "trace.sqlite"
    database = sqlite3.connect(trace)
    database.execute("create table CUPTI_ACTIVITY_KIND_MEMCPY (start)")
    database.execute("insert into CUPTI_ACTIVITY_KIND_MEMCPY values (1)")
    database.commit()
    database.close()
    before = trace.read_bytes()
    check_trace(trace)
    assert trace.read_bytes() == before
    assert list(tmp_path.iterdir()) == [trace]
