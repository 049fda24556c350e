"""The pairs that a module holds: its `PAIR`, as the chapters' modules have it, and every class that `@aisp_prof.pair` decorated."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..errors import UsageError
from .decorated import ATTRIBUTE
from .pair import Pair

MEND = "PAIR = Pair(declaration, build), or @aisp_prof.pair before a class (docs/pairs.md)"


def pairs_in(module: ModuleType, attribute: str = "") -> dict[str, Pair]:
    """Attribute -> pair, in the order of the module. A decorated class that was imported from elsewhere is not the module's own.

    Args:
        attribute: only the pair that is called so, or stands under this name, wherever it was made.

    Raises:
        UsageError: `PAIR` is no pair, or there is none of that name.
    """
    if attribute:
        return _named(module, attribute)
    found: dict[str, Pair] = {}
    for name, value in vars(module).items():
        if (pair := _own(module, value)) is not None and not any(pair is one for one in found.values()):
            found[name] = pair
    if (whole := getattr(module, "PAIR", None)) is not None:
        if not isinstance(whole, Pair):
            raise UsageError(f"PAIR of {module.__name__} is no Pair but a {type(whole).__name__}", MEND)
        found["PAIR"] = whole
    return found


def _own(module: ModuleType, value: Any) -> Pair | None:
    return _decorated(value) if isinstance(value, type) and value.__module__ == module.__name__ else None


def _decorated(value: Any) -> Pair | None:
    """The pair of a class; a class that inherits from a decorated one is none itself."""
    found = vars(value).get(ATTRIBUTE) if isinstance(value, type) else None
    return found if isinstance(found, Pair) else None


def _named(module: ModuleType, name: str) -> dict[str, Pair]:
    own = pairs_in(module)
    for attribute, pair in own.items():
        if name in (attribute, pair.declaration.name, pair.key):
            return {attribute: pair}
    value = getattr(module, name, None)
    found = value if isinstance(value, Pair) else _decorated(value)
    if found is None:
        raise UsageError(f"{module.__name__} has no pair {name!r}", f"it has {', '.join(own) or 'none'}; {MEND}")
    return {name: found}
