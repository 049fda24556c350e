"""`report --bundle` and `verify` as a user types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from as_typed import aisp, aisp_alone

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the shipped capture, without a PDF, made once; not to be written to."""
    folder = tmp_path_factory.mktemp("bundle")
    done = aisp("report", "--stage", "ch11:streams", "--format", "html", "--bundle", "out.zip", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "wrote out.zip" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["out.zip"]
    return folder / "out.zip"


def test_a_bundle_with_its_pdf_is_made_and_verified(tmp_path: Path) -> None:
    done = aisp("report", "--stage", "ch11:streams", "--lang", "ko", "--bundle", "out.zip", "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.returncode, data["files"], data["proofs"][0]["verdict"]) == (0, ["out.zip"], "proven")
    done = aisp_alone("verify", "out.zip", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED" in done.stdout
    assert "✓ optimized.hidden(h2d, d2h) >= 0.80" in done.stdout
    assert "(from the bundle)" in done.stdout


def test_json_says_all_of_it(bundle: Path, tmp_path: Path) -> None:
    done = aisp("verify", bundle, "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (data["schema"], data["status"], data["verdict"], data["problems"]) == (1, "ok", "proven", [])
    assert {check["name"] for check in data["checks"]} >= {"zip", "files", "numbers", "html", "pdf"}
    assert data["claims"][0]["pair"] == "ch11.streams"


def test_a_flipped_byte_is_named(bundle: Path, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.index(b"2.20")] ^= 1
    (tmp_path / "forged.zip").write_bytes(data)
    done = aisp("verify", "forged.zip", cwd=tmp_path)
    assert done.returncode == 1
    assert "WRONG" in done.stdout
    assert "ch11-streams.html: line" in done.stdout
    assert "Traceback" not in done.stderr


def test_it_needs_neither_gpu_nor_torch_nor_nsys(bundle: Path, tmp_path: Path) -> None:
    """Where no such package can be imported, nothing is on PATH and there is no home to write to."""
    lacking = ("torch", "triton", "cuda", "pynvml", "nvtx", "weasyprint", "pypdf", "cryptography", "pandas")
    code = f"""
import sys
for name in {lacking}: sys.modules[name] = None
sys.argv = ["aisp-prof", "verify", {str(bundle)!r}]
from aisp_prof.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(ROOT / ".pythonpath"), "PATH": "", "HOME": str(tmp_path / "none")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("formats", "code"), [((), 0), (("--format", "html,pdf"), 3)])
def test_without_a_printer_a_bundle_has_no_pdf_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: tuple[str, ...], code: int
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    done = aisp("report", "--stage", "ch11:streams", "--bundle", "out.zip", *formats, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "aisp-prof[pdf]" in done.stderr
    assert ("--format html" in done.stderr) is bool(formats)
    assert (tmp_path / "out.zip").exists() is not bool(formats)


@pytest.mark.parametrize(
    ("words", "complaint", "code"),
    [
        (["verify", "none.zip"], "No such file", 2),
        (["verify", "text.zip"], "no bundle", 2),
        (["verify", "."], "not a file", 2),
        (["report", "--stage", "ch11:streams", "--sign", "key.pem"], "--bundle", 2),
        (["report", "--stage", "ch11:streams", "--bundle", "x.zip", "--format", "doc"], "doc", 2),
        (["report", "--stage", "ch11:streams", "--bundle", "no/x.zip", "--format", "html"], "No such file", 3),
    ],
)
def test_a_slip_is_answered(tmp_path: Path, words: list[str], complaint: str, code: int) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    done = aisp(*words, cwd=tmp_path)
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text.zip"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_signed_with_keys_of_openssl(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="signatures need the cryptography package")
    for words in ("genpkey -algorithm ed25519 -out key.pem", "pkey -in key.pem -pubout -out key.pub"):
        subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    stage = ["report", "--stage", "ch11:streams", "--format", "html", "--bundle", "out.zip", "--sign"]
    assert aisp(*stage, "key.pem", cwd=tmp_path).returncode == 0
    assert aisp("verify", "out.zip", "--key", "key.pub", cwd=tmp_path).returncode == 0
    done = aisp(*stage, "key.pub", cwd=tmp_path)
    assert (done.returncode, "no private key" in done.stderr) == (2, True)
