"""Inside the child that nsys traces: runs the body in its NVTX range, and reports the outcome to the waiting test."""

from __future__ import annotations

import contextlib
import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ..workloads.annotate import Notes
from .marked import Marked

DOMAIN = "pytest"


class _Ended(BaseException):
    """Ends a body whose captured part is done; no `except Exception` of the body catches it."""


def run_body(marked: Marked) -> None:
    """The whole test, or the part of it that it gives to `captured`."""
    test, arguments = marked.item.obj, marked.arguments
    if not marked.by_hand:
        _run(marked, lambda: test(**arguments))
        return
    with contextlib.suppress(_Ended):
        test(**arguments)


def run_and_end(
    marked: Marked, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> NoReturn:
    """What `captured` does in the child; the rest of the test runs in the process that waits for the trace."""
    _run(marked, lambda: function(*args, **kwargs))
    raise _Ended


def _run(marked: Marked, body: Callable[[], Any]) -> None:
    import nvtx

    notes = Notes(nvtx.get_domain(DOMAIN))
    for _ in range(marked.asked.warmup):
        body()
        _synchronise()
    for number in range(marked.asked.iterations):
        with notes.range(marked.range_name, "measure", number):
            body()
        _synchronise()


def _synchronise() -> None:
    """Wait for the GPU outside the range: work still running when the process ends would be missing from the trace."""
    with contextlib.suppress(OSError):  # without a driver nothing was launched
        ctypes.CDLL("libcuda.so.1").cuCtxSynchronize()


_RUN_AGAIN = ("rerunfailures", "pytest-retry", "flaky")
"""Plugins that run a failed test again: under nsys both attempts would be iterations of one trace."""


def run_once(config: pytest.Config) -> None:
    """Disable reruns here: a test that fails here also fails in the parent, where it may be rerun with a trace of its own."""
    for name in _RUN_AGAIN:
        if config.pluginmanager.hasplugin(name):
            config.pluginmanager.unregister(name=name)


class Outcome:
    """Collects the reports of the one test of this process and writes them where the parent looks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports: list[dict[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        skipped = isinstance(report.longrepr, tuple) and report.longrepr[2]
        text = str(skipped or report.longreprtext)
        self.reports.append({"when": report.when, "outcome": report.outcome, "text": text})

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.reports), "utf-8")
