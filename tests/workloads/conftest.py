"""What the tests of workloads share: the real pair at its small size on a CPU, and an NVTX domain that writes down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.streams import PAIR
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.pair import Workload


@dataclass
class RecordingDomain:
    """Stands for an nvtx.Domain: `calls` holds (event, name, category, payload) in order."""

    calls: list[tuple[str, str, str | None, int | None]] = field(default_factory=list)
    _open: list[Any] = field(default_factory=list)
    _started: dict[int, Any] = field(default_factory=dict)

    def get_event_attributes(
        self,
        message: str | None = None,
        color: str | None = None,
        category: str | None = None,
        payload: int | None = None,
    ) -> Any:
        return (message, category, payload)

    def push_range(self, attributes: Any) -> None:
        self._open.append(attributes)
        self.calls.append(("push", *attributes))

    def pop_range(self) -> None:
        self.calls.append(("pop", *self._open.pop()))

    def start_range(self, attributes: Any) -> int:
        self._started[len(self._started) + 1] = attributes
        self.calls.append(("start", *attributes))
        return len(self._started)

    def end_range(self, range_id: int) -> None:
        self.calls.append(("end", *self._started[range_id]))


@pytest.fixture
def domain() -> RecordingDomain:
    return RecordingDomain()


@pytest.fixture
def notes(domain: RecordingDomain) -> Notes:
    return Notes(domain)


@pytest.fixture
def workload() -> Workload:
    return PAIR.build(CpuDevice(), PAIR.declaration.sizes["small"])
