"""Report progress on stderr: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..hostile import printable


@contextmanager
def steps(*, watched: bool = False) -> Iterator[Callable[[str], None]]:
    """Yields a function to call with one sentence at the start of each step; on a terminal the elapsed time is shown.

    `watched`: nothing where nobody watches, as of work that leaves no doubt in a log that it went on.
    """
    if not sys.stderr.isatty():
        yield (lambda step: None) if watched else (lambda step: print(printable(step), file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        task = None

        def begin(step: str) -> None:
            nonlocal task
            if task is not None:
                progress.update(task, total=1, completed=1)
            task = progress.add_task(printable(step), total=None)

        yield begin
        if task is not None:
            progress.update(task, total=1, completed=1)
