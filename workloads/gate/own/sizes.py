"""Expressions over sizes, as in `shape = ["m", "2 * k"]` and `grid = ["cdiv(n, 64)"]`: integers, names, + - * // and cdiv, min, max."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from ....errors import UsageError

MOST_CHARACTERS = 200
MOST = 2**40

_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}
_FUNCTIONS: Mapping[str, Callable[[int, int], int]] = {"cdiv": lambda a, b: -(-a // b), "min": min, "max": max}


def evaluate(expression: int | str, sizes: Mapping[str, int], where: str) -> int:
    """Its value, from 0 to `MOST`; `where` begins the messages.

    Raises:
        UsageError: it is no such expression, names an unknown size, or has no such value.
    """
    value = expression if isinstance(expression, int) else _of_text(expression, sizes, where)
    if not 0 <= value <= MOST:
        raise UsageError(f"{where}: {expression!r} is {value}", f"from 0 to {MOST}")
    return value


def _of_text(text: str, sizes: Mapping[str, int], where: str) -> int:
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"more than {MOST_CHARACTERS} characters")
        return _value(ast.parse(text.strip(), mode="eval").body, sizes)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        names = ", ".join(sizes)
        mend = f"numbers, + - * //, cdiv(a, b), min(a, b), max(a, b), and the sizes: {names}"
        raise UsageError(f"{where}: {text[:80]!r} has no value: {reason}", mend) from error


def _value(node: ast.expr, sizes: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name) if name in sizes:
            return sizes[name]
        case ast.Name(id=name):
            raise ValueError(f"no size is called {name}")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left, sizes), _value(right, sizes)))
        case ast.Call(func=ast.Name(id=name), args=[left, right], keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](_value(left, sizes), _value(right, sizes)))
    raise ValueError(f"{ast.unparse(node)[:40]!r} is not understood")


def _bounded(value: int) -> int:
    if abs(value) > MOST:
        raise ValueError(f"it is beyond {MOST}")
    return value
