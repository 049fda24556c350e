"""What is asked of each trace of a run, before any is read."""

from __future__ import annotations

import re

import msgspec

from ...errors import UsageError

RANK_PATTERN = r"rank[_-]?(\d+)"
_LONGEST = 9
"""Digits of a rank; a longer number in a file's name is something else."""


class Question(msgspec.Struct, frozen=True):
    """What a record shall hold beside its communication.

    steps          name or glob of the ranges that are a step; "" for none
    metrics        of claims, in each of the steps, or of the whole trace
    rank_pattern   where a file's name says its rank: a regular expression with one group
    communication  regular expressions of kernel names that count as communication, besides the known ones
    """

    steps: str = ""
    domain: str | None = None
    attribution: str = "thread"
    metrics: tuple[str, ...] = ()
    rank_pattern: str = RANK_PATTERN
    communication: tuple[str, ...] = ()

    def checked(self) -> Question:
        """Itself.

        Raises:
            UsageError: a pattern is no regular expression, or that of ranks has no group.
        """
        try:
            groups = re.compile(self.rank_pattern).groups
        except re.error as error:
            raise UsageError(f"{self.rank_pattern!r} is no regular expression: {error}") from error
        if groups != 1:
            raise UsageError(
                f"{self.rank_pattern!r} has {groups} groups, and one says the rank",
                r"for example: --rank-pattern 'rank(\d+)'",
            )
        return self

    def rank_of(self, name: str) -> int | None:
        """The rank that a file's name says."""
        found = re.search(self.rank_pattern, name)
        digits = found[1] if found else None
        return int(digits) if digits and digits.isdecimal() and len(digits) <= _LONGEST else None
