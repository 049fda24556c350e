"""Run a program that measures a pair over one of its sizes, in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ...errors import AispError, EnvironmentLacks
from ...machine.child import Watch, new_mark, run_child, tail
from .calibrate import Program


def sweep(program: Program, progress: Callable[[str], None]) -> bytes:
    """What the program recorded, as JSON.

    Raises:
        EnvironmentLacks: no GPU, no PyTorch, or it lacks what the pair needs.
        AispError: the program failed or ran too long.
    """
    with tempfile.TemporaryDirectory(prefix="aisp-sweep-") as folder:
        record, watch = Path(folder) / "sweep.json", Watch(Path(folder) / "run.log", program.timeout_s, new_mark())
        progress("measuring every size, each checked against fp64 first")
        code = run_child(program.command(record), watch)
        if code == EnvironmentLacks.exit_code:
            raise EnvironmentLacks(tail(watch.log, 1000), "aisp-prof doctor")
        if code or not record.is_file():
            raise AispError(f"the sweep failed with exit code {code}; its last output:\n{tail(watch.log)}")
        return record.read_bytes()
