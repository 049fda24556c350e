"""Two traces as the two sessions of a comparison: on which GPU, with which driver, at which clocks each ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..evidence import Finding
from ..judging.apart import SESSIONS, Apart
from ..manifest import Origin, Positive
from ..ranges.instances import Instances
from .conduct import CLOCK_BAND
from .measured import Measured


@dataclass(frozen=True, slots=True)
class Known:
    """What no trace tells of the sessions: variant -> the driver's version, and the median SM clock in MHz, where they are known."""

    drivers: Mapping[str, str]
    clocks: Mapping[str, Positive]


def known_of(origin: Origin | None) -> Known | None:
    """What a manifest tells of two sessions; None where the variants ran in one."""
    return Known(origin.drivers, origin.clocks) if origin is not None and origin.apart else None


def apart_of(known: Known | None, measured: Measured) -> Apart | None:
    """How far times of the two sessions may be held against each other; None where there is one."""
    return None if known is None else Apart(tuple(_differing(known, measured)))


def session_caveats(known: Known | None, measured: Measured) -> Iterator[Finding]:
    """What a reader of a comparison of two sessions should know."""
    if known is None:
        return
    for runs in measured.values():
        if (count := len(runs.gpus())) > 1:
            yield Finding("session_of_several_gpus", {"variant": runs.name, "count": count}, "range")
    yield Finding("separate_sessions", {"percent": round(100 * SESSIONS)})
    yield from _differing(known, measured)
    lacking = [what for what, told in _told(known, measured).items() if None in told]
    if lacking:
        yield Finding("sessions_not_known", {"what": ", ".join(lacking)})


def _differing(known: Known, measured: Measured) -> Iterator[Finding]:
    """What makes times of the one incomparable with those of the other, each with what it was before and after."""
    for what, (before, after) in _told(known, measured).items():
        if before is None or after is None:
            continue
        if what == "sm_mhz":
            differs = abs(float(before) - float(after)) > CLOCK_BAND * max(float(before), float(after))
        else:
            differs = before != after
        if differs:
            yield Finding("not_comparable", {"what": what, "before": before, "after": after})


def _told(known: Known, measured: Measured) -> dict[str, tuple[str | float | None, ...]]:
    """What is known of each session; None where it is not."""
    runs = tuple(measured.values())
    return {
        "gpu": tuple(map(_gpu, runs)),
        "driver": tuple(known.drivers.get(one.name) for one in runs),
        "sm_mhz": tuple(known.clocks.get(one.name) for one in runs),
    }


def _gpu(runs: Instances) -> str | None:
    """The GPUs that these runs used, by name and uuid; None where one of them has neither."""
    gpus = [runs.trace.gpus[gpu] for gpu in runs.gpus()]
    told = [" ".join(filter(None, (gpu.name, gpu.uuid))) for gpu in gpus]
    return ", ".join(told) if told and all(told) else None
