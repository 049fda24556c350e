"""Which commit of aisp-prof runs, when it runs from a checkout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...errors import AispError
from ...machine.child import ask
from ...machine.tools import ANSWER_S


def checkout_commit() -> dict[str, Any] | None:
    """{"sha", "dirty"} of the aisp-prof checkout that runs, None when it is an installed package or git is missing.

    A copy of a checkout without its .git says its commit by the environment variable AISP_COMMIT.
    """
    if stated := os.environ.get("AISP_COMMIT"):
        return {"sha": stated.removesuffix("+dirty"), "dirty": stated.endswith("+dirty")}
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    sha, status = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    return None if sha is None or status is None else {"sha": sha, "dirty": bool(status)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = ask(["git", "-C", str(root), *arguments], ANSWER_S)
    except AispError:
        return None
    return answer.out.strip() if answer.code == 0 else None
