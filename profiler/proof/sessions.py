"""Two traces as the two sessions of a comparison: on which GPU, with which driver, at which clocks each ran."""

from __future__ import annotations

from collections.abc import Iterator

from ..evidence import Finding
from ..judging.apart import SESSIONS, Apart
from ..manifest import Origin
from ..ranges.instances import Instances
from .conduct import CLOCK_BAND
from .measured import Measured


def apart_of(origin: Origin | None, measured: Measured) -> Apart | None:
    """What is known of the sessions of two variants; None where they ran in one."""
    if origin is None or not origin.apart:
        return None
    return Apart(tuple(_differing(origin, measured)))


def session_caveats(origin: Origin | None, measured: Measured) -> Iterator[Finding]:
    """What a reader of a comparison of two sessions should know."""
    if origin is None or not origin.apart:
        return
    yield Finding("separate_sessions", {"percent": round(100 * SESSIONS)})
    yield from _differing(origin, measured)
    lacking = [what for what, known in _known(origin, measured).items() if None in known]
    if lacking:
        yield Finding("sessions_not_known", {"what": ", ".join(lacking)})


def _differing(origin: Origin, measured: Measured) -> Iterator[Finding]:
    """What makes times of the one incomparable with those of the other, each with what it was before and after."""
    for what, (before, after) in _known(origin, measured).items():
        if before is None or after is None:
            continue
        if what == "sm_mhz":
            differs = abs(float(before) - float(after)) > CLOCK_BAND * max(float(before), float(after))
        else:
            differs = before != after
        if differs:
            yield Finding("not_comparable", {"what": what, "before": before, "after": after})


def _known(origin: Origin, measured: Measured) -> dict[str, tuple[str | float | None, ...]]:
    """What is known of each session; None where it is not."""
    runs = tuple(measured.values())
    return {
        "gpu": tuple(map(_gpu, runs)),
        "driver": tuple(origin.drivers.get(one.name) for one in runs),
        "sm_mhz": tuple(origin.clocks.get(one.name) for one in runs),
    }


def _gpu(runs: Instances) -> str | None:
    """The GPUs that these runs used, by name and uuid; None where one of them has neither."""
    gpus = [runs.trace.gpus[gpu] for gpu in runs.gpus()]
    told = [" ".join(filter(None, (gpu.name, gpu.uuid))) for gpu in gpus]
    return ", ".join(told) if told and all(told) else None
