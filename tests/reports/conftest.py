"""The sample evidence for every test of the reports; tests/ is no package, so it is loaded by its path."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence
from shared import fonts_unpacked_once, streams_parsed_once


@pytest.fixture(scope="session", autouse=True)
def _once() -> Iterator[None]:
    with fonts_unpacked_once(), streams_parsed_once():
        yield


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """The module tests/reports/sample.py."""
    name = "aisp_prof_tests_reports_sample"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("sample.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def evidence(samples: ModuleType) -> Evidence:
    """The proven pair."""
    made: Evidence = samples.sample()
    return made
