"""Chooses among candidates by the times that it is told: tries all, keeps the best, and notices when that has changed."""

from __future__ import annotations

from collections import deque
from itertools import cycle
from statistics import median

PROBES = 3
"""Times of each candidate before the first choice; of three, the median bears one that was slow by accident."""

WINDOW = 5
"""Times of a candidate that its estimate, their median, looks back on."""

MARGIN = 0.05
"""A candidate replaces the chosen one only if its estimate is lower by this share: equals do not alternate."""

CHANGE, PATIENCE = 0.25, 3
"""After `PATIENCE` times in a row that are off the estimate by more than `CHANGE`, all that was learnt is forgotten."""

REFRESH, CONTENDERS = 32, 0.25
"""Every `REFRESH`-th time one of the others is tried again, in turn, if its estimate is within `CONTENDERS` of the best."""


class Controller:
    """A choice among `candidates` (their indices) for one kind of work.

    `choose` and `observe` alternate: what was chosen is done, and its time told. Nothing is known beforehand about any
    candidate. Trying each costs `PROBES` times; afterwards the loss is what `MARGIN` leaves and what the rare trials of
    contenders cost. A candidate far behind is not tried again until a change makes the controller start anew.
    """

    def __init__(self, candidates: int) -> None:
        if candidates < 1:
            raise ValueError("there must be a candidate")
        self._count = candidates
        self._others = cycle(range(candidates))
        self._chosen: int | None = None
        self._start()

    @property
    def learning(self) -> bool:
        """Whether some candidate has not been tried often enough yet."""
        return self._chosen is None

    @property
    def chosen(self) -> int | None:
        """What is held for the best; None while learning."""
        return self._chosen

    def choose(self) -> int:
        """The candidate to use next."""
        if self._chosen is None:
            return min(range(self._count), key=lambda i: len(self._times[i]))
        if self._since and self._since % REFRESH == 0:
            return self._contender(self._chosen)
        return self._chosen

    def observe(self, candidate: int, ns: int) -> None:
        """`candidate` has taken `ns`."""
        if self._chosen is None:
            self._times[candidate].append(ns)
            if all(len(times) >= PROBES for times in self._times):
                self._chosen = self._best()
            return
        self._since += 1
        if candidate == self._chosen and self._off(ns, self._estimate(candidate)):
            return
        self._times[candidate].append(ns)
        best = self._best()
        if self._estimate(best) < (1 - MARGIN) * self._estimate(self._chosen):
            self._chosen, self._strikes = best, 0

    def _start(self) -> None:
        self._chosen, self._since, self._strikes = None, 0, 0
        self._times: list[deque[int]] = [deque(maxlen=WINDOW) for _ in range(self._count)]

    def _off(self, ns: int, expected: float) -> bool:
        """Whether the chosen one's time belies its estimate; the `PATIENCE`-th in a row starts the learning anew."""
        if abs(ns - expected) <= CHANGE * expected:
            self._strikes = 0
            return False
        self._strikes += 1
        if self._strikes == PATIENCE:
            self._start()
        return True

    def _contender(self, chosen: int) -> int:
        near = (1 + CONTENDERS) * self._estimate(chosen)
        for _ in range(self._count):
            other = next(self._others)
            if other != chosen and self._estimate(other) <= near:
                return other
        return chosen

    def _estimate(self, candidate: int) -> float:
        return median(self._times[candidate])

    def _best(self) -> int:
        return min(range(self._count), key=self._estimate)
