"""Bundles that a forger makes with this very program, of a capture whose manifest he changed first: every hash and page fits."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import FILE_NAME, Manifest
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.write import write_bundle
from forgery import Files, Mutation

Edit = Callable[[dict[str, Any]], Any]


def _times(data: dict[str, Any], run: str, variant: str, factor: float) -> None:
    for one in data["runs"][run]["iterations"]:
        if one["variant"] == variant:
            one["event_ns"] = max(1, round(one["event_ns"] * factor))


def _valid(data: dict[str, Any], **values: Any) -> None:
    for run in data["runs"].values():
        run["validation"].update(values)


def _best(data: dict[str, Any], count: int) -> None:
    """The shortest iterations of each variant, numbered anew."""
    for run in data["runs"].values():
        for variant in {one["variant"] for one in run["iterations"]}:
            mine = sorted((o for o in run["iterations"] if o["variant"] == variant), key=lambda one: one["event_ns"])
            run["iterations"] = [one for one in run["iterations"] if one not in mine[count:]]
            for place, one in enumerate(o for o in run["iterations"] if o["variant"] == variant):
                one["index"] = place
        run["order"] = [one["variant"] for one in run["iterations"]]


def _claim(data: dict[str, Any], text: str) -> None:
    data["declaration"]["claims"][0] = text


def _both(data: dict[str, Any], field: str, value: Any) -> None:
    data["declaration"][field] = value
    if field == "tolerance":
        _valid(data, tolerance=value)


def _sizes(data: dict[str, Any], factor: float) -> None:
    """Said alike wherever a manifest says it."""
    sizes = {name: max(1, round(number * factor)) for name, number in data["sizes"].items()}
    data["sizes"] = data["declaration"]["sizes"][data["size"]] = sizes
    for run in data["runs"].values():
        run["sizes"] = sizes


def _told_gpu(data: dict[str, Any], **facts: Any) -> None:
    for gpu in (*data["gpus"], *(run["gpu"] for run in data["runs"].values())):
        gpu.update(facts)


def _dated(data: dict[str, Any], text: str) -> None:
    stamp = text.replace("-", "").replace(":", "")
    pair, _, rest = data["id"].partition("-")
    data.update(created_utc=text, id=f"{pair}-{stamp}-{rest.rpartition('-')[2]}")


EDITS: dict[str, tuple[Edit, str]] = {
    "untraced times by 50": (lambda m: _times(m, "untraced", "optimized", 0.02), "untraced_implausible"),
    "untraced times of the baseline by 50": (
        lambda m: _times(m, "untraced", "baseline", 50), "untraced_implausible"
    ),
    "untraced times a quarter shorter": (lambda m: _times(m, "untraced", "optimized", 0.75), "untraced_implausible"),
    "all times by 50": (
        lambda m: [_times(m, run, "optimized", 0.02) for run in ("traced", "untraced")], "event_times_differ"
    ),
    "the best 6 of all iterations": (lambda m: _best(m, 6), "iterations_differ"),
    "no untraced validation": (lambda m: m["runs"]["untraced"].pop("validation"), "outputs_invalid"),
    "no runs": (lambda m: m.update(runs={}), "not_validated"),
    "an error of 5": (lambda m: _valid(m, max_relative_error={"baseline": 0.0, "optimized": 5.0}), "outputs_invalid"),
    "no errors": (lambda m: _valid(m, max_relative_error=None), "not_validated"),
    "a tolerance without end": (lambda m: _both(m, "tolerance", 1e9), "limit_too_wide"),
    "a band without end": (lambda m: _both(m, "perturbation_band", 1e9), "limit_too_wide"),
    "a GPU of another name": (lambda m: _told_gpu(m, name="NVIDIA B200"), "manifest_contradicts"),
    "a GPU of another uuid": (lambda m: _told_gpu(m, uuid="GPU-0"), "manifest_contradicts"),
    "a date long after": (lambda m: _dated(m, "2027-03-01T00:00:00Z"), "manifest_contradicts"),
    "a date long before": (lambda m: _dated(m, "2025-03-01T00:00:00Z"), "manifest_contradicts"),
    "a claim that anything meets": (lambda m: _claim(m, "speedup >= 0.5"), "this code claims"),
    "a claim left out": (lambda m: m["declaration"]["claims"].pop(), "this code claims"),
    "one claim alone": (lambda m: m["declaration"].update(claims=["speedup >= 1"]), "this code claims"),
    "a sentence": (
        lambda m: m["declaration"]["sentence"].update(dict.fromkeys(("en", "ko"), "9.99 times, {speedup}")), "sentence"
    ),
    "a caption": (lambda m: m["declaration"]["variants"][0]["caption"].update(en="the usual way"), "variants"),
    "a wider tolerance": (lambda m: _both(m, "tolerance", 0.05), "tolerance"),
    "a wider band": (lambda m: _both(m, "perturbation_band", 0.24), "perturbation_band"),
    "no comparison of bits": (lambda m: _both(m, "bitwise", False), "bitwise"),
    "smaller sizes": (lambda m: _sizes(m, 0.5), "sizes"),
}  # fmt: skip
"""What is changed -> how, and a text of which `verify` must show."""


def remade(files: Files, every: int = 1) -> Iterator[Mutation]:
    """Each edit of a bundle's one capture, made into a bundle by the rules; of every so many one. A bundle without expectations
    and one with weaker ones come last."""
    for what, (edit, named) in list(EDITS.items())[::every]:
        yield Mutation(f"remade: {what}", _made(files, edit), (named,))
    yield Mutation("remade: expectations left out", _made(files, lambda m: None, keep=False), ("expects nothing",))
    weak = {name: _weaker(data) if name.startswith("expectations/") else data for name, data in files.items()}
    yield Mutation("remade: expectations made weaker", _made(weak, lambda m: None), ("expects",))


def _weaker(data: bytes) -> bytes:
    found = json.loads(data)
    for pair in found["pairs"].values():
        for entry in pair["entries"]:
            low, high = entry["bound"]["low"], entry["bound"]["high"]
            entry["bound"].update(low=None if low is None else low - 1, high=None if high is None else high + 1)
            entry["bound"]["kind"] = "min" if high is None else "max" if low is None else "range"
    return json.dumps(found).encode()


def _made(files: Files, edit: Edit, keep: bool = True) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        folder, target = Path(scratch), Path(scratch) / "made.zip"
        for name, data in files.items():
            if "/" in name and (keep or not name.startswith("expectations/")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        (path,) = folder.glob(f"captures/*/{FILE_NAME}")
        manifest = json.loads(path.read_text("utf-8"))
        edit(manifest)
        capture = Capture(path.parent, Manifest.from_json(manifest))
        pages = Pages(capture.manifest.declaration.chapter, "en", False)
        write_bundle(target, [capture], [], pages, folder / "expectations")
        return target.read_bytes()
