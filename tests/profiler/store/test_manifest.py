from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.store.manifest import (
    FILE_NAME,
    Manifest,
    encode,
    folder_facts,
    read_manifest,
    write_manifest,
)


def test_round_trip_with_sorted_keys(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(manifest, tmp_path)
    assert encode(read_manifest(tmp_path)) == encode(manifest)
    assert read_manifest(tmp_path).pair == "ch99.fake"
    lines = [line for line in encode(manifest).splitlines() if line.startswith(' "')]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "no JSON object"),
        ("{}", "schema None; this version reads 1"),
        ('{"schema": 2}', "schema 2"),
        ('{"schema": 1}', "missing or unknown fields: command, commit"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path / FILE_NAME) in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("id", 5, r"manifest\.id is int, not str"),
        ("runs", {"third": {}}, "unknown run: third"),
        ("declaration", {"chapter": "x"}, "declaration has missing"),
        ("extra", 1, "unknown fields: extra"),
    ],
)
def test_bad_fields_are_named(manifest: Manifest, field: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Manifest.from_json({**manifest.to_json(), field: value})


def test_a_damaged_declaration(manifest: Manifest) -> None:
    data = manifest.to_json()
    data["declaration"]["topic"] = 5
    with pytest.raises(UsageError, match=r"declaration\.topic is int"):
        Manifest.from_json(data)


def test_hashes(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(manifest.changed(files={}), tmp_path)
    (tmp_path / "a").write_bytes(b"abc")
    assert folder_facts(tmp_path) == {
        "a": {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "bytes": 3}
    }
