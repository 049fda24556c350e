"""A repository of a user's own: a pair declared by a class, a pyproject.toml that names it, and captures of it without a GPU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.store.manifest import folder_facts, write_manifest
from pair_trace import manifest, overlapped, run_pair, runs, serial
from trace_builder import Process, TraceBuilder

KEY = "fused.four_streams"
PYPROJECT = '[project]\nname = "mine"\nversion = "1"\n\n[tool.aisp-prof]\npairs = ["bench/*.py"]\n'
PAIR = '''"""Overlap."""

import aisp_prof


@aisp_prof.pair(claims=["speedup >= 1.5", "optimized.overlap(h2d, d2h) >= 20us"], attribution="thread", queued=False)
class FourStreams:
    """Four streams instead of one."""

    def inputs(self, seed): ...

    def baseline(self): ...

    def optimized(self): ...

    def reference(self): ...
'''
Iteration = Callable[[Process, int, int], int]


def repository(folder: Path, pyproject: str = PYPROJECT, **files: str) -> Path:
    """A folder with `bench/fused.py` and whatever else; `bench__more` is the file bench/more.py."""
    written = {"pyproject.toml": pyproject, "bench/fused.py": PAIR}
    written |= {f"{name.replace('__', '/')}.py": text for name, text in files.items()}
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def captured(
    repo: Path, at: str = "2026-11-20T21:23:00Z", optimized: Iteration = overlapped, claims: tuple[str, ...] = ()
) -> str:
    """A capture of the pair in the repository, below its aisp-captures, as a GPU would have made it; returns its id."""
    trace = TraceBuilder()
    run_pair(trace, 10, serial, optimized, pair=KEY)
    name = f"{KEY}-{at.replace('-', '').replace(':', '')}-7e57ed"
    folder = repo / "aisp-captures" / name
    folder.mkdir(parents=True)
    trace.write(folder / "trace.sqlite")
    stated = claims or ("speedup >= 1.5", "optimized.overlap(h2d, d2h) >= 20us")
    data = manifest(stated, id=name, created_utc=at, runs=_of(repo, runs(1.0)))
    data["declaration"] |= {
        "chapter": "fused", "name": "four_streams", "topic": {"en": "Overlap"}, "tolerance": 1e-3, "bitwise": False,
        "title": {"en": "Four streams instead of one"}, "perturbation_band": 0.1, "sizes": {"default": {}},
        "sentence": {"en": "Four streams instead of one: the optimized variant ends {speedup} than the baseline."},
        "compares": {"en": "Every variant computes the same output from the same inputs."},
        "variants": {"baseline": {"en": "Baseline"}, "optimized": {"en": "Optimized"}},
        "attribution": "thread",
    }  # fmt: skip
    data |= {"sizes": {}, "command": ["aisp-prof", "capture", "bench/fused.py"], "files": folder_facts(folder)}
    write_manifest(Manifest.from_json(data), folder)
    return name


def _of(repo: Path, told: dict[str, Any]) -> dict[str, Any]:
    """The runs as the pair's own program tells of them: with the hashes of the files that it is made of."""
    sha256 = hashlib.sha256((repo / "bench" / "fused.py").read_bytes()).hexdigest()
    for record in told.values():
        record["sources"] = [{"file": "bench/fused.py", "sha256": sha256}]
        record["validation"] |= {"tolerance": 1e-3, "bitwise": None}
    return told
