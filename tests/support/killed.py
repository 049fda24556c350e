"""A process that dies by SIGKILL at the Nth call that changes anything on the disk: a moment that no sleep would hit."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
PATHS = TESTS.parent / ".pythonpath", TESTS / "support"
"""What a process must find to import this module."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def die_at(number: int) -> None:
    """Let this process die at its `number`th change of the disk from now on."""
    left = number

    def dying(function: Callable[..., Any], counts: Callable[..., bool] = lambda *_, **__: True) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= counts(*arguments, **named)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return counted

    for name in ("rename", "replace", "mkdir", "unlink", "rmdir", "fsync", "link"):
        setattr(os, name, dying(getattr(os, name)))
    os.open = dying(os.open, lambda path, flags, *_, **__: bool(flags & WRITES))
    io.open = dying(io.open, lambda file, mode="r", *_, **__: mode[0] in "wax" or "+" in mode)
    fcntl.flock = dying(fcntl.flock)


def serve(imports: str, body: str) -> None:
    """For every line of stdin run `body` in a child that dies at so many changes of the disk, or where the line has a point
    after so many seconds, and print its exit code."""
    space: dict[str, Any] = {}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what `body` and its children print is not taken for an answer
    exec(imports, space)  # noqa: S102 - the test's own code
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            if "." not in line:
                die_at(int(line))
            exec(body, space)  # noqa: S102 - the test's own code
            os._exit(0)
        if "." in line:
            time.sleep(float(line))
            os.kill(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


@contextmanager
def killed(imports: str, body: str, *arguments: object, **environment: object) -> Iterator[Callable[[float], int]]:
    """`at(number)` runs `body`, which finds `arguments` in sys.argv, up to that change of the disk: -9, or 0 if it ended.
    A float is the seconds after which it is killed, wherever it is then.

    Every run is a fork of one process that has imported all of `imports`: a tenth of a second rather than two.
    """
    code = "import sys; from killed import serve; serve(sys.argv.pop(1), sys.argv.pop(1))"
    paths = os.pathsep.join(filter(None, (*map(str, PATHS), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-c", code, imports, body, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths, **{name: str(value) for name, value in environment.items()}},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines, answers = process.stdin, process.stdout

    def at(number: float) -> int:
        print(number, file=lines, flush=True)
        return int(answers.readline())

    with process:
        try:
            yield at
        finally:
            lines.close()


def every(at: Callable[[float], int], step: int = 1) -> Iterator[int]:
    """Kill at every `step`th change of the disk until there is none left: the exit code each time, the last one 0."""
    for number in range(1, 100_000, step):
        code = at(number)
        assert code in (0, -signal.SIGKILL), code
        yield code
        if code == 0:
            return
