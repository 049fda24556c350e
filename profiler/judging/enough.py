"""How many iterations decide what an interval around a threshold leaves open, and how often."""

from __future__ import annotations

from math import ceil
from statistics import NormalDist

from .bootstrap import CONFIDENCE

SURELY = 0.8
"""In how many of all sessions, where half is not enough: the usual power of a planned experiment (Cohen 1988)."""


def surely(needed: int) -> int:
    """As many iterations as decide in `SURELY` of all sessions at least, where `needed` do in half of them at least; an even number.

    After `needed` iterations the interval of a value as it was seen ends at the threshold, so that a new session's lies clear of it as
    often as not. With (z(0.975) + z(0.8))² / z(0.975)² = 2.04 times as many, the value lies as many standard errors farther away
    (Lehr 1992, Statistics in Medicine 11; Jain 1991, ch. 13.9). Both are low estimates: the interval of few runs is wide to be on the
    safe side, of more less so. In simulated sessions that begin with twenty runs they decide in 0.7 and 0.97.
    """
    z = NormalDist().inv_cdf
    sure = z((1 + CONFIDENCE) / 2)
    found = ceil(needed * ((sure + z(SURELY)) / sure) ** 2)
    return found + found % 2
