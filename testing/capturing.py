"""A marked test, captured: run again in a child pytest under a tracer, its trace exported and its claims judged."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..errors import AispError, UsageError
from ..machine.child import Watch, new_mark, run_child, tail
from ..profiler.capture.tracers import find_tracer
from .claims import TraceClaims, opened
from .marked import Marked, said
from .plugin import CHILD_OPTION

LOCK = ".one-at-a-time"


def captured_claims(marked: Marked, folder: Path) -> TraceClaims:
    """Capture the test and judge the claims of its marker; if the child failed or skipped, so does this test.

    The trace is left in `folder`.
    """
    __tracebackhide__ = True
    try:
        with _alone(marked, folder):
            trace = _trace(marked, folder)
    except UsageError as error:
        pytest.fail(said(error), pytrace=False)
    except AispError as error:
        pytest.fail(f"not captured: {error}" + (f"\n  → {error.mend}" if error.mend else ""), pytrace=False)
    claims = opened(marked.item, trace, marked.asked.communication, marked.question)
    if marked.asked.claims:
        claims.check_all(marked.question)
    return claims


def _trace(marked: Marked, folder: Path) -> Path:
    __tracebackhide__ = True
    tracer = find_tracer(marked.item.config.option.nsys_tracer)
    trace, outcome, log = (folder / f"{marked.file_name}{end}" for end in (".sqlite", ".json", ".log"))
    report = folder / f"{marked.file_name}{tracer.report(folder).suffix or '.recorded'}"
    for left in (report, trace, outcome, log):
        _remove(left)
    watch = Watch(log, marked.asked.timeout, new_mark())
    code = run_child(tracer.command(report, _child(marked, outcome)), watch)
    ran = _outcome(outcome, tracer.title)
    if failure := tracer.failure(
        report, code, tail(log)
    ):  # second: a failed test explains more than nsys without a report
        raise failure
    if not ran:
        raise AispError(f"the test did not run under {tracer.title}; the output ends:\n{tail(log)}")
    tracer.export(report, trace, watch)
    if not marked.item.config.option.nsys_traces:
        _remove(report)
    return trace


def _remove(left: Path) -> None:
    """A file, or the folder that the package's own tracer leaves."""
    if left.is_dir():
        shutil.rmtree(left)
    left.unlink(missing_ok=True)


def _child(marked: Marked, outcome: Path) -> list[str]:
    """Run pytest again for this test alone, with this session's import mode and ini file.

    The test is named by its classes and its own name, not by its node id: xdist's `--dist loadgroup` adds the group to that.
    """
    item, config = marked.item, marked.item.config
    inside = [node.name for node in item.listchain() if isinstance(node, pytest.Class | pytest.Function)]
    passed = [f"{name}={os.environ[name]}" for name in marked.asked.env if name in os.environ]
    imports = os.pathsep.join(path for path in sys.path if path)
    environment = [shutil.which("env") or "/usr/bin/env", f"PYTHONPATH={imports}", *passed]
    options = ["-q", "-p", __package__ + ".plugin", CHILD_OPTION, str(outcome), "--runxfail"]
    options += ["-o", f"cache_dir={outcome.parent / 'cache'}"]  # the cache of what failed last is this session's alone
    options += ["--rootdir", str(config.rootpath), *(["-c", str(config.inipath)] if config.inipath else [])]
    options += ["-n0"] if config.pluginmanager.hasplugin("xdist") else []
    options += ["--no-cov"] if config.pluginmanager.hasplugin("pytest_cov") else []
    if config.pluginmanager.hasplugin("repeat") and config.option.count > 1:  # or the child would have no test[1-3]
        options += ["--count", str(config.option.count), "--repeat-scope", config.option.repeat_scope]
    options += ["--junitxml="] if config.pluginmanager.hasplugin("junitxml") else []
    options += marked.asked.options
    return [*environment, sys.executable, "-m", "pytest", *options, "::".join([str(item.path), *inside])]


def _outcome(outcome: Path, tracer: str) -> bool:
    """Whether the body ran to its end; where the child failed or skipped, this test does so."""
    __tracebackhide__ = True
    reports = json.loads(outcome.read_text("utf-8")) if outcome.is_file() else []
    for report in reports:
        if report["outcome"] == "failed":
            pytest.fail(f"under {tracer}, in its {report['when']}:\n{report['text']}", pytrace=False)
    for report in reports:
        if report["outcome"] == "skipped":
            raise pytest.skip.Exception(report["text"], _use_item_location=True)
    return "call" in [report["when"] for report in reports]


@contextmanager
def _alone(marked: Marked, folder: Path) -> Iterator[None]:
    """One capture at a time: parallel workers (pytest-xdist) would disturb each other's traces and times."""
    own = "PYTEST_XDIST_WORKER" in os.environ and not marked.item.config.option.nsys_traces
    with ((folder.parent.parent if own else folder) / LOCK).open("a") as lock:  # the parent of all workers' folders
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
