"""Record the conditions of a measurement: what the GPU is, and its clocks, heat, power and company while it ran."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Self

PERIOD_S = 0.025
KEPT_SAMPLES = 600
"""Samples kept of one run; a longer run is sampled at half the rate each time this number is reached."""

THROTTLE_REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReason…)."""

Sample = dict[str, Any]
"""utc_ns, sm_mhz, mem_mhz, temperature_c, power_w, throttle_reasons, other_processes; None is "not known", never 0."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML sees it; every question that NVML does not answer is None."""

    nvml: ModuleType
    handle: Any

    def facts(self) -> dict[str, Any]:
        """What does not change during a capture: memory in bytes, power limit in watts."""
        nvml, ask = self.nvml, self._ask
        capability = ask("nvmlDeviceGetCudaComputeCapability")
        memory, limit = ask("nvmlDeviceGetMemoryInfo"), ask("nvmlDeviceGetEnforcedPowerLimit")
        return {
            "name": _text(ask("nvmlDeviceGetName")),
            "uuid": _text(ask("nvmlDeviceGetUUID")),
            "driver": _text(_answer(nvml.nvmlSystemGetDriverVersion, nvml)),
            "compute_capability": None if capability is None else f"{capability[0]}.{capability[1]}",
            "memory_bytes": None if memory is None else int(memory.total),
            "ecc": _enabled(ask("nvmlDeviceGetEccMode")),
            "mig": _enabled(ask("nvmlDeviceGetMigMode")),
            "power_limit_w": None if limit is None else limit / 1000,
            "pcie_generation": ask("nvmlDeviceGetCurrPcieLinkGeneration"),
            "pcie_width": ask("nvmlDeviceGetCurrPcieLinkWidth"),
        }

    def sample(self, own: Callable[[int], bool | None]) -> Sample:
        """The state now. `own` tells of a process id whether it belongs to the capture (None: cannot tell).

        `utc_ns` is the wall clock in ns since 1970: a moment of a trace is TARGET_INFO_SESSION_START_TIME.utcEpochNs + t.
        """
        ask = self._ask
        power = ask("nvmlDeviceGetPowerUsage")
        return {
            "utc_ns": time.time_ns(),
            "sm_mhz": ask("nvmlDeviceGetClockInfo", self.nvml.NVML_CLOCK_SM),
            "mem_mhz": ask("nvmlDeviceGetClockInfo", self.nvml.NVML_CLOCK_MEM),
            "temperature_c": ask("nvmlDeviceGetTemperature", self.nvml.NVML_TEMPERATURE_GPU),
            "power_w": None if power is None else power / 1000,
            "throttle_reasons": self._throttle_reasons(),
            "other_processes": count_others(ask("nvmlDeviceGetComputeRunningProcesses"), own),
        }

    def _throttle_reasons(self) -> list[str] | None:
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # the older name of the same call
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return None if bits is None else throttle_names(bits)

    def _ask(self, function: str, *arguments: Any) -> Any:
        call = getattr(self.nvml, function, None)
        return None if call is None else _answer(partial(call, self.handle, *arguments), self.nvml)


def throttle_names(bits: int) -> list[str]:
    """The names of the set bits, lowest first; an unknown bit is named by its number."""
    single = (1 << position for position in range(bits.bit_length()) if bits >> position & 1)
    return [THROTTLE_REASONS.get(bit, hex(bit)) for bit in single]


def count_others(processes: Iterable[Any] | None, own: Callable[[int], bool | None]) -> int | None:
    """How many compute processes on the GPU are not the capture's own; None when one of them cannot be told.

    Inside a container NVML may report process ids of the host, which mean nothing here.
    """
    if processes is None:
        return None
    belongs = [own(int(process.pid)) for process in processes]
    return None if None in belongs else belongs.count(False)


def carries_mark(mark: str, pid: int) -> bool | None:
    """Whether a process was started with this mark (child.MARK) in its environment; None when it cannot be looked at."""
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None


def _answer(call: Callable[[], Any], nvml: ModuleType) -> Any:
    try:
        return call()
    except nvml.NVMLError:
        return None


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _enabled(modes: Any) -> bool | None:
    """NVML answers (current, pending); what counts is the current mode."""
    return None if modes is None else bool(modes[0])


@contextmanager
def open_gpu() -> Iterator[Gpu | None]:
    """The GPU that a child sees as cuda:0, or None without NVML, a driver or a GPU."""
    try:
        import pynvml as nvml
    except ImportError:
        yield None
        return
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        yield None
        return
    try:
        handle = _answer(partial(_first_visible, nvml), nvml)
        yield None if handle is None else Gpu(nvml, handle)
    finally:
        nvml.nvmlShutdown()


def _first_visible(nvml: ModuleType) -> Any:
    """CUDA_VISIBLE_DEVICES holds indices or UUIDs; child.py gives the child NVML's own order (CUDA_DEVICE_ORDER)."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    if first.startswith("GPU-"):
        return nvml.nvmlDeviceGetHandleByUUID(first)
    return None  # none visible (""), or a MIG slice, whose clocks and power are not its own


@dataclass(slots=True)
class Sampler:
    """Samples the GPU from a thread of this process while its `with` block runs; the profiled child stays untouched."""

    gpu: Gpu | None
    mark: str
    period_s: float = PERIOD_S
    samples: list[Sample] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def now(self) -> Sample | None:
        """One sample, None without NVML."""
        return None if self.gpu is None else self.gpu.sample(partial(carries_mark, self.mark))

    def __enter__(self) -> Self:
        if self.gpu is not None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="aisp-prof conditions", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        run: list[Sample] = []
        period_s = self.period_s
        while not self._stop.is_set():
            if (sample := self.now()) is not None:
                run.append(sample)
            if len(run) >= KEPT_SAMPLES:
                del run[1::2]
                period_s *= 2
            self._stop.wait(period_s)
        self.samples.extend(run)
