"""The plugin as pytest sees it: hooks, fixtures and options; the work is done by its neighbours, imported when needed.

Every pytest session in the environment loads it, even with a pytest that is too old: then only the tests that use it
fail, saying so, and all others run as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from .claims import TraceClaims
    from .marked import Marked

MARKER = "nsys"
CHILD_OPTION = "--nsys-outcome"
TOO_OLD = "" if hasattr(pytest, "StashKey") else f"aisp-prof needs pytest 7.0, this is {pytest.__version__}"
_FOLDER = "_nsys_folder"
if not TOO_OLD:
    _CAPTURED: pytest.StashKey[bool] = pytest.StashKey()
    _MARKED: pytest.StashKey[Marked] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("aisp-prof", "claims on Nsight Systems traces")
    group.addoption("--nsys-traces", metavar="DIR", help="keep the traces of tests marked nsys in this folder")
    group.addoption(
        "--nsys-required", action="store_true", help="tests marked nsys fail, not skip, where nsys or a GPU is missing"
    )
    group.addoption(
        "--nsys-tracer",
        default="auto",
        choices=("auto", "nsys", "cupti"),
        help="what records tests marked nsys: Nsight Systems; aisp-prof's own tracer; or auto, which takes Nsight Systems where it is",
    )
    group.addoption(CHILD_OPTION, dest="nsys_outcome", metavar="FILE", help="for the plugin itself: this is the child")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "nsys(*claims, claims=(), range=None, ranges={}, domain=None, attribution='thread', communication=(), "
        "iterations=1, warmup=0, timeout=600, env=(), options=()): run the test's body under a tracer and judge claims on its trace.",
    )
    if TOO_OLD:
        return
    from .summary import Summary

    config.pluginmanager.register(Summary(), "aisp-prof-summary")
    if config.option.nsys_outcome:
        from .child import Outcome, run_once

        config.pluginmanager.register(Outcome(Path(config.option.nsys_outcome)), "aisp-prof-child")
        run_once(config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: is the marker right, can this machine capture, and does the body run in this process?"""
    from .summary import forget

    forget(item)
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return
    _check_version()
    from .marked import read_marker

    marked = item.stash[_MARKED] = read_marker(item, marker)
    if item.config.option.nsys_outcome:
        return
    from .machine import lacking

    if reason := lacking(item.config.option.nsys_tracer):
        if item.config.option.nsys_required:
            pytest.fail(f"not captured: {reason}", pytrace=False)
        raise pytest.skip.Exception(f"not captured: {reason}", _use_item_location=True)
    if not marked.by_hand:  # only the child runs the body, and its fixtures
        marked.item.fixturenames = [_FOLDER]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    __tracebackhide__ = True
    marked = None if TOO_OLD else pyfuncitem.stash.get(_MARKED, None)
    if marked is None:
        return None
    if pyfuncitem.config.option.nsys_outcome:
        from .child import run_body

        run_body(marked)
        return True
    if not marked.by_hand:
        from .capturing import captured_claims

        captured_claims(marked, cast(Path, pyfuncitem.funcargs[_FOLDER]))
        return True
    pyfuncitem.obj(**marked.arguments)
    if not pyfuncitem.stash.get(_CAPTURED, False):
        pytest.fail("the test takes the fixture captured and never calls it", pytrace=False)
    return True


def _check_version() -> None:
    if TOO_OLD:
        pytest.fail(f"{TOO_OLD}: pip install --upgrade 'pytest>=7.0'", pytrace=False)


@pytest.fixture(scope="session", name=_FOLDER)
def _folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where traces of marked tests go."""
    kept = request.config.option.nsys_traces
    folder = Path(kept) if kept else tmp_path_factory.getbasetemp() / "nsys"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


@pytest.fixture
def trace(request: pytest.FixtureRequest) -> Callable[..., TraceClaims]:
    """`trace("run.sqlite").check("hidden(copy) >= 0.8", range="step*")`: claims on an export beside the test's file."""
    _check_version()
    from .claims import opened

    return lambda path, communication=(): opened(request.node, Path(path), communication)


@pytest.fixture
def captured(request: pytest.FixtureRequest) -> Callable[..., TraceClaims]:
    """`captured(step, batch)`: run it under nsys, in a child of this test marked `nsys`, and give its trace."""
    _check_version()
    marked = request.node.stash.get(_MARKED, None)
    if marked is None:
        pytest.fail("the fixture captured needs a test marked nsys: @pytest.mark.nsys", pytrace=False)
    if request.config.option.nsys_outcome:
        from .child import run_and_end

        return lambda function, *args, **kwargs: run_and_end(marked, function, args, kwargs)
    folder: Path = request.getfixturevalue(_FOLDER)

    def capture(function: Callable[..., Any], *args: Any, **kwargs: Any) -> TraceClaims:
        from .capturing import captured_claims

        __tracebackhide__ = True
        request.node.stash[_CAPTURED] = True
        return captured_claims(marked, folder)

    return capture
