"""What of a manifest may be published: an allow-list of its fields, and no absolute path in any of their texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..manifest import ORIGIN, Manifest
from .allow_list import without_paths

ANY = "*"
"""Stands for every name of an object whose names the pair gives: its sizes, its variants."""

_PLAIN = re.compile(r"[\w.+-]{1,100}")

VERBATIM = "verbatim"
"""Names of ranges, by which iterations are found: the trace itself holds them, and with another name a proof would be another."""

Allowed = Mapping[str, Any] | str | None
"""name -> what is allowed below it; None: numbers, texts, and lists of these. A list has what its items have."""


def _leaves(*names: str) -> dict[str, Allowed]:
    return dict.fromkeys(names)


_GPU = _leaves(
    *("name", "uuid", "driver", "compute_capability", "memory_bytes", "ecc", "mig", "power_limit_w"),
    *("pcie_generation", "pcie_width", "l2_bytes", "sm_count"),
)
_VERSIONS = _leaves("aisp_prof", "python", "torch", "triton", "nvtx", "cuda", "driver", "nsys", "tracer", "ncu")
_SAMPLE = _leaves("utc_ns", "sm_mhz", "mem_mhz", "temperature_c", "power_w", "throttle_reasons", "other_processes")
_CONDITIONS = dict.fromkeys(("before", "during", "after"), _SAMPLE)
_EACH = _leaves(ANY)
_RUN = {
    **_leaves("schema", "pair", "device", "size", "seed", "hold_ns", "order"),
    "sizes": _EACH,
    "versions": _VERSIONS,
    "gpu": _GPU,
    "validation": {**_leaves("valid", "bitwise", "tolerance"), "max_relative_error": _EACH, "rejects": _EACH},
    "declared": {ANY: _leaves("flops", "bytes", "ceiling")},
    "phases": {ANY: {**_leaves("h2d", "d2h", "dram", "launches"), "flops": _EACH}},
    "code": {ANY: {**_leaves("compiler", "warps", "sha256"), "instructions": _EACH}},
    "chosen": {ANY: _leaves("algorithm", "tile", "stages", "cluster", "workspace", "rank", "candidates")},
    "sources": _leaves("file", "sha256"),
    "warmup": _EACH,
    "iterations": _leaves("variant", "index", "event_ns"),
}
_CEILINGS = {
    "created_utc": None,
    "gpu": _GPU,
    "versions": _VERSIONS,
    "ceilings": _leaves(
        *("name", "unit", "what", "work", "times_ns", "began_utc_ns", "ended_utc_ns"),
        *("value", "n", "p5", "p95", "sm_mhz"),
    ),
    "unsupported": _leaves("name", "reason"),
    "calibration": {
        **_leaves("ncu", "reason", "mend"),
        "rows": _leaves("type", "counted", "declared", "ratio", "ok"),
    },
    "conditions": _CONDITIONS,
}
_RAN = _leaves("variant", "began_utc_ns", "ended_utc_ns")
_ORIGIN = {
    "kind": None,
    **dict.fromkeys(("sources", "drivers", "clocks", "commands"), _EACH),
    **dict.fromkeys(("ranges", "domain"), VERBATIM),
    **dict.fromkeys(("traced", "bare"), _RAN),
}
"""Without the names of the environment's variables: they tell what a machine is used for."""
FIELDS: Mapping[str, Allowed] = {
    "sizes": _EACH,
    "gpus": _GPU,
    "versions": _VERSIONS,
    "command": None,
    "commit": _leaves("sha", "dirty"),
    "conditions": _CONDITIONS,
    "runs": {ANY: _RUN},
    "counters": _leaves("files", "tier", "ncu", "iterations", "reason", "mend", "sections", "sections_reason"),
    "ceilings": _CEILINGS,
    ORIGIN: _ORIGIN,
}
"""What captures write; the declaration is its author's, and the other fields are checked when a manifest is read."""


def published(manifest: Manifest) -> Manifest:
    """The manifest with what `FIELDS` allows, without absolute paths; publishing it again changes nothing."""
    whole = {**manifest.to_json(), "command": _bare(manifest.command)}
    known = {name: allowed for name, allowed in FIELDS.items() if name in whole}  # a pair has no origin
    return manifest.changed(**{name: allowed_of(whole[name], allowed) for name, allowed in known.items()})


def allowed_of(value: Any, allowed: Allowed) -> Any:
    """The part of plain JSON data that is allowed, its texts without absolute paths."""
    if allowed == VERBATIM:
        return value
    if isinstance(value, str):
        return without_paths(value)
    if isinstance(value, list | tuple):
        return [allowed_of(one, allowed) for one in value]
    if isinstance(value, Mapping):
        inner = allowed if isinstance(allowed, Mapping) else {}
        names = [name for name in value if name in inner or (ANY in inner and _PLAIN.fullmatch(name))]
        return {name: allowed_of(value[name], inner.get(name, inner.get(ANY))) for name in names}
    return value


def _bare(command: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(Path(word).name if place == 0 else word for place, word in enumerate(command))
