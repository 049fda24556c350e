"""Texts that WeasyPrint measures again, measured once: for tables, flexible boxes and page numbers it breaks each many times."""

from __future__ import annotations

import gc
import inspect
import re
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import intern
from types import ModuleType
from typing import Any, Final

_NAME: Final = "split_first_line"
_TAKES: Final = ["text", "style", "context"]
_READ: Final = re.compile(r"style\['(\w+)'\]")
_open: list[dict[Hashable, Any]] = []


@contextmanager
def measured_once() -> Iterator[None]:
    """While this lasts a text is broken once for each width and style, by whatever print asks.

    Of prints inside it the style sheets and the fonts must be the same.
    """
    if _open:
        yield
        return
    _open.append({})
    try:
        yield
    finally:
        _open.clear()


@contextmanager
def one_print() -> Iterator[None]:
    """The making of one document; texts are shared with others inside the same `measured_once`.

    A text's first line depends on the text, on how it is asked for, and on the properties that WeasyPrint's `text` reads of a
    style, which are found in its source. Where it is built otherwise than is known here, it measures as often as it likes.
    There is no search for garbage meanwhile: a document is one web of objects, of which none goes before it is printed.
    """
    from weasyprint.layout import inline, preferred
    from weasyprint.text import fonts, line_break

    measure: Any = getattr(line_break, _NAME, None)
    known = measure is not None and list(inspect.signature(measure).parameters)[:3] == _TAKES
    users = [one for one in (inline, preferred) if known and getattr(one, _NAME, None) is measure]
    collects = gc.isenabled()
    gc.disable()
    try:
        with measured_once():
            for user in users:
                setattr(user, _NAME, _once(measure, _properties(line_break, fonts), _open[0]))
            yield
    finally:
        for user in users:
            setattr(user, _NAME, measure)
        if collects:
            gc.enable()


def _properties(*modules: ModuleType) -> tuple[str, ...]:
    """What these modules read of a style."""
    sources = (Path(str(one.__file__)).read_text("utf-8") for one in modules)
    return tuple(sorted({name for source in sources for name in _READ.findall(source)}))


def _once(measure: Callable[..., Any], properties: tuple[str, ...], known: dict[Hashable, Any]) -> Callable[..., Any]:
    styles: dict[int, tuple[Any, str]] = {}  # and the style itself, lest another take its number

    def measured(text: str, style: Any, context: Any, *how: Any, **named: Any) -> Any:
        if id(style) not in styles:
            styles[id(style)] = style, intern(repr([style[name] for name in properties]))
        key = (text, styles[id(style)][1], how, *named.items())
        found = known.get(key)
        if found is None:
            found = measure(text, style, context, *how, **named)
            if hasattr(found[0], "layout"):  # Pango's own, which belongs to one box
                return found
            known[key] = found
        return _another(found[0]), *found[1:]

    return measured


def _another(line: Any) -> Any:
    """The same line for another box, which draws it in its own style."""
    made = line.__class__.__new__(line.__class__)
    made.__dict__.update(line.__dict__)
    return made
