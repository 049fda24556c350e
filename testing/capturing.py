"""A marked test, captured: run again in a child pytest under nsys, its trace exported and its claims judged."""

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
from ..profiler.capture.nsys import export, find_nsys, profile_failure
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
    nsys = find_nsys()
    report, trace, outcome, log = (
        folder / f"{marked.file_name}{end}" for end in (".nsys-rep", ".sqlite", ".json", ".log")
    )
    for left in (report, trace, outcome, log):
        left.unlink(missing_ok=True)
    watch = Watch(log, marked.asked.timeout, new_mark())
    code = run_child(nsys.profile_command(report, _child(marked, outcome)), watch)
    ran = _outcome(outcome)
    if not report.is_file():  # checked second: a failed test explains more than nsys without a report
        raise profile_failure(nsys, report, code, tail(log))
    if not ran:
        raise AispError(f"the test did not run under nsys; the output ends:\n{tail(log)}")
    export(nsys, report, trace, watch)
    if not marked.item.config.option.nsys_traces:
        report.unlink()
    return trace


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


def _outcome(outcome: Path) -> bool:
    """Whether the body ran to its end; where the child failed or skipped, this test does so."""
    __tracebackhide__ = True
    reports = json.loads(outcome.read_text("utf-8")) if outcome.is_file() else []
    for report in reports:
        if report["outcome"] == "failed":
            pytest.fail(f"under nsys, in its {report['when']}:\n{report['text']}", pytrace=False)
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
