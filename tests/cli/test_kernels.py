"""`aisp-prof kernels emit` and `gate` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aisp_prof.kernels.building.nvcc import find_nvcc

ROOT = Path(__file__).parents[2]

SPEC = 'version = 1\nname = "soft"\ndtype = "fp32"\nshape = [33, 64]\n[[steps]]\nop = "softmax"\n'
GOOD = "import torch\ndef run(inputs, output): torch.softmax(inputs[0], -1, out=output)\n"


@pytest.fixture
def run(monkeypatch, run, tmp_path):
    """Run `aisp-prof kernels …` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AISP_FEATURES", raising=False)
    (tmp_path / "soft.toml").write_text(SPEC)
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "slow.py").write_text(GOOD.replace(": torch", ": import_time.sleep(0.02); torch").replace(
        "import torch", "import torch\nimport time as import_time"))  # fmt: skip

    return lambda *arguments: run("kernels", *arguments)


def test_emit_writes_the_chapters_kernel(run, tmp_path):
    code, out, _ = run("emit", "l2norm", "-o", "test.cu")
    assert code == 0
    files = dict(line.split() for line in out.splitlines())
    assert files["output"] == "test.cu"
    assert (tmp_path / "test.cu").read_bytes() == (tmp_path / files["kernel"]).read_bytes()
    assert {path.parent.name for path in (Path(files["kernel"]), Path(files["log"]))} == {"artifacts"}
    before = {path.name: path.read_bytes() for path in (tmp_path / "artifacts").iterdir()}
    assert run("emit", "l2norm")[0] == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "artifacts").iterdir()} == before


def test_emit_as_json_as_it_is_documented(run):
    code, out, _ = run("emit", "soft.toml", "--artifacts", "kept", "--json")
    data = json.loads(out)
    assert (code, data["schema"], data["output"], data["cubin"]) == (0, 1, None, None)
    assert data["sha256"] in data["kernel"]
    assert fields_missing("## `kernels emit`", data) == []


@pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not on PATH, below CUDA_HOME or /usr/local/cuda")
def test_emit_compiles_into_the_cache(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))
    code, out, _ = run("emit", "soft.toml", "--arch", "90a", "--json")
    assert code == 0
    cubin = Path(json.loads(out)["cubin"])
    assert cubin.is_file()
    assert cubin.is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("emit", "nothing"), 2, "no readable spec nothing"),
        (("emit", "l2norm", "-o", "test.c"), 2, "no .cu file"),
        (("emit", "l2norm", "-o", "no/folder/test.cu"), 2, "cannot write"),
        (("emit", "l2norm", "--endpoint", "http://127.0.0.1:9/v1"), 2, "belong together"),
        (("emit", "l2norm", "--endpoint", "file:///x", "--model", "m"), 2, "no http or https address"),
        (("gate", "good.py", "--spec", "soft.toml", "--device", "tpu"), 2, "no device is called 'tpu'"),
        (("gate", "good.py", "--spec", "soft.toml", "--iterations", "3"), 2, "do not make whole rounds"),
        (("gate", "good.ptx", "--spec", "soft.toml"), 2, "no candidate"),
        (("gate", "good.py", "--spec", "soft.toml", "--device", "cpu"), 4, "the feature candidate.soft is off"),
        (("gate", "good.py", "--spec", "soft.toml", "--feature", "Bad Name"), 2, "no name of a feature"),
    ],
)
def test_what_cannot_be_done_is_said(run, arguments, code, words):
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


def test_gate_admits_on_one_line(run, monkeypatch):
    monkeypatch.setenv("AISP_FEATURES", "candidate.soft")
    code, out, err = run("gate", "good.py", "--spec", "soft.toml", "--device", "cpu", "--against", "slow.py")
    assert (code, out.count("\n")) == (0, 1), out
    assert out.startswith("good.py  ADMITTED  right in every case, and ")
    assert "timing it against the current best" in err
    path = Path(out.rpartition("(")[2].rstrip(")\n"))
    assert json.loads(path.read_text())["status"] == "admitted"


def test_gate_refuses_as_json_as_it_is_documented(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_FEATURES", "candidate.soft")
    (tmp_path / "bad.py").write_text("import os\ndef run(inputs, output): os.abort()\n")
    code, out, _ = run("gate", "bad.py", "--spec", "soft.toml", "--device", "cpu", "--json")
    data = json.loads(out)
    assert (code, data["schema"], data["status"], data["timing"]) == (1, 1, "refused", None)
    assert data["reason"] == "it crashed: SIGABRT, running the candidate at 1 x 64"
    assert fields_missing("## `kernels gate`", data) == []


def fields_missing(title: str, data: dict[str, object]) -> list[str]:
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    section = text.partition(title)[2].partition("\n## ")[0]
    return [field for field in data if f"`{field}`" not in section and field != "schema"]
