"""Signatures: who has the key signed these hashes, and nobody else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.reports.bundle import signing
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.verification import Status
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from forgery import pack, read, with_sums

HTML_ONLY = Pages("ch11", "en", False)
SIGNATURE = "SHA256SUMS.sig"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the PEM files of two people's keys, and of what is no such key."""
    pytest.importorskip("cryptography", reason="signatures need the cryptography package")
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    folder = tmp_path_factory.mktemp("keys")
    made = {name: ed25519.Ed25519PrivateKey.generate() for name in ("ada", "eve")}
    for name, key in {**made, "curve": ec.generate_private_key(ec.SECP256R1())}.items():
        private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(private)
        (folder / f"{name}.pub").write_bytes(public)
    locked = made["ada"].private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))
    (folder / "locked.pem").write_bytes(locked)
    (folder / "text.pem").write_text("no key")
    return folder


@pytest.fixture(scope="module")
def signed(keys: Path, streams: Capture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("signed") / "signed.zip"
    key = signing.private_key(keys / "ada.pem")
    write_bundle(target, [streams], [], HTML_ONLY, Path("none"), key)
    return target


def test_the_signer_s_key_fits_and_no_other(signed: Path, keys: Path) -> None:
    found = verify_bundle(signed, keys / "ada.pub")
    assert found.exit_code == 0
    assert next(check.status for check in found.checks if check.name == "signature") is Status.OK
    found = verify_bundle(signed, keys / "eve.pub")
    assert found.exit_code == 1
    assert [problem.file for problem in found.problems] == [SIGNATURE]


def test_without_a_key_it_is_said_that_it_was_not_checked(signed: Path) -> None:
    found = verify_bundle(signed)
    check = next(check for check in found.checks if check.name == "signature")
    assert (found.exit_code, check.status) == (0, Status.ABSENT)
    assert "--key" in check.about


def test_an_unsigned_bundle_is_wrong_where_a_signer_is_asked_for(made: Path, keys: Path) -> None:
    found = verify_bundle(made, keys / "ada.pub")
    assert found.exit_code == 1
    assert "not signed" in found.problems[0].what


def test_the_same_key_signs_alike(signed: Path, keys: Path, streams: Capture, tmp_path: Path) -> None:
    write_bundle(tmp_path / "b.zip", [streams], [], HTML_ONLY, Path("none"), signing.private_key(keys / "ada.pem"))
    assert (tmp_path / "b.zip").read_bytes() == signed.read_bytes()


def test_every_forged_signature_is_found(signed: Path, made: Path, keys: Path, tmp_path: Path) -> None:
    files = read(signed.read_bytes())
    signature = files[SIGNATURE]
    forged = [
        *(bytes([*signature[:i], signature[i] ^ 1, *signature[i + 1 :]]) for i in range(0, 64, 8)),
        *(signature[:63], signature + b"\0", b"", bytes(64), signing.sign(b"x", signing.private_key(keys / "ada.pem"))),
        signing.sign(files["SHA256SUMS"], signing.private_key(keys / "eve.pem")),
    ]
    for data in forged:
        (tmp_path / "f.zip").write_bytes(pack({**files, SIGNATURE: data}))
        found = verify_bundle(tmp_path / "f.zip", keys / "ada.pub")
        assert found.exit_code == 1
        assert SIGNATURE in {problem.file for problem in found.problems}


def test_a_whole_bundle_made_anew_is_told_by_its_signature_alone(
    signed: Path, keys: Path, streams: Capture, tmp_path: Path
) -> None:
    """Someone else's capture, packed by the rules: in itself it is right, and it is not what was signed."""

    (tmp_path / "c").mkdir()
    shutil.copy(streams.folder / "trace.sqlite.xz", tmp_path / "c")
    other = Capture(tmp_path / "c", streams.manifest.changed(command=["forged"]))
    write_bundle(tmp_path / "f.zip", [other], [], HTML_ONLY, Path("none"))
    assert verify_bundle(tmp_path / "f.zip").exit_code == 0
    files = {**read((tmp_path / "f.zip").read_bytes()), SIGNATURE: read(signed.read_bytes())[SIGNATURE]}
    (tmp_path / "f.zip").write_bytes(pack(with_sums(files)))
    found = verify_bundle(tmp_path / "f.zip", keys / "ada.pub")
    assert [problem.file for problem in found.problems] == [SIGNATURE]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_agrees(signed: Path, keys: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(signed) as archive:
        archive.extractall(tmp_path)
    command = "openssl pkeyutl -verify -pubin -inkey {key} -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig"
    for name, code in (("ada", 0), ("eve", 1)):
        words = command.format(key=keys / f"{name}.pub").split()
        assert subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode == code


@pytest.mark.parametrize(
    ("read", "name", "complaint"),
    [
        (signing.private_key, "none.pem", "No such file"),
        (signing.private_key, "text.pem", "no private key"),
        (signing.private_key, "locked.pem", "no private key"),
        (signing.private_key, "curve.pem", "no Ed25519 key"),
        (signing.private_key, "ada.pub", "no private key"),
        (signing.public_key, "ada.pem", "no public key"),
        (signing.public_key, "curve.pub", "no Ed25519 key"),
        (signing.public_key, "text.pem", "no public key"),
    ],
)
def test_what_is_no_key_is_told_with_a_mend(read: object, name: str, complaint: str, keys: Path) -> None:
    with pytest.raises(UsageError, match=complaint):
        read(keys / name)


def test_without_the_package_its_name_is_told(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(EnvironmentLacks) as raised:
        verify_bundle(made, tmp_path / "key.pub")
    assert raised.value.mend == "pip install 'aisp-prof[sign]'"
    assert json.loads(json.dumps(verify_bundle(made).to_json()))["status"] == "ok"
