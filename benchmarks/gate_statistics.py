"""How often the verdicts on times are wrong: simulated sessions, judged by the project's own code; prints a table.

scripts/bench --gates --sessions 2000

Every session is one capture of two variants that are the same code (A/A) and, with the same noise, of two of which the second
is 5 % faster. Noise is a factor on each run's time, along the order in which the runs are made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import median

import numpy as np
from aisp_prof.profiler.evidence import ClaimResult, Iteration, VariantEvidence, Verdict
from aisp_prof.profiler.expect.derive import entry_of
from aisp_prof.profiler.expect.model import Measurement
from aisp_prof.profiler.expect.observe import ITERATION, Observation
from aisp_prof.profiler.judging import bootstrap
from aisp_prof.profiler.judging.grounds import Grounds
from aisp_prof.profiler.judging.judge import judge
from aisp_prof.profiler.judging.language import parse
from aisp_prof.profiler.judging.speedup import speedup_of
from aisp_prof.workloads.measure import order
from numpy.typing import NDArray

NAMES = ("baseline", "optimized")
TIME_NS = 1_000_000
FASTER = 1.05
SEED = 13
RESAMPLES = 1000
"""A tenth of what a capture gets: the ends of an interval then vary by some per cent of its width."""
Noise = NDArray[np.float64]
Generator = np.random.Generator


def white(rng: Generator, n: int, spread: float = 0.01) -> Noise:
    """Independent runs."""
    return 1 + spread * rng.standard_normal(n)


def autocorrelated(rng: Generator, n: int, rho: float) -> Noise:
    """AR(1), 1 % wide as a whole."""
    noise = rng.standard_normal(n)
    for i in range(1, n):
        noise[i] = rho * noise[i - 1] + (1 - rho**2) ** 0.5 * noise[i]
    return 1 + 0.01 * noise


def drift(rng: Generator, n: int) -> Noise:
    """3 % slower from the first run to the last."""
    return white(rng, n, 0.003) * (1 + 0.03 * np.arange(n) / (n - 1))


def clock_of_the_session(rng: Generator, n: int) -> Noise:
    """One of two clocks, 3 % apart, all along."""
    return white(rng, n, 0.003) * (1 + 0.03 * rng.integers(2))


def clock_of_each_round(rng: Generator, n: int) -> Noise:
    """One of two clocks, drawn anew every four runs."""
    return white(rng, n, 0.003) * (1 + 0.03 * np.repeat(rng.integers(2, size=n // 4 + 1), 4)[:n])


def telegraph(rng: Generator, n: int) -> Noise:
    """One of two clocks, changing after every tenth run on average."""
    changes = rng.random(n) < 0.1
    return white(rng, n, 0.003) * (1 + 0.03 * ((rng.integers(2) + np.cumsum(changes)) % 2))


def stalls(rng: Generator, n: int) -> Noise:
    """One run in twenty takes half as long again, or more."""
    return white(rng, n, 0.003) * (1 + (rng.random(n) < 0.05) * (0.5 + rng.exponential(0.5, n)))


def outer_slots(rng: Generator, n: int) -> Noise:
    """Of every four runs the first and the last take 1 % more."""
    return white(rng, n, 0.003) * (1 + 0.01 * np.isin(np.arange(n) % 4, (0, 3)))


def sessions_apart(rng: Generator, n: int) -> Noise:
    """Every session has its own level, 2 % wide."""
    return white(rng, n, 0.003) * (1 + 0.02 * rng.standard_normal())


@dataclass(frozen=True, slots=True)
class Model:
    """A kind of noise; `truth` is the factor of a variant's median that its interval should cover, nan: the session's own level.

    One variant's runs are those of the pair's session, or, `alone`, one after the other: then the noise is along them.
    """

    name: str
    noise: Callable[[Generator, int], Noise]
    truth: float = 1.0
    alone: bool = False


MODELS = (
    Model("white noise, 1 %", white),
    Model("AR(1) at 0.5", partial(autocorrelated, rho=0.5), alone=True),
    Model("AR(1) at 0.9", partial(autocorrelated, rho=0.9), alone=True),
    Model("linear drift, 3 %", drift, 1.015),
    Model("two clocks 3 % apart, by session", clock_of_the_session, float("nan")),
    Model("two clocks, by round", clock_of_each_round, 1.015),
    Model("two clocks, random telegraph", telegraph, 1.015),
    Model("stalls, one run in twenty", stalls, 1.00020),
    Model("outer slots 1 % slower", outer_slots, 1.005),
    Model("sessions 2 % apart", sessions_apart, float("nan")),
)


def runners_order(n: int) -> tuple[int, ...]:
    """The order in which a pair is measured."""
    return tuple(NAMES.index(name) for name in order(n, NAMES))


def in_turn(n: int) -> tuple[int, ...]:
    """A B A B."""
    return (0, 1) * n


def in_twos(n: int) -> tuple[int, ...]:
    """A A B B A A B B."""
    return (0, 0, 1, 1) * (n // 2)


def in_blocks(n: int) -> tuple[int, ...]:
    """All of A, then all of B."""
    return (0,) * n + (1,) * n


ORDERS: Mapping[str, Callable[[int], tuple[int, ...]]] = {
    "as measured": runners_order,
    "A B A B": in_turn,
    "A A B B": in_twos,
    "blocks": in_blocks,
}


def variant(name: str, times: Sequence[int], places: Sequence[int]) -> VariantEvidence:
    """A variant's runs, each at its place in the session."""
    starts = [2 * TIME_NS * place for place in places]
    runs = [Iteration(i, s, s + t, None, {"span": t}) for i, (s, t) in enumerate(zip(starts, times, strict=True))]
    return VariantEvidence(name, tuple(runs), None, (), (), ())


def claimed(texts: Sequence[str], noise: Noise, sequence: Sequence[int], faster: float) -> list[ClaimResult]:
    """Claims judged on one session."""
    places = [[i for i, which in enumerate(sequence) if which == mine] for mine in (0, 1)]
    times = [[round(TIME_NS * noise[i] / by) for i in mine] for mine, by in zip(places, (1.0, faster), strict=True)]
    made = [variant(*one) for one in zip(NAMES, times, places, strict=True)]
    speedups = {NAMES: speedup_of(made[0], made[1], "trace")}
    nothing = dict.fromkeys(NAMES, ())
    grounds = Grounds(dict(zip(NAMES, made, strict=True)), speedups, nothing, nothing, ())
    return [judge(parse(text), grounds) for text in texts]


def of_one_variant(noise: Noise) -> ClaimResult:
    """The interval of the median of one variant that runs alone."""
    one = variant(NAMES[1], [round(TIME_NS * factor) for factor in noise], range(len(noise)))
    nothing = dict.fromkeys(NAMES, ())
    return judge(parse("span <= 1us"), Grounds({NAMES[1]: one}, {}, nothing, nothing, ()))


@dataclass(frozen=True, slots=True)
class Session:
    """What was said of one session."""

    false_win: bool
    false_loss: bool
    speedup_covers: bool
    median_covers: bool
    half_width: float
    win: bool
    stated: bool


def session(model: Model, sequence: Sequence[int], n: int, rng: Generator) -> Session:
    """One session judged: the same code as a pair, 5 % of difference, and one variant alone."""
    noise = model.noise(rng, len(sequence))
    same, slower = claimed(("speedup >= 1.0x", "speedup <= 1.0x"), noise, sequence, 1.0)
    (faster,) = claimed(("speedup >= 1.0x",), noise, sequence, FASTER)
    series = model.noise(rng, n) if model.alone else noise[[i for i, which in enumerate(sequence) if which == 0]]
    truth = TIME_NS * (median(series) if np.isnan(model.truth) else model.truth)
    one = of_one_variant(series)
    return Session(
        false_win=same.verdict is Verdict.PROVEN,
        false_loss=slower.verdict is Verdict.PROVEN,
        speedup_covers=_covers(same, 1.0),
        median_covers=_covers(one, truth),
        half_width=(float(one.high or 0) - float(one.low or 0)) / 2 / TIME_NS,
        win=faster.verdict is Verdict.PROVEN,
        stated=same.low is not None,
    )


def _covers(claim: ClaimResult, truth: float) -> bool:
    return claim.low is not None and claim.high is not None and claim.low <= truth <= claim.high


def sessions(model: Model, arranged: Callable[[int], tuple[int, ...]], n: int, seed: int) -> Iterator[Session]:
    """Sessions without end, the same for everyone who repeats them."""
    rng, sequence = np.random.default_rng([seed, n]), arranged(n)
    while True:
        yield session(model, sequence, n, rng)


def row(count: int, job: tuple[str, str, int]) -> tuple[float, ...]:
    """Shares of the sessions of one model, in per cent: false wins and losses, coverage, power; and a median half width."""
    bootstrap.RESAMPLES = RESAMPLES
    name, arranged, n = job
    model = next(one for one in MODELS if one.name == name)
    judged = list(islice(sessions(model, ORDERS[arranged], n, SEED), count))
    shares = [
        100 * sum(getattr(one, field) for one in judged) / count
        for field in ("false_win", "false_loss", "speedup_covers", "median_covers", "win")
    ]
    return (*shares, 100 * median(one.half_width for one in judged))


JOBS = (
    *((model.name, "as measured", n) for n in (20, 8) for model in MODELS),
    *(
        (name, arranged, 20)
        for arranged in ("A B A B", "A A B B", "blocks")
        for name in (MODELS[i].name for i in (0, 2, 3, 6))
    ),
)


SPREAD = 0.02


def refused(captures: int, count: int) -> tuple[float, float]:
    """Of expectations that rest on so many sessions, in per cent: those that a later session of the same code does not meet, or
    is refuted by, where sessions lie 2 % apart and within one the median is known to 0.3 %."""
    rng, missed, regressed = np.random.default_rng([SEED, captures]), 0, 0
    for _ in range(count):
        seen = [_observed(str(i), rng) for i in range(captures)]
        entry = entry_of(seen, {}, "", "")
        later = _observed("later", rng).measured
        missed += entry is None or not entry.bound.holds(*later.widened())
        regressed += entry is not None and entry.bound.judged(*later.widened()) is Verdict.REFUTED
    return 100 * missed / count, 100 * regressed / count


def _observed(capture: str, rng: Generator) -> Observation:
    value = TIME_NS * (1 + SPREAD * rng.standard_normal())
    return Observation(
        NAMES[1],
        ITERATION,
        "trace",
        "ns",
        "less",
        Measurement(capture, value, value * 0.997, value * 1.003, 20, 0.001),
    )


def main(arguments: Sequence[str]) -> None:
    """Simulate and print, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2000, metavar="N", help="simulated sessions a line")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    asked = parser.parse_args(arguments)
    print(
        "| noise | order | n | false wins | false losses | covers 1 | covers the median | half width | power at 5 % |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with ProcessPoolExecutor(asked.workers) as pool:
        for job, shares in zip(JOBS, pool.map(partial(row, asked.sessions), JOBS), strict=True):
            win, loss, covers, alone, power, width = shares
            print(
                f"| {job[0]} | {job[1]} | {job[2]} | {win:.1f} % | {loss:.1f} % | {covers:.1f} % | {alone:.1f} % | "
                f"{width:.2f} % | {power:.1f} % |",
                flush=True,
            )
    print("\n| captures | a later session does not meet it | is called a regression |\n|---|---|---|")
    for captures in range(1, 6):
        print("| {} | {:.1f} % | {:.1f} % |".format(captures, *refused(captures, asked.sessions)))


if __name__ == "__main__":
    main(sys.argv[1:])
