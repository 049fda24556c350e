"""What ranks say together, one collective and one pair of ranks at a time: slow, plain, and not a line of the package's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

Times = Sequence[Sequence[int]]
"""[rank][collective] -> ns; all ranks run all collectives, and nobody leaves one before everybody has come."""
FAR = 1 << 62


def offsets(start: Times, end: Times) -> list[tuple[int, int]] | None:
    """For each rank the least and the greatest number that may be added to its times, with 0 added to rank 0's; None where none
    may (Floyd and Warshall over all pairs)."""
    n, count = len(start), len(start[0])
    most = [[min(end[a][k] - start[b][k] for k in range(count)) if a != b else 0 for b in range(n)] for a in range(n)]
    for via, a, b in product(range(n), repeat=3):
        most[a][b] = min(most[a][b], most[a][via] + most[via][b])
    if any(most[a][a] < 0 for a in range(n)):
        return None
    return [(-most[b][0], most[0][b]) for b in range(n)]


def waits_at_least(start: Times, end: Times) -> list[int]:
    """Each rank's time beyond that of the shortest, over all collectives."""
    total = [0] * len(start)
    for k in range(len(start[0])):
        lasted = [e[k] - s[k] for s, e in zip(start, end, strict=True)]
        for rank, ns in enumerate(lasted):
            total[rank] += ns - min(lasted)
    return total


def together(start: Times, end: Times, low: Sequence[int], high: Sequence[int]) -> list[int]:
    """For so long all ranks were inside of each collective, whatever the clocks are."""
    ranks = range(len(start))
    return [
        max(0, min(end[r][k] + low[r] for r in ranks) - max(start[r][k] + high[r] for r in ranks))
        for k in range(len(start[0]))
    ]


def late(start: Times, low: Sequence[int], high: Sequence[int]) -> tuple[list[int], list[int]]:
    """By how much each rank came after the last of the others: least and most, over all collectives."""
    ranks = range(len(start))
    least, most = [0] * len(start), [0] * len(start)
    for k, own in product(range(len(start[0])), ranks):
        others = [r for r in ranks if r != own]
        least[own] += max(0, start[own][k] + low[own] - max(start[r][k] + high[r] for r in others))
        most[own] += max(0, start[own][k] + high[own] - max(start[r][k] + low[r] for r in others))
    return least, most


def surely_last(start: Times, low: Sequence[int], high: Sequence[int]) -> list[int]:
    """The rank that came last of each collective whatever the clocks are; -1 where that is not sure."""
    ranks = range(len(start))
    found = []
    for k in range(len(start[0])):
        sure = [
            own for own in ranks if all(start[own][k] + low[own] > start[r][k] + high[r] for r in ranks if r != own)
        ]
        found.append(sure[0] if sure else -1)
    return found
