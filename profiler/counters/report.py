"""Read counters from a report: through the ncu_report package where it is installed, else from the CSV beside it."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import EnvironmentLacks, UsageError
from .kernel_counters import Dim, KernelCounters, NvtxRange
from .quantities import base
from .raw_csv import EXPORT, capability, read_raw_csv
from .totals import exact_totals
from .whole_report import refuse_cut_report


def read_counters(path: Path) -> list[KernelCounters]:
    """Every kernel launch of a report (.ncu-rep) or of its raw page (.csv); needs neither a GPU nor ncu.

    Raises:
        UsageError: there is no such file, or it is neither.
        EnvironmentLacks: a .ncu-rep without the ncu_report package and without a CSV beside it.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    if path.suffix != ".ncu-rep":
        return read_raw_csv(path)
    if find_spec("ncu_report") is not None:
        return read_report(path)
    beside = path.with_suffix(".csv")
    if beside.is_file():
        return read_raw_csv(beside)
    export = EXPORT.replace("FILE.ncu-rep", str(path)).replace("FILE.csv", str(beside))
    raise EnvironmentLacks(
        f"{path} cannot be read: the package ncu_report is not installed, and there is no {beside.name} beside it",
        f"pip install 'aisp-prof[ncu]' (NVIDIA's own licence), or where there is ncu: {export}",
    )


def read_report(path: Path) -> list[KernelCounters]:
    """Every kernel launch of a .ncu-rep, through NVIDIA's ncu_report package.

    Raises:
        UsageError: it is not a report, only part of one, or one that this version of the package cannot read.
        EnvironmentLacks: the package does not load.
    """
    try:
        import ncu_report
    except ImportError as error:
        raise EnvironmentLacks(f"ncu_report cannot be loaded: {error}", "pip install 'aisp-prof[ncu]'") from error
    stated = refuse_cut_report(path)
    try:
        context = ncu_report.load_report(str(path))
    except (RuntimeError, OSError, ValueError) as error:
        raise UsageError(f"{path} is no report that ncu_report reads: {error}", "pip install -U ncu-report") from error
    actions = [action for part in context for action in part]
    if len(actions) != stated:
        held = f"it states {stated:,} results, and ncu_report finds {len(actions):,}"
        raise UsageError(f"{path} cannot be read whole: {held}", "pip install -U ncu-report")
    return [_launch(index, action) for index, action in enumerate(actions)]


def _launch(index: int, action: Any) -> KernelCounters:
    metrics = {name: action[name] for name in action.metric_names()}
    values = {name: value for name, metric in metrics.items() if (value := _value(metric)) is not None}
    return KernelCounters(
        index=index,
        name=str(action.name(action.NameBase_DEMANGLED)),
        grid=_dim(values, "grid"),
        block=_dim(values, "block"),
        device=int(values.get("launch__device_id", 0)),
        compute_capability=capability(values),
        metrics=values,
        nvtx=_ranges(action.nvtx_state()),
        derived=exact_totals(values),
    )


def _value(metric: Any) -> float | None:
    """A metric's number in base units; None for text and for what was not counted. Whole floats become exact ints."""
    if not metric.has_value():
        return None
    value = metric.value()
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return base(int(value) if value == int(value) else value, metric.unit())


def _dim(values: dict[str, float], what: str) -> Dim:
    x, y, z = (int(values.get(f"launch__{what}_dim_{axis}", 1)) for axis in "xyz")
    return x, y, z


def _ranges(state: Any) -> tuple[NvtxRange, ...]:
    if not state:
        return ()
    domains = [state.domain_by_id(number) for number in state.domains()]
    pushed = [NvtxRange(d.name(), name, "push_pop") for d in domains for name in d.push_pop_ranges()]
    started = [NvtxRange(d.name(), name, "start_end") for d in domains for name in d.start_end_ranges()]
    return (*pushed, *started)
