"""The record of one run of a pair: what ran where, whether its outputs are right, and every measured iteration."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..declaration import Phase
from ..errors import UsageError
from ..kernels.gemm.cublaslt import Chosen
from ..machine.files import output_file
from .device import Kind
from .hardware import Gpu
from .pair import Declared, MachineCode
from .sources import Source

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Validation:
    """The outcome of comparing whole outputs with an fp64 reference.

    max_relative_error   variant -> largest ‖out − ref‖ / ‖ref‖ over all trials; None where it is not finite
    bitwise              all outputs equal the unchunked run bit for bit; None where the pair does not declare it
    rejects              wrong output ("zeros", "stale", "permuted") -> whether the same check refuses it
    """

    max_relative_error: Mapping[str, float | None]
    tolerance: float
    bitwise: bool | None
    rejects: Mapping[str, bool]

    @property
    def valid(self) -> bool:
        """Whether outputs are right, by a check that has been shown to refuse wrong ones."""
        right = all(error is not None and error <= self.tolerance for error in self.max_relative_error.values())
        return right and self.bitwise is not False and all(self.rejects.values())

    def to_json(self) -> dict[str, Any]:
        return {"valid": self.valid, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Timed:
    """One measured iteration: `index` counts within its variant, `event_ns` is between the harness's two events."""

    variant: str
    index: int
    event_ns: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """`warmup` counts the unmeasured iterations of each variant; `iterations` are in the order they ran.

    hold_ns   how long the GPU was held back so that the host could queue each iteration; 0 if it was not
    """

    warmup: Mapping[str, int]
    hold_ns: int
    iterations: tuple[Timed, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One run. `measured` is None if the outputs were only checked, and must be None if they are not valid.

    declared   variant -> what an iteration needs by the pair's formulas; empty where it has none
    code       variant -> what was compiled for it; empty where that is not the pair's subject, and then no part of the JSON
    chosen     variant -> what a library runs for it; empty where that is not the pair's subject, and then no part of the JSON
    phases     variant -> what of its work may run side by side; empty where the pair does not say, and then no part of the JSON
    sources    the user's files that a pair outside this package is made of; empty for a chapter's, and then no part of the JSON
    """

    pair: str
    device: Kind
    size: str
    sizes: Mapping[str, int]
    seed: int
    versions: Mapping[str, str | None]
    gpu: Gpu | None
    validation: Validation
    measured: Measurement | None
    declared: Mapping[str, Declared] = field(default_factory=dict)
    code: Mapping[str, MachineCode] = field(default_factory=dict)
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    phases: Mapping[str, tuple[Phase, ...]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        if self.measured is not None and not self.validation.valid:
            raise ValueError(f"{self.pair}: a run whose outputs are not valid has no times")

    def to_json(self) -> dict[str, Any]:
        measured = self.measured or Measurement({}, 0, ())
        code = {variant: asdict(made) for variant, made in self.code.items()}
        return {
            **({"code": code} if code else {}),
            **({"chosen": {variant: asdict(one) for variant, one in self.chosen.items()}} if self.chosen else {}),
            "schema": SCHEMA,
            "pair": self.pair,
            "device": self.device,
            "size": self.size,
            "sizes": dict(self.sizes),
            "seed": self.seed,
            "versions": dict(self.versions),
            "gpu": None if self.gpu is None else asdict(self.gpu),
            "validation": self.validation.to_json(),
            "declared": {variant: asdict(work) for variant, work in self.declared.items()},
            **({"phases": _plain(self.phases)} if self.phases else {}),
            **({"sources": [asdict(source) for source in self.sources]} if self.sources else {}),
            "warmup": dict(measured.warmup),
            "hold_ns": measured.hold_ns,
            "order": [timed.variant for timed in measured.iterations],
            "iterations": [asdict(timed) for timed in measured.iterations],
        }


def _plain(phases: Mapping[str, tuple[Phase, ...]]) -> dict[str, list[dict[str, Any]]]:
    return {variant: [asdict(phase) for phase in given] for variant, given in phases.items()}


def write_record(record: Record, path: Path) -> None:
    """Write `record` as JSON, as `write_text` does.

    Raises:
        UsageError: the folder does not exist or cannot be written to.
    """
    write_text(path, json.dumps(record.to_json(), indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write as `output_file` does: until it is done, readers see what was there before.

    Raises:
        UsageError: the folder does not exist or cannot be written to.
    """
    try:
        with output_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "name a file in a writable folder") from error


def check_writable(path: Path) -> None:
    """Refuse a `path` that `write_record` could not write, before minutes are spent.

    Raises:
        UsageError: `path` is a folder, or its folder does not exist or is not writable.
    """
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}", "name a file in a writable folder")
