"""A test marked `nsys`: what its marker asks for, checked before anything runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pytest

from ..errors import UsageError
from ..profiler.assertions.check import Question
from ..profiler.assertions.claims_file import UNNAMED
from ..workloads.annotate import FORBIDDEN

FIXTURE = "captured"


@dataclass(frozen=True, slots=True)
class Asked:
    """The marker's arguments.

    range, ranges  whose instances are the iterations, as `--range` of `aisp-prof assert`; else the test's own range
    ceilings       what `aisp-prof calibrate -o` measured on this GPU, relative to the test's file, for `ceiling(…)`
    communication  regular expressions of kernels that count as communication, besides the known ones
    iterations     how often the body runs, each in a range of the test's name; `warmup` so often before, outside of it
    timeout        seconds that the child may take
    env            names of environment variables that the child needs; it gets only a short list, since a trace stores them
    options        further options of the child's pytest
    """

    claims: tuple[str, ...] = ()
    range: str | None = None
    ranges: Mapping[str, str] = field(default_factory=dict)
    domain: str | None = None
    attribution: str = "thread"
    ceilings: str = ""
    communication: tuple[str, ...] = ()
    iterations: int = 1
    warmup: int = 0
    timeout: float = 600.0
    env: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Marked:
    """A marked test; `by_hand` means that it takes the fixture `captured`, and itself calls what is to be captured."""

    item: pytest.Function
    asked: Asked
    by_hand: bool

    @property
    def arguments(self) -> dict[str, object]:
        """What the test function is called with."""
        wanted = inspect.signature(self.item.obj).parameters
        return {name: value for name, value in self.item.funcargs.items() if name in wanted}

    @property
    def range_name(self) -> str:
        """The NVTX range around the body: the test's name, without characters that no tool can select."""
        return "".join("_" if char in FORBIDDEN else char for char in self.item.name)

    @property
    def question(self) -> Question:
        asked = self.asked
        single = {} if asked.range is None else {UNNAMED: asked.range}
        ranges = {**asked.ranges, **single} or {UNNAMED: self.range_name}
        ceilings = self.item.path.parent / asked.ceilings if asked.ceilings else None
        return Question(asked.claims, ranges, asked.domain, asked.attribution, ceilings, asked.communication)

    @property
    def file_name(self) -> str:
        """A file's name for this test: nsys expands `%`, and shells and artifact stores have traps of their own."""
        return re.sub(r"[^\w.-]+", "_", self.item.nodeid)[-160:]


def read_marker(item: pytest.Item, marker: pytest.Mark) -> Marked:
    """What a marker asks for; a mistake in it fails the test, even on machines without a GPU."""
    if not isinstance(item, pytest.Function) or inspect.iscoroutinefunction(item.obj) or _of_unittest(item):
        pytest.fail("the marker nsys is for plain test functions and methods", pytrace=False)
    try:
        marked = Marked(item, _asked(marker), FIXTURE in item.fixturenames)
        if marked.asked.claims:
            marked.question.parsed()
    except UsageError as error:
        pytest.fail(said(error), pytrace=False)
    return marked


def said(error: UsageError) -> str:
    """A user's mistake with its mend, as the command line prints it."""
    return f"{error}\n  → {error.mend}" if error.mend else str(error)


def _of_unittest(item: pytest.Function) -> bool:
    return any(base.__module__ == "unittest.case" for base in getattr(item.cls, "__mro__", ()))


def _asked(marker: pytest.Mark) -> Asked:
    known = {f.name for f in fields(Asked)}
    if unknown := set(marker.kwargs) - known:
        raise UsageError(f"the marker nsys takes no {', '.join(sorted(unknown))}", f"there are: {', '.join(known)}")
    values: dict[str, Any] = {**marker.kwargs}
    for name in ("claims", "communication", "env", "options"):
        values[name] = _texts(name, values.get(name, ()))
    values["claims"] = (*_texts("claims", marker.args), *values["claims"])
    asked = Asked(**values)
    if not (_whole(asked.iterations, 1) and _whole(asked.warmup, 0)):
        raise UsageError("iterations and warmup of the marker nsys are numbers, of at least 1 and 0")
    return asked


def _texts(name: str, value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{name} of the marker nsys are texts, not {value!r}")
    return texts


def _whole(number: Any, least: int) -> bool:
    return isinstance(number, int) and number >= least
