"""Which kernels of different ranks are one collective: by communicator, operation and order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..arrays.types import Bools, Int64
from ..evidence import Finding
from .alignment import aligned
from .communication import EXCHANGE
from .operations import BETWEEN_TWO, SYNCHRONISING
from .record import ASSUMED, UNKNOWN, Rank, Signature, unpacked

NEVER = np.int64(1) << 60
"""Beyond every time of a trace: where a rank has no kernel, it ended then and began as long before."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The collectives of one communicator, k of them on m ranks.

    key         the communicator; "" of the only one
    members     indices of the ranks, ascending, shape (m,)
    start, end  since `Matching.base` of each rank, on its own clock, shape (m, k), -NEVER and NEVER where the rank has none
    there       where it has one, shape (m, k); None: everywhere
    signature   index of what each is in `Matching.signatures`, shape (k,)
    waits       whether nobody leaves it before everybody has come, shape (k,)
    complete    whether every rank of the communicator is a member
    """

    key: str
    members: Int64
    start: Int64
    end: Int64
    there: Bools | None
    signature: Int64
    waits: Bools
    complete: bool

    @property
    def count(self) -> int:
        return len(self.signature)

    def only(self, rows: Bools) -> Block:
        """Without some of the members; it is whole no longer."""
        there = None if self.there is None else self.there[rows]
        parts = (self.start[rows], self.end[rows], there, self.signature, self.waits)
        return Block(self.key, self.members[rows], *parts, complete=self.complete and bool(rows.all()))


@dataclass(slots=True)
class Matching:
    """What belongs together, and what does not.

    base         of each rank the instant from which its times are counted here, that of its first kernel: torch.profiler's may be
                 counted since 1970; shape (n,)
    left         kernels of each rank that belong to no collective of several ranks, shape (n,)
    between_two  its sends and receives, of which nothing is said; shape (n,)
    """

    base: Int64
    blocks: list[Block]
    signatures: tuple[Signature, ...]
    left: Int64
    between_two: Int64
    findings: list[Finding]


@dataclass(slots=True)
class _Sequence:
    """What one rank ran on one communicator, in order."""

    rank: int
    size: int
    start: Int64
    end: Int64
    signature: Int64


@dataclass(slots=True)
class _Matcher:
    ranks: Sequence[Rank]
    names: Sequence[str]
    signatures: dict[Signature, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    base: Int64 = field(init=False)
    left: Int64 = field(init=False)
    between_two: Int64 = field(init=False)

    def found(self) -> Matching:
        """Everything."""
        self.base, self.left, self.between_two = np.zeros((3, len(self.ranks)), np.int64)
        sequences: dict[tuple[str, bool], list[_Sequence]] = {}
        for index, rank in enumerate(self.ranks):
            for key, one in self._sequences(index, rank):
                sequences.setdefault(key, []).append(one)
        waits = [signature.operation in SYNCHRONISING for signature in self.signatures]
        blocks = [self._block(key[0], sequences[key], np.array(waits, bool)) for key in sorted(sequences)]
        known = [block for block in blocks if block is not None]
        return Matching(self.base, known, tuple(self.signatures), self.left, self.between_two, self.findings)

    def _sequences(self, index: int, rank: Rank) -> Iterator[tuple[tuple[str, bool], _Sequence]]:
        """What a rank ran, by communicator; exchanges by sends and receives are counted by themselves, since another rank may have
        written its share in another way."""
        said = rank.communication
        start, end, which, signature = map(unpacked, (said.start, said.end, said.communicator, said.signature))
        self.base[index] = start.min() if len(start) else 0
        start, end = start - self.base[index], end - self.base[index]
        number = np.array([self.signatures.setdefault(one, len(self.signatures)) for one in said.signatures], np.int64)
        two = np.array([one.operation in BETWEEN_TWO for one in said.signatures], bool)
        exchange = np.array([one.detail == EXCHANGE for one in said.signatures], bool)
        for place, communicator in enumerate(said.communicators):
            mine = which == place
            if communicator.known == UNKNOWN:
                self._unknown(index, signature[mine], two)
                continue
            if communicator.known == ASSUMED:
                self._say("ranks_communicator_assumed", {"rank": self.names[index]})
            self.between_two[index] += int(two[signature[mine]].sum())
            for kind in (False, True):
                rows = np.flatnonzero(mine & ~two[signature] & (exchange[signature] == kind))
                if len(rows):
                    sequence = _Sequence(index, communicator.size, start[rows], end[rows], number[signature[rows]])
                    yield (communicator.key, kind), sequence

    def _unknown(self, index: int, signature: Int64, two: Bools) -> None:
        between = int(two[signature].sum())
        self.between_two[index] += between
        if count := len(signature) - between:
            self.left[index] += count
            self._say("ranks_communicator_unknown", {"rank": self.names[index], "count": count})

    def _block(self, key: str, sequences: list[_Sequence], waits: Bools) -> Block | None:
        """One block; None where a single rank is there, whose kernels are left unless the communicator is its own."""
        if len(sequences) == 1:
            one = sequences[0]
            self.left[one.rank] += 0 if one.size == 1 else len(one.start)
            return None
        reference = _commonest(sequences)
        count = len(reference.start)
        start, end = np.full((2, len(sequences), count), -NEVER, np.int64)
        np.negative(end, out=end)
        for row, one in enumerate(sequences):
            place = self._places(one, reference, waits)
            known = slice(None) if place is None else place >= 0
            at = slice(None) if place is None else place[place >= 0]
            start[row, at], end[row, at] = one.start[known], one.end[known]
        there = end < NEVER
        size = max(one.size for one in sequences)
        members = np.array([one.rank for one in sequences], np.int64)
        whole = None if there.all() else there
        complete = whole is None and (len(members) == size if size > 0 else len(members) == len(self.ranks))
        return Block(key, members, start, end, whole, reference.signature, waits[reference.signature], complete)

    def _places(self, one: _Sequence, reference: _Sequence, waits: Bools) -> Int64 | None:
        """Where each of a rank's collectives lies in the reference, -1 nowhere; None: one after the other."""
        if np.array_equal(one.signature, reference.signature):
            return None
        place = aligned(one, reference, waits)
        name, count = self.names[one.rank], len(reference.start)
        matched = int((place >= 0).sum())
        self.left[one.rank] += len(place) - matched
        if matched * 2 < count:
            self._say("ranks_another_run", {"rank": name, "matched": matched, "count": count})
            self.left[one.rank] += matched
            return np.full(len(place), -1, np.int64)
        values: dict[str, str | int | float] = {
            "rank": name,
            "missing": count - matched,
            "more": len(place) - matched,
            "count": count,
        }
        self._say("ranks_order_differs" if len(place) == count else "ranks_collectives_missing", values)
        return place

    def _say(self, code: str, values: dict[str, str | int | float]) -> None:
        finding = Finding(code, values, "range")
        if finding not in self.findings:
            self.findings.append(finding)


def matched(ranks: Sequence[Rank], names: Sequence[str]) -> Matching:
    """What the ranks have in common; `names` is what findings call them."""
    return _Matcher(ranks, names).found()


def _commonest(sequences: Sequence[_Sequence]) -> _Sequence:
    """That of most ranks; of several, the longest, then that of the first rank."""
    votes = Counter(one.signature.tobytes() for one in sequences)
    return max(sequences, key=lambda one: (votes[one.signature.tobytes()], len(one.start), -one.rank))
