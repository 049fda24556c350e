"""`aisp-prof doctor`: what this machine has and lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from .options import AsJson

if TYPE_CHECKING:
    from ..profiler.capture.doctor import Ability, Check


def doctor(as_json: AsJson = False) -> None:
    """Say what can be done on this machine, what it has and lacks, what each thing is for, and how to get it."""
    from ..profiler.capture.doctor import abilities, diagnose
    from ..reports.terminal.answers import print_data

    checks = diagnose()
    able = abilities(checks)
    data = {"can": [one.to_json() for one in able], "rows": [check.to_json() for check in checks]}
    print_data(data, as_json, [*_able_lines(able), "", *_check_lines(checks)])


def _able_lines(able: Sequence[Ability]) -> list[str]:
    lines = ["On this machine one can:"]
    for one in able:
        if one.lacks:
            lines.append(f"✗ not {one.what}: that needs {', '.join(one.lacks)}")
        else:
            lines.append(f"✓ {one.what}  ({one.command})")
    return lines


def _check_lines(checks: Sequence[Check]) -> list[str]:
    from ..profiler.capture.doctor import OPTIONAL

    marks = {"ok": "✓", "limited": "~", "missing": "✗"}
    lines = []
    for check in checks:
        optional = "; optional" if check.name in OPTIONAL else ""
        lines.append(
            f"{marks[check.status]} {check.name:<18} {check.found or 'not found'}  ({check.purpose}{optional})"
        )
        lines += [f"  → {check.mend}"] if check.mend else []
    return lines


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(doctor)
