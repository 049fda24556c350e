"""Finds demos: every module of this folder that has a `DEMO` is one."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from ...errors import UsageError
from .. import demos as folder
from .demo import Demo


def demos() -> tuple[Demo, ...]:
    """All demos by name. Imports their modules, none of which imports torch."""
    names = sorted(info.name for info in pkgutil.iter_modules(folder.__path__))
    modules = [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
    declared = [demo for module in modules if isinstance(demo := getattr(module, "DEMO", None), Demo)]
    return tuple(sorted(declared, key=lambda demo: demo.name))


def find(name: str) -> Demo:
    """The demo of this name.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    known = {demo.name: demo for demo in demos()}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.4)
        mend = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise UsageError(f"no demo is called {name!r}", mend)
    return known[name]
