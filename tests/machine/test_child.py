from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.machine import child
from aisp_prof.machine.child import MARK, Answer, Watch, ask, child_environment, marked, new_mark, run_child, tail

GRANDCHILD = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stay = [sys.executable, "-c", "import time; time.sleep(60)"]
subprocess.Popen(stay)
subprocess.Popen(stay, start_new_session=True)
print("started", flush=True)
{then}
"""


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE_S", 0.3)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "run.log", 20, new_mark())


def test_exit_code_and_output(watch: Watch) -> None:
    code = run_child(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"), watch)
    assert code == 7
    assert sorted(tail(watch.log).split()) == ["err", "out"]


def test_death_by_signal_is_told_as_a_shell_does(watch: Watch) -> None:
    assert run_child(python("import os; os.kill(os.getpid(), 9)"), watch) == 137


def test_timeout_ends_grandchildren_even_in_their_own_session(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "run.log", 1.5, new_mark())
    with pytest.raises(AispError, match=r"longer than 1\.5 s") as caught:
        run_child(python(GRANDCHILD.format(then="time.sleep(60)")), watch)
    assert "started" in str(caught.value)
    assert marked(watch.mark) == []


def test_grandchildren_end_with_a_child_that_succeeds(watch: Watch) -> None:
    assert run_child(python(GRANDCHILD.format(then="")), watch) == 0
    assert marked(watch.mark) == []


def test_a_tool_answers() -> None:
    code = "import sys; print('out'); sys.stderr.buffer.write(b'err \\xff\\n'); sys.exit(7)"
    assert ask(python(code), 20) == Answer(7, "out\n", "err \ufffd\n")


@pytest.mark.parametrize(("then", "ends"), [("", True), ("time.sleep(60)", False)])
def test_a_tool_ends_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch, then: str, ends: bool) -> None:
    mark = new_mark()
    monkeypatch.setattr(child, "new_mark", lambda: mark)
    if ends:
        assert ask(python(GRANDCHILD.format(then=then)), 20).out == "started\n"
    else:
        with pytest.raises(AispError, match=r"longer than 1\.5 s"):
            ask(python(GRANDCHILD.format(then=then)), 1.5)
    assert marked(mark) == []


def test_what_a_child_runs_ends_with_the_child(tmp_path: Path) -> None:
    """Even a child of its own, in a session of its own, when it had no time to end that itself."""
    told = tmp_path / "pid"
    inner = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"""
import os, threading, time
from aisp_prof.machine.child import ask
threading.Thread(target=ask, args=({python(inner)!r}, 60), daemon=True).start()
while not (os.path.exists({str(told)!r}) and open({str(told)!r}).read()): time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    assert run_child(python(code), Watch(tmp_path / "run.log", 20, new_mark())) == 137
    wait_for(lambda: not Path("/proc", told.read_text()).exists(), 5)


def test_the_marks_of_outer_calls_stay() -> None:
    assert child_environment("inner", {MARK: "outer"})[MARK] == "outer:inner"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_child(tmp_path: Path, number: signal.Signals) -> None:
    log, mark = tmp_path / "run.log", new_mark()
    code = GRANDCHILD.format(then="time.sleep(60)")
    driver = (
        "import sys; from pathlib import Path; from aisp_prof.machine import child\n"
        "from aisp_prof.machine.child import Watch, run_child; child.GRACE_S = 0.3\n"
        f"run_child([sys.executable, '-c', {code!r}], Watch(Path({str(log)!r}), 60, {mark!r}))"
    )
    process = subprocess.Popen(python(driver), env=child_environment("driver"), stderr=subprocess.DEVNULL)
    wait_for(lambda: log.exists() and b"started" in log.read_bytes())
    process.send_signal(number)
    assert process.wait(15) != 0
    assert marked(mark) == []


def wait_for(condition: object, limit_s: float = 20) -> None:
    assert callable(condition)
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_environment_is_an_allow_list() -> None:
    given = {"PATH": "/bin", "NCCL_DEBUG": "INFO", "API_TOKEN": "x", "PYTHONPATH": "/mine", "LD_PRELOAD": "y"}
    environment = child_environment("m", given)
    assert set(environment) == {
        *("PATH", "NCCL_DEBUG", "PYTHONPATH"),
        *("PYTHONSAFEPATH", "CUDA_DEVICE_ORDER", "AISP_CHILD"),
    }
    checkout, mine = environment["PYTHONPATH"].split(os.pathsep)
    assert Path(checkout).name == ".pythonpath"
    assert mine == "/mine"


def test_a_command_that_does_not_exist(watch: Watch) -> None:
    with pytest.raises(EnvironmentLacks, match="cannot be started"):
        run_child(["/nowhere/at-all"], watch)


def test_tail_is_bounded_and_starts_with_a_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d \xff\n" % n for n in range(1000)))
    text = tail(log, 100)
    assert len(text) <= 110
    assert text.startswith("line 99")
    assert text.endswith("line 999 \ufffd")
    log.write_bytes(b"first\n[10%]\r[90%]\rdone\r\nlast\n")
    assert tail(log).split() == ["first", "done", "last"]
