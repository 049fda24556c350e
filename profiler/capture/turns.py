"""Run commands one after the other and write down when each ran. Under nsys all of them are one session, on one clock.

A program of its own: it is started by its file, and imports nothing of this package, so that what it runs is given the user's
environment as it is. `turns.py PLAN.json RECORD.json`: the plan is a list of [variant, command], the record one of [variant, began,
ended, exit code], in ns since 1970. It stops at the first command that fails.
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - it is run by itself, and ends with the child that nsys is
import sys
import time
from pathlib import Path


def main(plan: Path, record: Path) -> int:
    """The exit code of the first command that fails, as a shell tells it; 0 where all are done."""
    ran = []
    for variant, command in json.loads(plan.read_text("utf-8")):
        began = time.time_ns()
        try:
            code = subprocess.call(command)
        except OSError as error:
            sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
            code = 127
        ran.append([variant, began, time.time_ns(), code if code >= 0 else 128 - code])
        part = record.with_suffix(".part")  # whoever ends this process by its time limit reads what is there
        part.write_text(json.dumps(ran), "utf-8")
        part.replace(record)
        if code:
            return int(ran[-1][3])
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
