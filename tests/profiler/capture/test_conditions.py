from __future__ import annotations

import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from aisp_prof.profiler.capture import conditions
from aisp_prof.profiler.capture.conditions import Sampler, count_others, open_gpu, throttle_names


class NVMLError(Exception):
    pass


class FakeNvml(ModuleType):
    """pynvml of a machine with one H200; `broken` names functions that fail."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    answers: dict[str, Any] = {  # noqa: RUF012
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlSystemGetDriverVersion": "580.159.04",
        "nvmlDeviceGetHandleByIndex": "h",
        "nvmlDeviceGetHandleByUUID": "u",
        "nvmlDeviceGetName": b"NVIDIA H200",
        "nvmlDeviceGetUUID": "GPU-a0ae",
        "nvmlDeviceGetCudaComputeCapability": (9, 0),
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=150_109_880_320),
        "nvmlDeviceGetEccMode": [1, 1],
        "nvmlDeviceGetMigMode": [0, 0],
        "nvmlDeviceGetEnforcedPowerLimit": 700_000,
        "nvmlDeviceGetCurrPcieLinkGeneration": 5,
        "nvmlDeviceGetCurrPcieLinkWidth": 16,
        "nvmlDeviceGetClockInfo": 1980,
        "nvmlDeviceGetTemperature": 31,
        "nvmlDeviceGetPowerUsage": 76_500,
        "nvmlDeviceGetCurrentClocksEventReasons": 0x24,
        "nvmlDeviceGetComputeRunningProcesses": [],
    }

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.broken: set[str] = set()
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in self.answers:
            raise AttributeError(name)

        def answer(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            if name in self.broken:
                raise NVMLError(name)
            return self.answers[name]

        return answer


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def test_facts(nvml: FakeNvml) -> None:
    with open_gpu() as gpu:
        assert gpu is not None
        assert gpu.facts() == {
            "name": "NVIDIA H200",
            "uuid": "GPU-a0ae",
            "driver": "580.159.04",
            "compute_capability": "9.0",
            "memory_bytes": 150_109_880_320,
            "ecc": True,
            "mig": False,
            "power_limit_w": 700.0,
            "pcie_generation": 5,
            "pcie_width": 16,
        }
    assert nvml.asked[-1] == ("nvmlShutdown",)


def test_what_is_not_answered_is_none_never_zero(nvml: FakeNvml) -> None:
    nvml.broken = {name for name in nvml.answers if name.startswith("nvmlDeviceGet") and "Handle" not in name}
    with open_gpu() as gpu:
        assert gpu is not None
        assert set(gpu.facts().values()) == {None, "580.159.04"}
        sample = gpu.sample(lambda pid: True)
        assert set(sample) - {name for name, value in sample.items() if value is None} == {"utc_ns"}


@pytest.mark.parametrize("broken", ["nvmlInit", "nvmlDeviceGetHandleByIndex"])
def test_without_driver_or_gpu(nvml: FakeNvml, broken: str) -> None:
    nvml.broken = {broken}
    with open_gpu() as gpu, Sampler(gpu, "m") as sampler:
        assert gpu is None
        assert sampler.now() is None
    assert sampler.samples == []


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with open_gpu() as gpu:
        assert gpu is None


@pytest.mark.parametrize(
    ("visible", "asked"),
    [
        ("2,0", ("nvmlDeviceGetHandleByIndex", 2)),
        ("GPU-a0ae,1", ("nvmlDeviceGetHandleByUUID", "GPU-a0ae")),
        ("", None),
        ("MIG-1", None),
    ],
)
def test_the_gpu_that_the_child_sees_first(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, visible: str, asked: tuple[Any, ...] | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with open_gpu() as gpu:
        assert (gpu is None) == (asked is None)
    assert asked is None or asked in nvml.asked


def test_a_sample(nvml: FakeNvml) -> None:
    before = time.time_ns()
    with open_gpu() as gpu:
        sample = Sampler(gpu, "m").now()
    assert sample is not None
    assert before <= sample.pop("utc_ns") <= time.time_ns()
    assert sample == {
        "sm_mhz": 1980,
        "mem_mhz": 1980,
        "temperature_c": 31,
        "power_w": 76.5,
        "throttle_reasons": ["sw_power_cap", "sw_thermal_slowdown"],
        "other_processes": 0,
    }


def test_sampling_runs_beside_the_block_and_ends_with_it(nvml: FakeNvml) -> None:
    with open_gpu() as gpu:
        sampler = Sampler(gpu, "m", period_s=0.002)
        for _ in range(2):
            with sampler:
                time.sleep(0.05)
        count = len(sampler.samples)
        time.sleep(0.02)
        assert len(sampler.samples) == count > 4
    times = [sample["utc_ns"] for sample in sampler.samples]
    assert times == sorted(times)


def test_a_long_run_is_thinned_evenly(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "KEPT_SAMPLES", 8)
    with open_gpu() as gpu, Sampler(gpu, "m", period_s=0.001) as sampler:
        time.sleep(0.1)
    assert 4 <= len(sampler.samples) < 8
    assert sampler.samples[-1]["utc_ns"] - sampler.samples[0]["utc_ns"] > 30_000_000


def test_throttle_names() -> None:
    assert throttle_names(0) == []
    assert throttle_names(0x1001) == ["gpu_idle", "0x1000"]


def test_other_processes_are_counted_only_where_all_can_be_told() -> None:
    processes = [SimpleNamespace(pid=1), SimpleNamespace(pid=2), SimpleNamespace(pid=3)]
    assert count_others(processes, lambda pid: pid == 2) == 2
    assert count_others(processes, lambda pid: None if pid == 2 else True) is None
    assert count_others(None, lambda pid: True) is None
    assert count_others([], lambda pid: None) == 0
