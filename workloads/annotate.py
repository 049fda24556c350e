"""NVTX ranges in the domain `aisp`, by the naming rules that keep them selectable by nsys and ncu alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from ..errors import EnvironmentLacks

DOMAIN = "aisp"
FORBIDDEN = frozenset("/[]+*,@")
"""Quantifiers of ncu's `--nvtx-include`; a name that holds one cannot be selected."""

Category = Literal["setup", "warmup", "measure", "iter", "stage", "verify"]


class Domain(Protocol):
    """The part of `nvtx.Domain` that is used; without a tool attached, nvtx hands out one that does nothing."""

    def get_event_attributes(
        self, message: str | None = ..., color: str | None = ..., category: str | None = ..., payload: int | None = ...
    ) -> Any: ...
    def push_range(self, attributes: Any) -> None: ...
    def pop_range(self) -> None: ...
    def start_range(self, attributes: Any) -> int: ...
    def end_range(self, range_id: int) -> None: ...


class Notes:
    """Opens ranges on one domain. Messages are registered strings, so a tool may also filter by them."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    @contextmanager
    def range(self, name: str, category: Category, payload: int | None = None) -> Iterator[None]:
        """A push/pop range of the calling thread."""
        self._domain.push_range(self._attributes(name, category, payload))
        try:
            yield
        finally:
            self._domain.pop_range()

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A start/end range of the process: launches of other threads count into it too."""
        opened = self._domain.start_range(self._attributes(name, "measure", None))
        try:
            yield
        finally:
            self._domain.end_range(opened)

    def _attributes(self, name: str, category: Category, payload: int | None) -> Any:
        if FORBIDDEN & set(name):
            raise ValueError(f"NVTX range name {name!r} holds one of {''.join(sorted(FORBIDDEN))}")
        return self._domain.get_event_attributes(name, None, category, payload)


def open_notes() -> Notes:
    """Notes on the real domain `aisp`.

    Raises:
        EnvironmentLacks: the nvtx package is not installed.
    """
    try:
        import nvtx
    except ImportError as error:
        raise EnvironmentLacks("the Python package nvtx is not installed", "pip install 'aisp-prof[gpu]'") from error
    return Notes(nvtx.get_domain(DOMAIN))
