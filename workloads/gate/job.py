"""What the gate tells a child process, and what the child writes down: one line of JSON per finding."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..device import Kind
from .runners import Runner
from .task import Task

Variant = Literal["baseline", "optimized"]

LINE_BYTES = 4096
LINES = 10_000


@dataclass(frozen=True, slots=True)
class Job:
    """One phase in one child: `check` the candidate at many shapes, the same `brief`ly under a tool, or `race` it."""

    phase: Literal["check", "brief", "race"]
    task: Task
    candidate: Runner
    against: Runner
    device: Kind
    seed: int
    iterations: int
    memory_bytes: int
    results: Path

    @property
    def hosted(self) -> tuple[Variant, ...]:
        """Who gets a process of its own: a Python candidate, and in a race both or neither, so that both are timed the same way."""
        if self.phase == "race":
            return ("baseline", "optimized") if "python" in (self.candidate.kind, self.against.kind) else ()
        return ("optimized",) if self.candidate.kind == "python" else ()

    def store(self) -> Path:
        """Write it beside the results, and return where."""
        path = self.results.with_name("job")
        path.write_bytes(pickle.dumps(self))
        return path


class Results:
    """Where the child writes; every line reaches the file before the next step begins, so that a crash loses nothing."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        self._file.close()

    def write(self, **line: Any) -> None:
        self._file.write(json.dumps(line) + "\n")

    def step(self, words: str) -> None:
        """Announce the next step: if nothing follows, the child died in it."""
        self.write(step=words)

    def own(self) -> None:
        """From here to the next step the time is the gate's own."""
        self.write(own=True)

    def check(self, name: str, words: str, passed: bool) -> None:
        self.write(check=name, words=words, passed=passed)


def read_results(path: Path) -> list[dict[str, Any]]:
    """What a child wrote, as far as it consists of whole lines of JSON objects; the rest is dropped."""
    lines: list[dict[str, Any]] = []
    if not path.is_file():
        return lines
    with path.open("rb") as file:
        while len(lines) < LINES and (line := file.readline(LINE_BYTES)):
            try:
                one = json.loads(line)
            except ValueError:
                break  # the child was ended while writing
            if isinstance(one, dict):
                lines.append(one)
    return lines
