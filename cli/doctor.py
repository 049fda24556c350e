"""`aisp-prof doctor`: what this machine has and lacks."""

from __future__ import annotations

import typer

from .options import AsJson


def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and lacks, what each thing is for, and how to get it."""
    from ..profiler.capture.doctor import diagnose
    from ..reports.terminal.answers import print_data

    checks = diagnose()
    marks = {"ok": "✓", "limited": "~", "missing": "✗"}
    lines = []
    for check in checks:
        lines.append(f"{marks[check.status]} {check.name:<18} {check.found or 'not found'}  ({check.purpose})")
        lines += [f"  → {check.mend}"] if check.mend else []
    print_data({"rows": [check.to_json() for check in checks]}, as_json, lines)


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(doctor)
