"""Bundles of ranges that somebody named, changed: every hash put right, and what the manifest says of its origin another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.store.manifest import encode_json
from as_typed import aisp
from forgery import pack, read, rehashed, with_sums
from own_trace import own_trace

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("named")
    own_trace(folder / "run.sqlite", gpu="a0ae1ff2-b9e3")
    words = ("--range", "baseline=old step*", "--range", "optimized=new step*", "--claim", "speedup >= 1.5")
    done = aisp("report", "run.sqlite", *words, "--format", "html", "--bundle", "proof.zip", cwd=folder)
    assert done.returncode == 0, done.stderr
    return (folder / "proof.zip").read_bytes()


def swap(data: dict[str, Any]) -> None:
    ranges = data["origin"]["ranges"]
    ranges["baseline"], ranges["optimized"] = ranges["optimized"], ranges["baseline"]


def only_the_slow_ones(data: dict[str, Any]) -> None:
    data["origin"]["ranges"]["baseline"] = "old step 1*"


def a_pair(data: dict[str, Any]) -> None:
    del data["origin"]


def of_chapter_11(data: dict[str, Any]) -> None:
    data["declaration"]["chapter"] = "ch11"


def two_traces(data: dict[str, Any]) -> None:
    data["origin"]["kind"] = "traces"


def a_program(data: dict[str, Any]) -> None:
    data["origin"]["kind"] = "program"


def more_of_it(data: dict[str, Any]) -> None:
    data["origin"]["validated"] = True


def another_gpu(data: dict[str, Any]) -> None:
    data["gpus"][0]["name"] = "NVIDIA B200"


@pytest.mark.parametrize(
    "change", [swap, only_the_slow_ones, a_pair, of_chapter_11, two_traces, a_program, more_of_it, another_gpu]
)
def test_another_origin_is_another_proof(bundle: bytes, tmp_path: Path, change: Change) -> None:
    files = read(bundle)
    (name,) = (one for one in files if one.endswith("manifest.json"))
    data = json.loads(files[name])
    change(data)
    changed = {**files, name: encode_json(data).encode()}
    (tmp_path / "forged.zip").write_bytes(pack(with_sums(rehashed(files, changed))))
    done = aisp("verify", "forged.zip", "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "wrong"), done.stdout
    assert "Traceback" not in done.stderr


def test_what_nobody_compared_cannot_be_taken_from_the_page(bundle: bytes, tmp_path: Path) -> None:
    files = read(bundle)
    (name,) = (one for one in files if one.endswith(".html"))
    mark = b"Outputs were not compared; "
    assert files[name].count(mark) == 1
    changed = {**files, name: files[name].replace(mark, b"")}
    (tmp_path / "forged.zip").write_bytes(pack(with_sums(rehashed(files, changed))))
    assert aisp("verify", "forged.zip", cwd=tmp_path).returncode == 1


def test_the_bundle_itself_verifies(bundle: bytes, tmp_path: Path) -> None:
    """Taken apart and put together by the same hands."""
    (tmp_path / "same.zip").write_bytes(pack(with_sums(read(bundle))))
    assert aisp("verify", "same.zip", cwd=tmp_path).returncode == 0
