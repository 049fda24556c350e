"""Work of three kinds in turn: one way of using streams throughout, the best for each kind, and a controller that finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from ...declaration import Declaration
from ...declaration import Phase as Least
from ..annotate import Notes, open_notes
from ..chunks import in_turn, overlapped
from ..device import Device, Event, Stream
from ..pair import Pair, Sizes
from .controller import Controller
from .phases import CANDIDATES, Chains, Config, Copies, Launches, Phase, Work

if TYPE_CHECKING:
    from torch import Tensor

_KIB = 1 << 10
_WARM_UP, _TRIALS = 2, 5
"""Rounds of each candidate that set-up throws away, and then times, to find the best fixed choices."""


@dataclass(frozen=True, slots=True)
class _Fork:
    """Events that fork streams from the main one and join them again."""

    forked: Event
    joined: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Known:
    """What set-up measured: kind of work -> candidate -> ns of a round."""

    times: Mapping[str, Sequence[float]]

    @property
    def best_of(self) -> Mapping[str, int]:
        """Each kind's fastest candidate."""
        return {kind: min(range(len(times)), key=times.__getitem__) for kind, times in self.times.items()}

    @property
    def best_for_all(self) -> int:
        """The candidate with which a round of each kind takes least in all."""
        sums = [sum(each) for each in zip(*self.times.values(), strict=True)]
        return min(range(len(sums)), key=sums.__getitem__)


class AdaptivePhases:
    """`rounds` rounds each of large copies, tiny kernels and long chains; the host waits for each round, as one does who
    needs its result, in every variant alike.

    A round runs as one of `CANDIDATES`. The baseline always takes the first, which uses no streams. `best_fixed` takes the one
    that is best for all kinds together, and `known` for each kind its own best, as set-up timed them. The optimized variant asks
    one controller, which is made anew for every iteration: it knows nothing but the event times of the rounds since, and nobody
    tells it that the kind of work changes. Every round has a range named after its kind and configuration.

    Raises:
        UsageError: a round's work does not divide into the candidates' chunks.
    """

    def __init__(self, device: Device, sizes: Sizes, notes: Notes | None = None) -> None:
        self._device, self._notes, self._turns = device, notes or open_notes(), range(sizes["rounds"])
        self._main = device.stream()
        self._workers = [device.stream() for _ in range(max(config.streams for config in CANDIDATES))]
        self._begin, self._end = device.event(), device.event()
        self._fork = _Fork(device.event(), [device.event() for _ in self._workers])
        rounds = sizes["rounds"]
        self._phases: Sequence[Phase] = (
            Copies(device, rounds, sizes["copy_kib"]),
            Launches(device, rounds, sizes["launches"], sizes["launch_elements"]),
            Chains(device, rounds, sizes["chains"], sizes["chain_kib"], sizes["steps"]),
        )
        self._ways = {phase.name: self._ways_of(phase) for phase in self._phases}
        self.inputs(0)
        device.synchronize()
        self._known = Known({phase.name: self._times_of(phase) for phase in self._phases})

    @property
    def streams(self) -> Sequence[Stream]:
        return [self._main, *self._workers]

    @property
    def output(self) -> Tensor:
        """All rounds of all kinds, one fp32 vector on the device."""
        import torch

        return torch.cat([phase.output() for phase in self._phases])

    def inputs(self, seed: int) -> None:
        for number, phase in enumerate(self._phases):
            phase.inputs(seed + 300_007 * number)

    def poison(self) -> None:
        for phase in self._phases:
            phase.poison()

    def run(self, variant: str) -> None:
        if variant == "optimized":
            return self._adapt(Controller(len(CANDIDATES)))
        for phase in self._phases:
            candidate = self._fixed(variant, phase)
            for turn in self._turns:
                self._timed(phase, turn, candidate)

    def _fixed(self, variant: str, phase: Phase) -> int:
        """What a variant that never chooses takes for this kind of work."""
        if variant == "known":
            return self._known.best_of[phase.name]
        return self._known.best_for_all if variant == "best_fixed" else 0

    def _adapt(self, controller: Controller) -> None:
        for phase in self._phases:
            for turn in self._turns:
                chosen = controller.choose()
                controller.observe(chosen, self._timed(phase, turn, chosen))

    def _timed(self, phase: Phase, turn: int, candidate: int) -> int:
        """Run one round, wait for it, and return its time by events in ns."""
        with self._notes.range(f"stage:{phase.name} {CANDIDATES[candidate].name}", "stage", candidate):
            self._begin.record(self._main)
            self._ways[phase.name][candidate][turn]()
            self._end.record(self._main)
            self._end.synchronize()
        return self._device.elapsed_ns(self._begin, self._end)

    def _times_of(self, phase: Phase) -> list[float]:
        """Each candidate's median, all of them timed in turn."""
        times: list[list[int]] = [[] for _ in CANDIDATES]
        for trial in range(_WARM_UP + _TRIALS):
            for candidate, series in enumerate(times):
                series.append(self._timed(phase, trial % len(self._turns), candidate))
        return [median(series[_WARM_UP:]) for series in times]

    def _ways_of(self, phase: Phase) -> list[list[Work]]:
        """For every candidate, what enqueues each round."""
        return [
            [self._spread(phase.groups(turn, config.chunks), config) for turn in self._turns] for config in CANDIDATES
        ]

    def _spread(self, groups: Sequence[Work], config: Config) -> Work:
        """The groups on the main stream, or in turn on as many workers as the configuration has, forked from it and joined."""
        fork = self._fork

        def alone() -> None:
            with self._device.on(self._main):
                for group in groups:
                    group()

        def spread() -> None:
            fork.forked.record(self._main)
            for number, worker in enumerate(self._workers[: config.streams]):
                worker.wait_event(fork.forked)
                with self._device.on(worker):
                    for group in groups[number :: config.streams]:
                        group()
                fork.joined[number].record(worker)
                self._main.wait_event(fork.joined[number])

        return alone if config.streams == 1 else spread

    def reference(self) -> Tensor:
        import torch

        return torch.cat([phase.reference() for phase in self._phases])

    def exact(self) -> Tensor:
        import torch

        return torch.cat([phase.exact() for phase in self._phases])


def phases(sizes: Sizes, variant: str) -> tuple[Least, ...]:
    """Of the copies what the finest candidate leaves, whichever is chosen; of the launches that each kernel waits for the one before
    it. Of long chains no ceiling is measured: they stand in no floor."""
    rounds, most = sizes["rounds"], 1 if variant == "baseline" else max(config.chunks for config in CANDIDATES)
    part = rounds * sizes["copy_kib"] * _KIB // most
    copies = (overlapped if most > 1 else in_turn)(Least(h2d=part, d2h=part), most)
    return (*copies, Least(launches=rounds * sizes["launches"]))


# A chain is 16 blocks: eight at once have 128 of an H200's 132 multiprocessors. 32,767 steps of four chains a thread are 262,136
# issue cycles of a block, 0.13 ms at 2 GHz.
_FULL = {
    "rounds": 24,
    "copy_kib": 16384,
    "launches": 24,
    "launch_elements": 16384,
    "chains": 8,
    "chain_kib": 64,
    "steps": 32767,
}
_SMALL = {
    "rounds": 12,
    "copy_kib": 16,
    "launches": 4,
    "launch_elements": 64,
    "chains": 8,
    "chain_kib": 1,
    "steps": 3,
}

PAIR = Pair(
    Declaration(
        chapter="ch11",
        name="adaptive_streams",
        topic={"en": "Choosing streams and chunks from measured times", "ko": "측정한 시간으로 스트림과 청크 고르기"},
        title={
            "en": "One stream, the best fixed number of streams, and a controller that learns it for each kind of work",
            "ko": "스트림 하나, 고정한 최선의 스트림 수, 작업 종류마다 배우는 제어기",
        },
        sentence={
            "en": "Copies want many chunks, a row of tiny kernels wants one, and long kernels want many streams: a controller that learns "
            "this anew in every iteration finishes the same mixed work {speedup} than one stream, and before the best fixed choice.",
            "ko": "복사에는 청크가 많을수록, 작은 커널의 연속에는 청크 하나가, 긴 커널에는 스트림이 많을수록 좋습니다. 이를 반복마다 새로 배우는 제어기는 같은 혼합 "
            "작업을 스트림 하나보다 {speedup}, 고정한 최선의 선택보다 먼저 끝냅니다.",
        },
        compares={
            "en": "Every variant runs the same 72 rounds and waits for each: 24 that copy 16 MiB in and out, then 24 of 24 dependent tiny "
            "kernels, then 24 of eight long kernels that fill 16 multiprocessors each. Only how a round uses streams differs: its "
            "data in one, two, four or eight chunks on as many streams. The baseline takes one throughout; the first step takes the "
            "one of the four that is best for the whole, the second for each kind of work its own best, both timed beforehand. The "
            "optimized variant knows nothing when an iteration begins and is not told when the work changes: a controller tries "
            "one, two, four, eight until more is no better, keeps the best, and starts again when its times no longer fit. What "
            "that learning costs lies in its time; the last step shows it.",
            "ko": "모든 변형은 같은 72개 라운드를 실행하고 라운드마다 기다립니다. 16 MiB를 들여오고 내보내는 라운드 24개, 서로 이어지는 작은 커널 24개짜리 24개, 각각 "
            "멀티프로세서 16개를 채우는 긴 커널 여덟 개짜리 24개 순서입니다. 다른 점은 라운드가 스트림을 쓰는 방법뿐입니다. 데이터를 청크 1, 2, 4, 8개로 나누어 같은 "
            "수의 스트림에 둡니다. 기준 변형은 처음부터 끝까지 하나를 씁니다. 첫 단계는 넷 중 전체에 가장 좋은 하나를, 둘째 단계는 작업 종류마다 가장 좋은 것을 쓰며 "
            "둘 다 미리 잽니다. 최적화 변형은 반복이 시작될 때 아무것도 모르고 작업이 바뀌어도 알려 주지 않습니다. 제어기는 1, 2, 4, 8개를 더 나아지지 않을 때까지 "
            "시험하고 가장 좋은 것을 유지하며, 시간이 어긋나면 다시 시작합니다. 배우는 데 드는 시간은 이 변형의 시간에 들어 있고 마지막 단계가 그것을 보여 줍니다.",
        },
        variants={
            "baseline": {"en": "One stream and one chunk throughout", "ko": "처음부터 끝까지 스트림 하나, 청크 하나"},
            "best_fixed": {
                "en": "The one configuration that is best for the whole, timed beforehand",
                "ko": "전체에 가장 좋은 구성 하나를 미리 재서 고정",
            },
            "known": {
                "en": "For each kind of work its best configuration, timed beforehand",
                "ko": "작업 종류마다 미리 재서 고른 최선의 구성",
            },
            "optimized": {
                "en": "A controller that knows only the times of this iteration's rounds",
                "ko": "이번 반복의 라운드 시간만 아는 제어기",
            },
        },
        claims=(
            # by formula, ms a round on an H200 with 1, 2, 4, 8 chunks: copies 0.66 0.50 0.41 0.37; launches 0.12 0.24 0.5 1; chains 1.1 0.53
            # 0.27 0.14; the host's own work beside them. In all 1.9, 1.3, 1.2, 1.5; each kind's own best 0.63; the controller's tries cost
            # about 6 ms, 0.25 for each of 24. With 32 rounds and 48 launches an H200 needed 69, 60, 40 and 48 ms (2026-11-30, untraced)
            "speedup >= 1.3",
            "speedup(best_fixed, optimized) >= 1.05",
            # regret, learning included: at most what the best choices known beforehand take, and as much again
            "speedup(known, optimized) >= 0.5",
            "speedup(best_fixed, known) >= 1.1",
            # most of a copy-bound round that is cut in eight runs both ways at once, none of one that is not cut
            "median optimized.hidden(h2d, d2h) >= 0.30",
            "baseline.overlap_ratio <= 0.01",
            # every variant waits alike, once a round
            "best_fixed.syncs_per_iteration == baseline.syncs_per_iteration",
            "known.syncs_per_iteration == baseline.syncs_per_iteration",
            "optimized.syncs_per_iteration == baseline.syncs_per_iteration",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": _SMALL},
        tolerance=2e-6,  # fp32 sines of sines, and chains that round once
        bitwise=True,
        perturbation_band=0.10,
        queued=False,  # launching is one of the three things that bind, and each round is waited for
        needs=("cuda",),
    ),
    build=AdaptivePhases,
    phases=phases,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
