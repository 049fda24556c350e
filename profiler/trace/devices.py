"""Which physical GPU is meant: a CUDA ordinal means something only inside its process."""

from __future__ import annotations

import sqlite3

import numpy as np

from .columns import Int64
from .model import Gpu, pid_of
from .schema import Schema, quote


def physical_gpus(
    connection: sqlite3.Connection, schema: Schema, process: Int64, device: Int64
) -> tuple[Int64, tuple[Gpu, ...]]:
    """Physical devices: a CUDA ordinal means something only inside its process (CUDA_VISIBLE_DEVICES)."""
    known = _uuids(connection, schema)
    pairs = sorted(set(zip(process.tolist(), device.tolist(), strict=True)))
    index: dict[tuple[str, int, int], int] = {}
    found: list[Gpu] = []
    of_pair: dict[tuple[int, int], int] = {}
    for key, ordinal in pairs:
        uuid, name = known.get((pid_of(key), ordinal), ("", ""))
        identity = (uuid, 0, 0) if uuid else ("", key, ordinal)
        if identity not in index:
            index[identity] = len(found)
            found.append(Gpu(uuid, name, key, ordinal))
        of_pair[key, ordinal] = index[identity]
    gpu = [of_pair[p] for p in zip(process.tolist(), device.tolist(), strict=True)]
    return np.array(gpu, np.int64), tuple(found)


def _uuids(connection: sqlite3.Connection, schema: Schema) -> dict[tuple[int, int], tuple[str, str]]:
    """(pid, CUDA ordinal) -> uuid and name, where the export says."""
    devices, gpus = "TARGET_INFO_CUDA_DEVICE", "TARGET_INFO_GPU"
    if not (schema.has(devices, "gpuId", "cudaId", "pid") and schema.has(gpus, "id", "uuid", "name")):
        return {}
    join = (
        f"SELECT d.pid, d.cudaId, g.uuid, g.name FROM {quote(schema.tables[devices])} d "
        f"JOIN {quote(schema.tables[gpus])} g ON g.id = d.gpuId"
    )
    return {(pid, ordinal): (str(uuid or ""), str(name or "")) for pid, ordinal, uuid, name in connection.execute(join)}
