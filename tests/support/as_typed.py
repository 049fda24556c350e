"""`aisp-prof …` as a user types it: in this process, which costs no interpreter and no imports, or in one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
from aisp_prof import cli

PACKAGE = Path(__file__).parents[2] / ".pythonpath"
Ended = subprocess.CompletedProcess[str]


def aisp(*words: object, cwd: Path, **environment: str) -> Ended:
    """The command's own `main` in this process, in the folder `cwd`; what it leaves in the environment is put back."""
    arguments = ["aisp-prof", *map(str, words)]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        chdir(cwd),
        patch.dict(os.environ, _environment(environment), clear=True),
        patch.object(sys, "argv", arguments),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    said = [stream.buffer.getvalue().decode("utf-8") for stream in (out, err)]  # type: ignore[attr-defined]
    return Ended(arguments, int(ended.value.code or 0), *said)


def aisp_alone(*words: object, cwd: Path, **environment: str) -> Ended:
    """A process of its own: for tests of what is imported, of the interpreter, or of the whole way once."""
    path = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-P", "-m", "aisp_prof", *map(str, words)],
        cwd=cwd,
        env=_environment({"PYTHONPATH": path, **environment}),
        capture_output=True,
        text=True,
        check=False,
    )


def _environment(more: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("AISP_CAPTURES", "AISP_NSYS")}
    return {**inherited, "COLUMNS": "100", **more}
