"""The store whatever happens to a process: killed at any moment, beside another one, without room, without permission."""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.declaration import Declaration
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.machine import files as scratch
from aisp_prof.machine.files import remove_abandoned, scratch_folder, write_whole
from aisp_prof.profiler.capture import run as module
from aisp_prof.profiler.capture.run import capture_pair
from aisp_prof.profiler.store.captures import Capture, Store
from aisp_prof.profiler.store.manifest import Manifest, folder_facts, write_manifest
from aisp_prof.profiler.store.redact import scrub_trace
from killed import every, killed
from trace_builder import TraceBuilder

FakeNsys = Callable[..., Path]
FakePair = Callable[[str], str]
ROOT = Path(__file__).parents[3] / ".pythonpath"

CAPTURING = """
import json, sys
from pathlib import Path
from aisp_prof.declaration import Declaration
from aisp_prof.profiler.capture.run import capture_pair
declaration = Declaration.from_json(json.loads(sys.argv[1]))
"""
CAPTURE = """
capture_pair(declaration, [sys.argv[2]], "h200", "small", Path(sys.argv[3]), 4, [], 60, lambda step: None)
"""

WRITING = """
import sys
from pathlib import Path
from aisp_prof.machine.files import write_whole
"""
WRITE = """
write_whole(Path(sys.argv[1]), b"new" * 100_000)
"""

LISTING = """
import sys
from pathlib import Path
from aisp_prof.profiler.store.captures import Store
folder = Path(sys.argv[1])
"""
COUNT = LISTING + "print(len(Store(folder).captures()))"


UNKILLED = 1_000_000
"""More changes of the disk than any of these makes."""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


def check_whole(folder: Path) -> list[Capture]:
    """Every visible capture has all its files as it was captured; nothing else is visible."""
    found = Store(folder).captures()
    for capture in found:
        assert capture.verify_files() == ()
        assert set(folder_facts(capture.folder)) == set(capture.manifest.files)
    visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert visible == {capture.folder.name for capture in found}
    assert Store(folder).unreadable() == []
    return found


@pytest.mark.timeout(280)
def test_a_capture_killed_at_any_moment(
    tmp_path: Path, declaration: Declaration, fake_nsys: FakeNsys, fake_pair: FakePair
) -> None:
    """30 captures killed after delays over their whole length, then one that is let finish: it cleans up after all."""
    fake_nsys()
    arguments = json.dumps(declaration.to_json()), fake_pair("record()"), tmp_path / "captures"
    draw, published, codes = random.Random(5), 1, list[int]()
    with killed(CAPTURING, CAPTURE, *arguments) as at:
        begun = time.monotonic()
        assert at(UNKILLED) == 0
        whole = time.monotonic() - begun
        for number in range(30):
            codes.append(at(whole * (number + draw.random()) / 30))
            found = check_whole(arguments[2])
            assert len(found) in (published, published + 1)
            published = len(found)
        assert at(UNKILLED) == 0
    assert -signal.SIGKILL in codes
    assert len(check_whole(arguments[2])) == published + 1
    assert [path.name for path in arguments[2].iterdir() if path.name.startswith(".")] == []


@pytest.mark.timeout(280)
def test_a_capture_killed_at_each_change_of_the_disk(
    tmp_path: Path, declaration: Declaration, fake_nsys: FakeNsys, fake_pair: FakePair
) -> None:
    fake_nsys()
    arguments = json.dumps(declaration.to_json()), fake_pair("record()"), tmp_path / "captures"
    codes = []
    with killed(CAPTURING, CAPTURE, *arguments) as at:
        for code in every(at):
            codes.append(code)
            found = [one.id for one in check_whole(arguments[2])] if arguments[2].exists() else []
            assert len(found) in (0, 1)
            remove_abandoned(arguments[2])
            assert [path.name for path in arguments[2].glob("*")] == found
            for name in found:  # and once more
                shutil.rmtree(arguments[2] / name)
    assert codes.count(-signal.SIGKILL) > 15


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    """A report killed at each change of the disk; what it leaves, the next one removes."""
    target, old, new = tmp_path / "page.html", b"old", b"new" * 100_000
    target.write_bytes(old)
    seen = set()
    with killed(WRITING, WRITE, target) as at:
        for code in every(at):
            assert target.read_bytes() in (old, new)
            seen.add((target.read_bytes() == new, code))
            target.write_bytes(old)
    assert seen == {(False, -9), (True, -9), (True, 0)}
    write_whole(target, new)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def publish(folder: Path, manifest: Manifest, number: int) -> None:
    with scratch_folder(folder) as work:
        (work / "trace.sqlite").write_bytes(b"trace")
        name = f"ch99.fake-{number}"
        write_manifest(manifest.changed(id=name, files=folder_facts(work)), work)
        work.rename(folder / name)


def test_many_commands_at_once_on_one_store(tmp_path: Path, manifest: Manifest) -> None:
    """Writers publish while readers list: every answer is a whole one, and none goes back in time."""
    stop, wrong = threading.Event(), list[str]()

    def read() -> None:
        last = 0
        while not stop.is_set():
            found = len(Store(tmp_path).captures())
            if found < last:
                wrong.append(f"{found} after {last}")
            last = found

    readers = [threading.Thread(target=read) for _ in range(2)]
    processes = [start(COUNT, tmp_path) for _ in range(3)]
    for thread in readers:
        thread.start()
    for number in range(40):
        publish(tmp_path, manifest, number)
        remove_abandoned(tmp_path)
    stop.set()
    for thread in readers:
        thread.join()
    assert [ended(process) for process in processes] == [0, 0, 0]
    assert wrong == []
    assert len(check_whole(tmp_path)) == 40


def test_a_lock_that_is_taken_for_a_dead_ones_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making a lock file and locking it, another process may think that nobody holds it."""
    import fcntl

    real, stolen = fcntl.flock, list[str]()

    def late(file: object, how: int) -> None:
        if how == fcntl.LOCK_EX and not stolen:
            stolen.append("")
            stolen.extend(remove_abandoned(tmp_path))
        real(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(scratch.fcntl, "flock", late)
    with scratch_folder(tmp_path) as work:
        assert len(stolen) == 2
        assert work.name != stolen[1]
        assert remove_abandoned(tmp_path) == []
        assert work.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_another_program_calls_so_stays(tmp_path: Path) -> None:
    for name in (".aisp-tmp-mine.lock", ".tmp-x.lock"):
        (tmp_path / name).touch()
        (tmp_path / name.removesuffix(".lock")).mkdir()
    assert remove_abandoned(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4


FULL = """
import resource, sys
from pathlib import Path
from aisp_prof import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.argv[0] = "aisp-prof"
cli.main()
"""

DROPPED = """
import ctypes, sys
# The root of a container may write anywhere; without these two capabilities it is a user like any other.
class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
class Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]
libc, header, data = ctypes.CDLL(None, use_errno=True), Header(0x20080522, 0), (Data * 2)()
assert libc.capget(ctypes.byref(header), data) == 0
data[0].effective &= ~0b111
data[0].permitted &= ~0b111
assert libc.capset(ctypes.byref(header), data) == 0
from aisp_prof import cli
sys.argv[0] = "aisp-prof"
cli.main()
"""


def built(path: Path) -> Path:
    trace = TraceBuilder()
    process = trace.process(100)
    process.sees(trace.gpu("uuid"))
    for k in range(500):
        process.range(f"step {k}", k * 100, k * 100 + 90)
        process.kernel(f"kernel_{k}", (k * 100, k * 100 + 1), (k * 100 + 5, k * 100 + 9))
    return trace.write(path)


WRITERS = {
    "scrub": ("scrub", "{trace}", "-o", "{out}/s.sqlite"),
    "scrub packed": ("scrub", "{trace}", "-o", "{out}/s.sqlite.xz"),
    "export csv": ("trace", "export", "{trace}", "--to", "csv", "-o", "{out}/csv"),
    "export perfetto": ("trace", "export", "{trace}", "--to", "perfetto", "-o", "{out}/p.json"),
    "report": (
        *("report", "--stage", "ch11:streams", "--format", "html", "--out", "{out}"),
        *("--captures", "{out}", "--capture", "ch11.streams-20261121"),
    ),
    "bundle": (
        *("report", "--stage", "ch11:streams", "--format", "html", "--bundle", "{out}/b.zip"),
        *("--captures", "{out}", "--capture", "ch11.streams-20261121"),
    ),
    "expect": (
        *("expect", "update", "ch09", "--reason", "x", "--write"),
        *("--expectations", "{out}", "--captures", "{out}"),
    ),
    "junit": ("assert", "{trace}", "kernels_per_iteration <= 1000", "--junit", "{out}/j.xml"),
}


def said(code: str, tmp_path: Path, command: str) -> str:
    """The message of a command that could not write; there must be one, an exit code of ours and no traceback."""
    trace, out = built(tmp_path / "t.sqlite"), tmp_path / "out"
    out.mkdir(exist_ok=True)
    words = [word.format(trace=trace, out=out) for word in WRITERS[command]]
    # Python would put a module's compiled code in its place cut at the limit, and every later child would fail on it
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=settings, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (2, 3), done.stderr
    return done.stderr


FILLING = [name for name in WRITERS if name not in ("junit", "bundle", "expect")]
"""Those that write more than that; the two others are in tests/reports/bundle/test_write.py and expect/test_update.py."""


@pytest.mark.parametrize("command", FILLING)
def test_a_full_disk(tmp_path: Path, command: str) -> None:
    """20 kB, and then no more: what was begun is gone, and the message says what to do."""
    message = said(FULL, tmp_path, command)
    assert "cannot be written" in message or "no room to unpack" in message
    assert [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(("csv", "p.json"))] == []


@pytest.mark.parametrize("command", WRITERS)
def test_a_folder_that_may_not_be_written(tmp_path: Path, command: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o555)
    try:
        message = said(DROPPED, tmp_path, command)
        assert "Permission denied" in message
        assert list((tmp_path / "out").iterdir()) == []
    finally:
        (tmp_path / "out").chmod(0o755)


def test_a_store_that_may_only_be_read(tmp_path: Path, manifest: Manifest) -> None:
    publish(tmp_path / "captures", manifest, 1)
    (tmp_path / "captures").chmod(0o555)
    try:
        code = DROPPED.partition("from aisp_prof")[0] + COUNT
        process = start(code, tmp_path / "captures")
        assert process.communicate()[0] == "1\n"
    finally:
        (tmp_path / "captures").chmod(0o755)
    assert [path.name for path in (tmp_path / "captures").iterdir()] == ["ch99.fake-1"]


def test_a_disk_that_fills_up_while_scrubbing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    raw = built(tmp_path / "t.sqlite")
    monkeypatch.setattr("aisp_prof.profiler.store.redact._copy_and_check", full)
    with pytest.raises(AispError, match="No space left") as caught:
        scrub_trace(raw, tmp_path / "s.sqlite")
    assert "--output" in caught.value.mend
    assert [path.name for path in tmp_path.iterdir()] == ["t.sqlite"]


class Clock:
    """Stands in for datetime in the capture's module: says what it was told."""

    def __init__(self, *times: str) -> None:
        self.times = list(times)

    def now(self, zone: object) -> object:
        from datetime import datetime

        return datetime.fromisoformat(self.times.pop(0) if len(self.times) > 1 else self.times[0]).replace(tzinfo=zone)  # type: ignore[arg-type]


def test_a_clock_that_jumps(
    tmp_path: Path, declaration: Declaration, fake_nsys: FakeNsys, fake_pair: FakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest capture is the one whose clock said so; a capture that would not become it is not begun."""
    fake_nsys()
    pair, folder, steps = fake_pair("record()"), tmp_path / "captures", list[str]()

    def capture(*times: str) -> Capture:
        monkeypatch.setattr(module, "datetime", Clock(*times))
        return capture_pair(declaration, [pair], "h200", "small", folder, 4, [], 60, steps.append)

    first = capture("2026-05-01T12:00:00")
    assert first.manifest.created_utc == "2026-05-01T12:00:00.000000Z"
    with pytest.raises(EnvironmentLacks, match=f"{first.id} is of 2026-05-01") as caught:
        capture("2026-05-01T11:58:00")
    assert "set the clock" in caught.value.mend
    assert [one.id for one in Store(folder).captures()] == [first.id]
    assert "the clock went back" not in str(steps)
    capture("2026-05-01T12:00:01", "2026-05-01T11:00:00")  # it jumps while the pair runs
    assert f"the clock went back: {first.id} still counts as newest" in steps[-1]
    assert Store(folder).newest("ch99.fake") == first
    last = capture("2026-05-01T12:00:02")
    os.utime(last.folder / "manifest.json", (0, 0))  # a copy's times say nothing
    assert Store(folder).newest("ch99.fake") == last


def test_the_capabilities_are_really_dropped(tmp_path: Path) -> None:
    """Else the tests of folders that may not be written would test nothing."""
    assert ctypes.CDLL(None).capset
    (tmp_path / "x").mkdir(mode=0o555)
    code = DROPPED.partition("from aisp_prof")[0] + "open(sys.argv[1] + '/y', 'w')"
    assert ended(start(code, tmp_path / "x")) == 1
