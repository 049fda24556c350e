"""Which physical GPU is meant: a CUDA ordinal means something only inside its process."""

from __future__ import annotations

import numpy as np

from .groups import distinct_codes, distinct_values, looked_up
from .model import Gpu, pid_of
from .schema import Schema
from .source.scan import Int64, Source


def physical_gpus(source: Source, schema: Schema, process: Int64, device: Int64) -> tuple[Int64, tuple[Gpu, ...]]:
    """Physical devices: a CUDA ordinal means something only inside its process (CUDA_VISIBLE_DEVICES).

    Returns:
        for each operation, shape (n,), an index into the devices found.
    """
    known = _uuids(source, schema)
    of_process, processes = distinct_codes(process)
    devices = distinct_values(device)
    pair = of_process if len(devices) < 2 else of_process * len(devices) + distinct_codes(device)[0]
    pairs = distinct_values(pair)
    index: dict[tuple[str, int, int], int] = {}
    found: list[Gpu] = []
    of_pair = []
    for code in pairs.tolist():
        key, ordinal = int(processes[code // len(devices)]), int(devices[code % len(devices)])
        uuid, name = known.get((pid_of(key), ordinal), ("", ""))
        identity = (uuid, 0, 0) if uuid else ("", key, ordinal)
        if identity not in index:
            index[identity] = len(found)
            found.append(Gpu(uuid, name, key, ordinal))
        of_pair.append(index[identity])
    gpu = looked_up(pair, pairs, np.array(of_pair, np.int64)) if of_pair else pair
    return gpu.astype(np.int64, copy=False), tuple(found)


def _uuids(source: Source, schema: Schema) -> dict[tuple[int, int], tuple[str, str]]:
    """(pid, CUDA ordinal) -> uuid and name, where the export says."""
    devices, gpus = "TARGET_INFO_CUDA_DEVICE", "TARGET_INFO_GPU"
    if not (schema.has(devices, "gpuId", "cudaId", "pid") and schema.has(gpus, "id", "uuid", "name")):
        return {}
    cards = {card: texts for card, *texts in source.records(schema.tables[gpus], ("id", "uuid", "name"))}
    seen = source.records(schema.tables[devices], ("pid", "cudaId", "gpuId"))
    return {
        (pid, ordinal): (str(cards[card][0] or ""), str(cards[card][1] or ""))
        for pid, ordinal, card in seen
        if card in cards
    }
