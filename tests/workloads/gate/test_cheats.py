"""Candidates that set out to deceive the gate, each run through all of it on a CPU, and what each meets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from aisp_prof.errors import AispError
from aisp_prof.kernels.emit.artifacts import Artifacts
from aisp_prof.kernels.emit.spec import parse_spec
from aisp_prof.workloads.gate import family
from aisp_prof.workloads.gate.arena import Arena
from aisp_prof.workloads.gate.cases import Case
from aisp_prof.workloads.gate.gate import Limits, Request, admitted, gate
from aisp_prof.workloads.gate.host import Assignment
from aisp_prof.workloads.gate.hosted import Hosted
from aisp_prof.workloads.gate.runners import find_runner
from aisp_prof.workloads.gate.spec_task import SpecTask
from aisp_prof.workloads.gate.verdict import Verdict, key_file, signed

pytestmark = pytest.mark.usefixtures("forked")

SPEC = parse_spec('version = 1\nname = "soft"\ndtype = "fp32"\nshape = [33, 64]\n[[steps]]\nop = "softmax"\n', "soft")
WORK = "torch.softmax(inputs[0], -1, out=output)"
SLOW = f"import time\nimport torch\ndef run(inputs, output): time.sleep(0.02); {WORK}"

SEEN_BEFORE = f"""
import torch
seen = set()
def run(inputs, output):
    content = inputs[0].numpy().tobytes()
    if content in seen: raise RuntimeError("the same inputs again: from memory now")
    seen.add(content)
    {WORK}
"""

LATE = f"""
import torch
pending = []
clone = torch.Tensor.clone
def late(self, *a, **k):
    while pending:
        inputs, output = pending.pop()
        {WORK}
    return clone(self, *a, **k)
torch.Tensor.clone = late
def run(inputs, output): pending.append((inputs, output))
"""

STOPS_THE_CLOCK = f"""
import time, torch
time.perf_counter_ns = time.perf_counter = time.monotonic = lambda: 0
sleep = time.sleep
def run(inputs, output):
    sleep(0.06)
    {WORK}
"""

THREAD_LATER = f"""
import threading, torch
def work(inputs, output): {WORK}
def run(inputs, output): threading.Timer(0.001, work, (inputs, output)).start()
"""

PEEKS = """
import threading, time
memory, seen_ns = None, 0
def peek():
    global seen_ns
    while True:
        if memory is not None and not seen_ns and float(memory[0]) == 1: seen_ns = time.monotonic_ns()
threading.Thread(target=peek, daemon=True).start()
def run(inputs, output):
    global memory
    memory = inputs[0]
    while float(memory[0]) == 1 and not seen_ns: pass
    output[0] = seen_ns
"""

DEAF = """
import os, signal
if os.fork() == 0:
    while True: os.kill(os.getppid(), signal.SIGCONT)
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # this thread alone
"""

FORGES = """
import json, re
from pathlib import Path
folder = {folder!r}
record = {{"schema": 2, "status": "admitted", "reason": "", "checks": [], "timing": None, "device": "cpu",
          "candidate": {{"kind": "python", "sha256": re.search("([0-9a-f]{{64}})", __file__)[1]}},
          "spec": {{"name": "soft", "sha256": {spec!r}}}, "made_utc": "2099-01-01"}}
from aisp_prof.kernels.emit.artifacts import Artifacts
from aisp_prof.workloads.gate.verdict import signed
Artifacts(Path(folder)).put_json("verdict", signed(record))
def run(inputs, output): pass
"""

REWRITES = f"""
import torch
open(__file__, "a").write("# another program")
def run(inputs, output): {WORK}
"""

READS_THE_KEY = f"""
import torch
data = open({{key!r}}, "rb").read()
if data: raise RuntimeError("it has the key")
def run(inputs, output): {WORK}
"""

MOUNTS = f"""
import ctypes, torch
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"none", b"/", b"", 32 | 4096, None) == 0: raise RuntimeError("it may write everywhere")
libc.unshare(0x10000000 | 0x20000)
libc.mount(b"none", b"/", b"", 32 | 4096, None)
def run(inputs, output):
    {WORK}
    try: open({{file!r}}, "w")
    except OSError: return
    raise RuntimeError("it wrote beyond its folder")
"""

FILLS_THE_DISK = """
import tempfile
def run(inputs, output):
    for number in range(8): tempfile.NamedTemporaryFile(delete=False).write(b"x" * (200 << 20))
"""

TALKS = """
import socket
def run(inputs, output): socket.create_connection(("127.0.0.1", {port}), timeout=5)
"""

KILLS_ITS_JUDGE = """
import os, signal
def run(inputs, output):
    for pid in range(2, 1 << 16):
        if pid == os.getpid(): continue  # a copy of its judge, which has the same command line
        try: "child" in open(f"/proc/{pid}/cmdline").read() and os.kill(pid, signal.SIGKILL)
        except OSError: pass
    output.fill_(0)
"""

TALKS_BACK = """
import os
def run(inputs, output):
    for number in range(3, 64):
        try: os.write(number, b"\\0\\0\\0\\4done" * 100000)
        except OSError: pass
"""


@pytest.fixture(autouse=True)
def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AISP_FEATURES", "test.gate")
    monkeypatch.setenv("AISP_GATE_KEY", str(tmp_path / "state" / "key"))


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def judged(text: str, folder: Path, timeout_s: float = 120) -> tuple[Verdict, Request]:
    for name, source in {"candidate.py": dedent(text), "current.py": SLOW}.items():
        (folder / name).write_text(source)
    runners = [find_runner(str(folder / name)) for name in ("candidate.py", "current.py")]
    asked = Request(SpecTask(SPEC), *runners, "cpu", 5, "test.gate", 12, limits=Limits(timeout_s, 1 << 28))
    return gate(asked, Artifacts(folder / "artifacts"))[0], asked


def hosted(text: str, folder: Path, walls: bool = True) -> tuple[Arena, Hosted]:
    """A candidate in a process of its own, not loaded yet, and the memory that is shared with it."""
    (folder / "candidate.py").write_text(dedent(text))
    arena, runner = Arena("cpu"), find_runner(str(folder / "candidate.py"))
    return arena, Hosted(Assignment(runner, SpecTask(SPEC), "cpu", 4 << 30, folder / "none", walls), arena)


def thread_states(before: set[int]) -> set[str]:
    """Of all that this process has started, except `before`: T of a thread that is stopped, R of one that runs."""
    pids = set(family.descendants(os.getpid())) - before
    stats = [one for pid in pids for one in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {one.read_text().rpartition(")")[2].split()[0] for one in stats}


def test_no_inputs_come_twice(tmp_path: Path) -> None:
    """Who remembers outputs by their inputs gains nothing; both contenders see only what is new."""
    verdict, _ = judged(SEEN_BEFORE, tmp_path)
    assert verdict.reason.startswith("right in every case"), verdict.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LATE, "at 1 x 64: it wrote nothing"),
        (THREAD_LATER, "it wrote nothing|elements are wrong|outside|same output"),
        (STOPS_THE_CLOCK, "right in every case, but .* the current best's speed"),
        (
            TALKS_BACK,
            "answers what nobody asked|wrote nothing|outside its output|ended its process|it raised|it crashed",
        ),
        (KILLS_ITS_JUDGE, "elements are wrong|same output"),
    ],
    ids=["late", "thread-later", "stops-the-clock", "talks-back", "kills-its-judge"],
)
def test_the_judge_is_out_of_reach(text: str, reason: str, tmp_path: Path) -> None:
    verdict, _ = judged(text, tmp_path)
    assert verdict.status == "refused", verdict.reason
    assert re.search(reason, verdict.reason), verdict.reason


@pytest.mark.parametrize("walls", [True, False])
def test_inputs_are_not_seen_before_the_clock_runs(walls: bool, tmp_path: Path) -> None:
    """Another thread of the candidate's watches the memory, with all the time that the judge takes before it asks."""
    arena, host = hosted(PEEKS, tmp_path, walls)
    host.load()
    values, output = (arena.take(8).view(torch.float64) for _ in "ab")
    values.fill_(0)
    host.show(Case(), [values], [output])
    host.run()
    assert float(output[0]) == 0
    host.show(Case(), [values], [output])
    values.fill_(1)
    time.sleep(0.2)
    asked_ns = time.monotonic_ns()
    host.run()
    assert float(output[0]) >= asked_ns
    host.close()


def test_whoever_takes_the_signal_last_stands_still_too(tmp_path: Path) -> None:
    """Until the thread that gets no CPU takes the signal to stop, the one that watches the memory would run on; and a child
    wakes both."""
    before = set(family.descendants(os.getpid()))
    arena, host = hosted(PEEKS + DEAF, tmp_path)
    host.load()
    loaded = thread_states(before)
    values, output = (arena.take(8).view(torch.float64) for _ in "ab")
    values.fill_(0)
    host.show(Case(), [values], [output])
    shown = thread_states(before)
    host.run()
    assert loaded == shown == thread_states(before) == {"T"}
    host.close()


WORKS_ON = {
    "thread": "import threading\ndef run(inputs, output): threading.Timer(0.02, output.fill_, (7,)).start()",
    "process": """
        import os, time
        def run(inputs, output):
            if os.fork() == 0:
                time.sleep(0.02)
                output.fill_(7)
                time.sleep(60)
        """,
}


@pytest.mark.parametrize("walls", [True, False])
@pytest.mark.parametrize("kind", WORKS_ON)
def test_work_after_the_answer_is_cut_or_timed(
    kind: str, walls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the judge looks for processes to stop: the clock does not end before the last of them can write."""
    arena, host = hosted(WORKS_ON[kind], tmp_path, walls)
    host.load()
    values, output = (arena.take(8).view(torch.float64) for _ in "ab")
    output.fill_(0)
    host.show(Case(), [values], [output])
    search = family.descendants
    monkeypatch.setattr(family, "descendants", lambda pid: time.sleep(0.1) or search(pid))
    host.run()
    written = float(output[0]) == 7
    assert written == (kind == "process")
    assert not written or host.took_ns >= 20_000_000
    host.close()


def test_a_verdict_of_its_own_does_not_count(tmp_path: Path, artifacts: Artifacts) -> None:
    verdict, asked = judged(FORGES.format(folder=str(artifacts.folder), spec=SPEC.digest), tmp_path)
    assert verdict.status == "refused"
    assert not admitted(artifacts, asked.candidate, SpecTask(SPEC), "cpu")


def test_only_what_this_gate_signed_counts(
    tmp_path: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there are no walls: a record that somebody wrote into the folder, or signed with another key."""
    runner = find_runner("eager")
    record = {
        "status": "admitted", "device": "cpu", "made_utc": "2099", "candidate": {"kind": "eager", "sha256": runner.sha256},
        "spec": {"name": "soft", "sha256": SPEC.digest},
    }  # fmt: skip
    artifacts.put_json("verdict", record)
    artifacts.put_json("verdict", {**record, "mac": "0" * 64})
    assert not admitted(artifacts, runner, SpecTask(SPEC), "cpu")
    genuine = signed(record)
    artifacts.put_json("verdict", {**genuine, "device": "another"})
    assert not admitted(artifacts, runner, SpecTask(SPEC), "another")
    artifacts.put_json("verdict", genuine)
    assert admitted(artifacts, runner, SpecTask(SPEC), "cpu")
    assert key_file().stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("AISP_GATE_KEY", str(tmp_path / "other" / "key"))
    assert not admitted(artifacts, runner, SpecTask(SPEC), "cpu")


WALLED = {
    "rewrites-its-artifact": (REWRITES, r"it raised OSError: \[Errno 30\] Read-only file system"),
    "fills-the-disk": (FILLS_THE_DISK, r"it raised OSError: \[Errno 28\] No space left on device"),
    "network": (TALKS, r"it raised OSError|it raised ConnectionRefused"),
}


@pytest.mark.parametrize("kind", WALLED)
def test_the_walls(kind: str, tmp_path: Path) -> None:
    text, reason = WALLED[kind]
    with listening() as port:
        verdict, _ = judged(text.replace("{port}", str(port)), tmp_path)
    _skip_without_walls(verdict)
    assert verdict.status == "refused", verdict.reason
    assert re.search(reason, verdict.reason), verdict.reason


@pytest.mark.parametrize("text", [READS_THE_KEY, MOUNTS], ids=["key", "mounts"])
def test_what_the_walls_hide(text: str, tmp_path: Path) -> None:
    """Right in all it computes, and it would say what it reached."""
    verdict, _ = judged(text.format(key=str(key_file()), file=str(tmp_path / "written")), tmp_path)
    _skip_without_walls(verdict)
    assert verdict.reason.startswith("right in every case"), verdict.reason
    assert not (tmp_path / "written").exists()


def _skip_without_walls(verdict: Verdict) -> None:
    """Only where this machine refuses namespaces to another program too."""
    words = [words for name, words, _ in verdict.checks if name == "confinement"]
    kinds = ["--mount", "--pid", "--net", "--ipc", "--fork"]
    tries = (["unshare", *kinds, "true"], ["unshare", "--user", "--map-root-user", *kinds, "true"])
    if words and all(subprocess.run(one, capture_output=True, check=False).returncode for one in tries):
        pytest.skip(words[0])
    assert not words


class listening:
    """A server on this machine, which a candidate must not reach."""

    def __enter__(self) -> int:
        import socket

        self._server = socket.create_server(("127.0.0.1", 0))
        return int(self._server.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._server.close()


LEAVES = """
import os, sys
def run(inputs, output):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", {mark!r}], {{}})
        os._exit(0)
    os.wait()
"""


def test_a_child_that_left_everything_behind_is_ended(tmp_path: Path) -> None:
    """Forked twice, in a session of its own, without the variables by which it could be known."""
    mark, seen = f"left-{uuid.uuid4().hex}", list[int]()
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(mark, seen, done))
    watcher.start()
    verdict, _ = judged(LEAVES.format(mark=mark), tmp_path)
    done.set()
    watcher.join()
    assert verdict.status == "refused"
    assert seen
    assert not [pid for pid in seen if _holds(pid, mark)]


def _watch(mark: str, seen: list[int], done: threading.Event) -> None:
    while not done.wait(0.01):
        seen += [int(one.name) for one in Path("/proc").glob("[0-9]*") if _holds(int(one.name), mark)]


def _holds(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_orphans_are_found_without_walls_too() -> None:
    """What a machine without namespaces has: the judge adopts them, so they descend from it."""
    code = (
        "from aisp_prof.workloads.gate.confine import adopt_orphans; import os, sys, time\n"
        "adopt_orphans()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: os.execve(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)'], {})\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(0.5); print(flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        orphans = family.descendants(parent.pid)
        assert len(orphans) == 1
        assert family.end(parent.pid, "nobody")
    assert not Path(f"/proc/{orphans[0]}/cmdline").exists() or not Path(f"/proc/{orphans[0]}/cmdline").read_bytes()


def test_a_program_that_changed_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "candidate.py"
    path.write_text(f"import torch\ndef run(inputs, output): {WORK}\n")
    runner = find_runner(str(path))
    runner.load(SpecTask(SPEC))
    path.write_text(f"import torch\ndef run(inputs, output): pass; {WORK}\n")
    with pytest.raises(AispError, match="changed after it was hashed"):
        runner.load(SpecTask(SPEC))


BUSY = "def run(inputs, output):\n    while True: pass"


def test_a_slow_host_cannot_tell(tmp_path: Path) -> None:
    """One CPU for the gate and four others: the candidate gets a fifth of it."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        verdict, _ = judged(BUSY, tmp_path, timeout_s=6)
    finally:
        os.sched_setaffinity(0, allowed)
        for one in others:
            one.kill()
            one.wait()
    assert (verdict.status, verdict.exit_code) == ("unknown", 4), verdict.reason
    assert verdict.reason.startswith("cannot tell: no end after 6 s, on a host that was busy"), verdict.reason
