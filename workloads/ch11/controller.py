"""Chooses among candidates by the times that it is told: climbs from coarse to fine, keeps the best, notices when that has changed."""

from __future__ import annotations

from collections import deque
from statistics import median_low

PROBES = 2
"""Times of a candidate before it is judged; the lower of two bears one that was slow by accident."""

WINDOW = 5
"""Times of a candidate that its estimate, their median, looks back on."""

MARGIN = 0.05
"""A candidate replaces the chosen one only if its estimate is lower by this share: equals do not alternate."""

CHANGE, PATIENCE = 0.25, 2
"""After `PATIENCE` times in a row that are off the estimate by more than `CHANGE`, all that was learnt is forgotten but these."""

REFRESH, CONTENDERS = 24, 0.25
"""Every `REFRESH`-th time a neighbour of the chosen one is tried again, if its estimate is within `CONTENDERS` or unknown."""


class Controller:
    """A choice among `candidates` (their indices), which go from coarse to fine: times fall up to the best, and rise after it.

    `choose` and `observe` alternate: what was chosen is done, and its time told. Nothing else is known, neither about any
    candidate nor about what is done. It climbs: each candidate is tried `PROBES` times, until one is no better than the one
    before it. Afterwards the loss is what `MARGIN` leaves, what the rare trials of neighbours cost, and another climb whenever
    the work has changed.
    """

    def __init__(self, candidates: int) -> None:
        if candidates < 1:
            raise ValueError("there must be a candidate")
        self._count = candidates
        self._chosen: int | None
        self._since: int
        self._strikes: list[int]
        self._times: list[deque[int]]
        self._start()

    @property
    def learning(self) -> bool:
        """Whether it is climbing."""
        return self._chosen is None

    @property
    def chosen(self) -> int | None:
        """What is held for the best; None while learning."""
        return self._chosen

    def choose(self) -> int:
        """The candidate to use next."""
        if self._chosen is None:
            return next(i for i, times in enumerate(self._times) if len(times) < PROBES)
        if self._since and self._since % REFRESH == 0:
            return self._neighbour(self._chosen)
        return self._chosen

    def observe(self, candidate: int, ns: int) -> None:
        """`candidate` has taken `ns`."""
        if self._chosen is None:
            self._times[candidate].append(ns)
            if self._at_the_top():
                self._chosen = self._best()
            return
        self._since += 1
        if candidate == self._chosen and self._off(ns, self._estimate(candidate)):
            return
        self._times[candidate].append(ns)
        best = self._best()
        if self._estimate(best) < (1 - MARGIN) * self._estimate(self._chosen):
            self._chosen = best
            self._strikes = []

    def _start(self) -> None:
        self._chosen, self._since, self._strikes = None, 0, []
        self._times = [deque(maxlen=WINDOW) for _ in range(self._count)]

    def _at_the_top(self) -> bool:
        """Whether all have been tried, or the last one tried, in order, is no better than the one before it."""
        tried = next((i for i, times in enumerate(self._times) if len(times) < PROBES), self._count)
        if tried == self._count:
            return True
        return tried > 1 and self._estimate(tried - 1) >= (1 - MARGIN) * self._estimate(tried - 2)

    def _off(self, ns: int, expected: float) -> bool:
        """Whether the chosen one's time belies its estimate; the `PATIENCE`-th in a row starts the learning anew, with these."""
        if abs(ns - expected) <= CHANGE * expected:
            self._strikes = []
            return False
        self._strikes.append(ns)
        if len(self._strikes) == PATIENCE:
            belied, known = self._chosen, self._strikes
            self._start()
            self._times[belied or 0].extend(known)
        return True

    def _neighbour(self, chosen: int) -> int:
        """The finer one and the coarser one in turn; `chosen` itself where that is far behind, or none."""
        other = chosen + (1 if self._since // REFRESH % 2 else -1)
        if not 0 <= other < self._count:
            return chosen
        near = not self._times[other] or self._estimate(other) <= (1 + CONTENDERS) * self._estimate(chosen)
        return other if near else chosen

    def _estimate(self, candidate: int) -> int:
        return median_low(self._times[candidate])

    def _best(self) -> int:
        return min((i for i in range(self._count) if self._times[i]), key=self._estimate)
