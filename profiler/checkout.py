"""Which commit of aisp-prof runs, when it runs from a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any


def checkout_commit() -> dict[str, Any] | None:
    """{"sha", "dirty"} of the aisp-prof checkout that runs, None when it is an installed package or git is missing."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    sha, status = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    return None if sha is None or status is None else {"sha": sha, "dirty": bool(status)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
