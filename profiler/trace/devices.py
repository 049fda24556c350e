"""Which physical GPU is meant: a CUDA ordinal means something only inside its process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import gathered
from ..arrays.codes import Codes, counted, narrowest
from ..arrays.groups import distinct_values, looked_up
from ..arrays.growing import constant
from ..arrays.types import Int64
from .model import Gpu, pid_of
from .schema import Schema
from .source.scan import Source

_FEW = 1 << 16


def physical_gpus(source: Source, schema: Schema, process: Int64, device: Int64) -> tuple[Int64, tuple[Gpu, ...]]:
    """Physical devices: a CUDA ordinal means something only inside its process (CUDA_VISIBLE_DEVICES).

    Returns:
        for each operation, shape (n,), an index into the devices found.
    """
    known = _identities(source, schema)
    of_process, of_device = Codes.of(process), Codes.of(device)
    processes, devices = of_process.values, of_device.values
    pair = _pair(of_process, of_device)
    pairs = (
        distinct_values(pair)
        if pair.dtype == np.int64
        else np.flatnonzero(counted(pair, len(processes) * len(devices)))
    )
    index: dict[tuple[str, int, int], int] = {}
    gpus: list[Gpu] = []
    of_pair = []
    for code in pairs.tolist():
        key, ordinal = int(processes[code // len(devices)]), int(devices[code % len(devices)])
        uuid, name, multiprocessors = _identity(key, known.get((pid_of(key), ordinal), []))
        identity = (uuid, 0, 0) if uuid else ("", key, ordinal)
        if identity not in index:
            index[identity] = len(gpus)
            gpus.append(Gpu(uuid, name, key, ordinal, multiprocessors))
        of_pair.append(index[identity])
    return _of_pairs(pair, pairs, of_pair), tuple(gpus)


def _pair(a: Codes, b: Codes) -> NDArray[Any]:
    """One number for two codes, in few bytes where they are few."""
    size = len(a.values) * len(b.values)
    if len(b.values) < 2 and size <= _FEW:
        return a.code
    kind = narrowest(size) if size <= _FEW else np.dtype(np.int64)
    return a.code.astype(kind) * kind.type(len(b.values)) + b.code.astype(kind)


def _of_pairs(pair: NDArray[Any], pairs: Int64, results: Sequence[int]) -> Int64:
    """For every pair the result of its kind; `pairs` are the kinds there are."""
    told = np.array(results, np.int64)
    if len(pairs) < 2:
        return constant(told[0], len(pair), np.int64) if len(pairs) else np.empty(0, np.int64)
    if pair.dtype == np.int64:
        return looked_up(pair, pairs, told).astype(np.int64, copy=False)
    table = np.zeros(int(pairs[-1]) + 1, np.int64)
    table[pairs] = told
    return gathered(table, pair)


_Card = tuple[int, str, str, int]
"""Host or VM, uuid, name and multiprocessors of a GPU."""
_HOST = -(1 << 48)
"""The top 16 bits of a globalPid, and of a GPU's vmId."""


def _identities(source: Source, schema: Schema) -> dict[tuple[int, int], list[_Card]]:
    """(pid, CUDA ordinal) -> the GPUs that the export gives for it; several where hosts or containers share a pid."""
    gpus = "TARGET_INFO_GPU"
    seen: dict[tuple[int, int], list[_Card]] = {}
    if not schema.has(gpus, "id", "uuid", "name"):
        return seen
    more = tuple(column for column in ("vmId", "smCount") if schema.has(gpus, column))
    cards: dict[object, list[_Card]] = {}
    for card, uuid, name, *rest in source.records(schema.tables[gpus], ("id", "uuid", "name", *more)):
        own = {column: value for column, value in zip(more, rest, strict=True) if isinstance(value, int)}
        one = (own.get("vmId", 0) & _HOST, str(uuid or ""), str(name or ""), own.get("smCount", 0))
        cards.setdefault(card, []).append(one)
    for pid, ordinal, card in _seen(source, schema):
        seen.setdefault((pid, ordinal), []).extend(cards.get(card, ()))
    return seen


def _seen(source: Source, schema: Schema) -> list[tuple[int, int, object]]:
    """pid, CUDA ordinal and GPU of every device that a process knew."""
    devices = "TARGET_INFO_CUDA_DEVICE"
    if not schema.has(devices, "gpuId", "cudaId", "pid"):
        return []
    rows = source.records(schema.tables[devices], ("pid", "cudaId", "gpuId"))
    return [(pid, ordinal, card) for pid, ordinal, card in rows if isinstance(pid, int) and isinstance(ordinal, int)]


def ordinals(source: Source, schema: Schema) -> dict[int, set[int]]:
    """pid -> the CUDA devices it knew; empty where the export does not say."""
    by_process: dict[int, set[int]] = {}
    for pid, ordinal, _ in _seen(source, schema):
        by_process.setdefault(pid, set()).add(ordinal)
    return by_process


def _identity(process: int, cards: list[_Card]) -> tuple[str, str, int]:
    """uuid, name and multiprocessors of a process's GPU, each "" or 0 where it may be one of several."""
    mine = [card for card in cards if card[0] == process & _HOST] or cards
    uuids, names, counts = ({card[field] for card in mine} for field in (1, 2, 3))
    return _only(uuids, ""), _only(names, ""), _only(counts, 0)


def _only(values: set[Any], otherwise: Any) -> Any:
    return values.pop() if len(values) == 1 else otherwise


def labels(gpus: Sequence[Gpu]) -> list[str]:
    """A label that tells each GPU from the others: its uuid, else its CUDA ordinal and process, with that process's
    host or container where two share a pid."""
    plain = [gpu.uuid or f"device {gpu.device} of process {pid_of(gpu.process)}" for gpu in gpus]
    times = Counter(plain)
    return [
        f"{text} on host {gpu.process >> 48 & 0xFFFF}" if not gpu.uuid and times[text] > 1 else text
        for gpu, text in zip(gpus, plain, strict=True)
    ]
