"""The exceptions that aisp-prof raises on purpose, each with its exit code.

    AispError                 3   something the user can mend; never a bug: no room, no permission, a tool that fails
    ├── UsageError            2   an argument, a name or a file is not what it should be
    │   └── TraceError        2   a file is no trace, or a trace that cannot be read
    ├── EnvironmentLacks      3   no GPU, no nsys, no Pango: says what and how to get it
    └── CannotTell            4   there is no evidence to judge: no capture, an empty one

Exit codes that are verdicts come without an exception: 0 proven, met or done; 1 refuted, invalid or regressed; 4 the evidence
cannot tell; 5 `expect check` of a pair that nothing is expected of (unqualified), which is never a pass.

No exception has 1: a build that reads it as "refuted" would take a full disk for a regression.

A message says what, where (file, table, row) and, in `mend`, what to do, as a command where there is one.
Bugs raise Python's own exceptions, are shown as tracebacks and end with `BUG`, which is no verdict either.
"""

from __future__ import annotations

BUG = 70
"""The exit code of a bug: EX_SOFTWARE of sysexits.h. Python's own, 1, would say that a claim is refuted."""


class AispError(Exception):
    """Base of all: `str(error)` is the message, `mend` the way out ("" when there is none), `exit_code` for the shell."""

    exit_code = 3
    answered = False
    """Whether the command has printed its answer nevertheless; else `--json` prints the error in its place."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class UsageError(AispError):
    """What was asked for does not exist or does not fit."""

    exit_code = 2


class TraceError(UsageError):
    """A file is not a readable Nsight Systems export."""


class EnvironmentLacks(AispError):
    """The machine lacks something that the command needs."""

    exit_code = 3


class CannotTell(AispError):
    """There is no evidence at all to judge by."""

    exit_code = 4
