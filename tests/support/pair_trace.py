"""A built trace of a baseline/optimized pair, with a manifest to it: what a capture of a tiny `streams` would hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisp_prof.profiler.store.manifest import Manifest, folder_facts, write_manifest
from trace_builder import Process, TraceBuilder

US = 1_000
PAIR = "ch11.streams"
Iteration = Callable[[Process, int, int], int]
CREATED = "2026-11-20T21:23:00Z"
"""A minute after the session of every built trace began."""
_ran: list[dict[str, Any]] = []
"""The iterations of the pair that was built last, as its harness would list them: `manifest` tells of them."""


def serial(p: Process, at: int, wobble: int, chunks: int = 4) -> int:
    """One stream: copy in, kernel, copy out, in turn; 100, 60 and 100 us each. Returns when the last ends."""
    busy = at + 20 * US
    for chunk in range(chunks):
        call = at + chunk * 3
        p.copy("h2d", 5_000_000, (call, call + 1), (busy, busy + 100 * US))
        p.kernel("chain", (call + 1, call + 2), (busy + 100 * US, busy + 160 * US))
        p.copy("d2h", 5_000_000, (call + 2, call + 3), (busy + 160 * US, busy + 260 * US + wobble))
        busy += 260 * US + wobble
    return busy


def overlapped(p: Process, at: int, wobble: int, chunks: int = 4) -> int:
    """As `serial`, but each chunk in a stream of its own: copies in one after the other, the rest beside them."""
    copied, done = at + 20 * US, at + 20 * US
    for chunk in range(chunks):
        call, stream = at + chunk * 3, 13 + chunk
        p.copy("h2d", 5_000_000, (call, call + 1), (copied, copied + 100 * US), stream)
        copied += 100 * US
        p.kernel("chain", (call + 1, call + 2), (copied, copied + 60 * US), stream)
        begin = max(done, copied + 60 * US)
        done = begin + 100 * US + wobble
        p.copy("d2h", 5_000_000, (call + 2, call + 3), (begin, done), stream)
    return done


def run_pair(
    trace: TraceBuilder,
    rounds: int = 4,
    baseline: Iteration = serial,
    optimized: Iteration = overlapped,
    order: str = "ABBA",
    variants: Sequence[tuple[str, Iteration]] = (),
    gpus: Sequence[str] = ("a0ae1ff2-b9e3",),
    pair: str = PAIR,
) -> Process:
    """Interleaved measured iterations of all variants in one process; the letters of `order` are `variants` in turn."""
    variants = variants or (("baseline", baseline), ("optimized", optimized))
    p = trace.process(551)
    for ordinal, uuid in enumerate(gpus):
        p.sees(trace.gpu(uuid), ordinal)
    at, count = 1_000 * US, dict.fromkeys(order, 0)
    _ran.clear()
    for step, letter in enumerate(order * rounds):
        name, run = variants["ABCDEF".index(letter)]
        end = run(p, at + 10, 100 * (step % 5)) + 5 * US
        p.call("cudaDeviceSynchronize_v3020", (at + 100, end - 1))
        p.range(f"{pair}.{name}.measure", at, end + 2, domain="aisp")
        p.range("iter", at + 1, end + 1, domain="aisp", payload=count[letter])
        _ran.append({"variant": name, "index": count[letter], "event_ns": end - at - 2 * US})
        count[letter] += 1
        at = end + 50 * US
    return p


def text(english: str) -> dict[str, str]:
    return {"en": english, "ko": english}


def validation(*variants: str, **changes: Any) -> dict[str, Any]:
    """What the harness says of outputs that are right."""
    errors = dict.fromkeys(variants or ("baseline", "optimized"), 4e-8)
    rejects = dict.fromkeys(("permuted", "stale", "zeros"), True)
    return {
        "valid": True, "tolerance": 1e-6, "bitwise": True, "max_relative_error": errors, "rejects": rejects, **changes
    }  # fmt: skip


def record(factor: float = 1.0, of: Mapping[str, int] | None = None, **changes: Any) -> dict[str, Any]:
    """A run of the pair that was built last, its iterations as long as traced times this factor; `of` says how long a
    variant's are instead."""
    iterations = [{**one, "event_ns": round(factor * (of or {}).get(one["variant"], one["event_ns"]))} for one in _ran]
    return {"validation": validation(*{one["variant"] for one in _ran}, **changes), "iterations": iterations}


def runs(factor: float = 1.0) -> dict[str, Any]:
    """Both runs of the pair that was built last: the traced one took `factor` times as long as the untraced one."""
    return {"traced": record(), "untraced": record(1 / factor)}


def manifest(claims: Sequence[str], **changes: Any) -> dict[str, Any]:
    """A manifest as a capture of the pair that was built last has it, for claims of one's own."""
    return {
        "schema": 1,
        "id": "ch11.streams-20261120T212300Z-7e57ed",
        "created_utc": CREATED,
        "hardware_key": "h200",
        "size": "default",
        "sizes": {"chunks": 4},
        "gpus": [{"name": "NVIDIA H200", "uuid": "GPU-a0ae1ff2-b9e3"}],
        "versions": {"nsys": "2025.3.1.0"},
        "command": ["aisp-prof", "capture", "ch11"],
        "declaration": {
            "chapter": "ch11",
            "name": "streams",
            "topic": text("Streams"),
            "title": text("Copies and kernels in streams"),
            "sentence": text("Four streams finish {speedup} than one."),
            "compares": text("the same work"),
            "variants": {"baseline": text("one stream"), "optimized": text("four streams")},
            "claims": list(claims),
            "sizes": {"default": {"chunks": 4}},
            "tolerance": 1e-6,
            "bitwise": True,
            "perturbation_band": 0.05,
            "queued": False,
            "needs": ["cuda"],
        },
        "conditions": None,
        "commit": {"sha": None, "dirty": False},
        "runs": {"traced": record(), "untraced": {**record(), "iterations": []}},
        "files": {},
        **changes,
    }


def capture_folder(captures: Path, trace: TraceBuilder | bytes, claims: Sequence[str], **changes: Any) -> Path:
    """A whole capture below `captures`, of a built trace or of any bytes in its place; returns its folder."""
    folder = captures / "ch11.streams-test"
    folder.mkdir(parents=True)
    if isinstance(trace, bytes):
        (folder / "trace.sqlite").write_bytes(trace)
    else:
        trace.write(folder / "trace.sqlite")
    rest = {
        "hardware_key": "h200",
        "size": "default",
        "sizes": {"chunks": 4},
        "gpus": [{"name": "NVIDIA H200", "driver": "580", "uuid": "GPU-a0ae1ff2-b9e3"}],
        "versions": {"nsys": "2025.3.1.0"},
        "command": ["aisp-prof", "capture", "ch11"],
    }
    data = {**manifest(claims, **changes), **rest, "files": folder_facts(folder)}
    write_manifest(Manifest.from_json(data), folder)
    return folder
