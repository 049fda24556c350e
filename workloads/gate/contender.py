"""A contender as the judge sees it: it is shown memory, then runs on it, in this process or in one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from .cases import Case
    from .task import Run


class Contender(Protocol):
    """`Local`, or `hosted.Hosted`."""

    def show(self, case: Case, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Name the memory of the next runs; its contents do not count yet."""
        ...

    def run(self) -> None:
        """Run once on the memory that was shown."""
        ...

    def forget(self) -> None:
        """Release all memory that was shown: it is about to be freed."""
        ...


class Local:
    """A runner in this process: one that the gate trusts, or whose own code runs only on the GPU."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def show(self, case: Case, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self._case, self._inputs, self._outputs = case, inputs, outputs

    def run(self) -> None:
        """Enqueues the work on the current stream."""
        self._run(self._case, self._inputs, self._outputs)

    def forget(self) -> None:
        del self._inputs, self._outputs
