from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aisp_prof.errors import CannotTell, UsageError
from aisp_prof.profiler.store import captures as module
from aisp_prof.profiler.store.captures import (
    Capture,
    Damaged,
    Store,
    Stores,
    captures_folder,
    resolve,
    select,
    shipped_store,
)
from aisp_prof.profiler.store.manifest import Manifest, encode, folder_facts, write_manifest


def publish(store: Path, manifest: Manifest, day: int, chapter: str = "ch99") -> Capture:
    folder = store / f"{chapter}.fake-{day}"
    folder.mkdir(parents=True)
    (folder / "trace.sqlite").write_bytes(b"trace")
    manifest = manifest.changed(
        id=folder.name,
        created_utc=f"2026-01-{day:02}T00:00:00.000000Z",
        declaration=replace(manifest.declaration, chapter=chapter).to_json(),
        files=folder_facts(folder),
    )
    write_manifest(manifest, folder)
    return Capture(folder, manifest)


def ids(store: Store, pair: str | None = None) -> list[str]:
    return [capture.id for capture in store.captures(pair)]


def test_newest_first_and_by_pair(tmp_path: Path, manifest: Manifest) -> None:
    for day, chapter in ((2, "ch99"), (3, "ch98"), (1, "ch99")):
        publish(tmp_path, manifest, day, chapter)
    store = Store(tmp_path)
    assert ids(store) == ["ch98.fake-3", "ch99.fake-2", "ch99.fake-1"]
    assert ids(store, "ch99.fake") == ["ch99.fake-2", "ch99.fake-1"]
    newest = store.newest("ch99.fake")
    assert newest is not None
    assert newest.id == "ch99.fake-2"
    assert store.newest("ch97.none") is None
    assert ids(Store(tmp_path / "none")) == []


def test_captures_come_and_go(tmp_path: Path, manifest: Manifest) -> None:
    publish(tmp_path, manifest, 1)
    store = Store(tmp_path)
    assert ids(store) == ["ch99.fake-1"]
    second = publish(tmp_path, manifest, 2)
    assert len(ids(store)) == 2
    for path in second.folder.iterdir():
        path.unlink()
    second.folder.rmdir()
    assert ids(store) == ["ch99.fake-1"]
    assert [path.name for path in tmp_path.iterdir()] == ["ch99.fake-1"]  # reading writes nothing


@pytest.mark.parametrize("hidden", [False, True])
def test_nothing_beside_the_manifests_is_believed(tmp_path: Path, manifest: Manifest, hidden: bool) -> None:
    """An index once did: it came with a folder, newer than the words of its manifest, and was proof of 111 times."""
    capture = publish(tmp_path, manifest, 1)
    facts = (capture.folder / "manifest.json").stat()
    claims = replace(manifest.declaration, claims=("speedup >= 100",), chapter="ch98" if hidden else "ch99")
    forged = encode(capture.manifest.changed(declaration=claims.to_json()))
    with closing(sqlite3.connect(tmp_path / "index.db")) as index:
        index.execute("create table captures (folder, mtime_ns, bytes, pair, created_utc, manifest)")
        row = (capture.id, facts.st_mtime_ns, facts.st_size, claims.key, "2026-01-01", forged)
        index.execute("insert into captures values (?, ?, ?, ?, ?, ?)", row)
        index.commit()
    assert Store(tmp_path).captures("ch99.fake") == [capture]
    assert Store(tmp_path).captures() == [capture]
    assert Store(tmp_path).captures("ch98.fake") == []


def test_unfinished_and_unreadable_folders_are_no_captures(tmp_path: Path, manifest: Manifest) -> None:
    publish(tmp_path, manifest, 1)
    publish(tmp_path, manifest, 2).folder.rename(tmp_path / ".tmp-2")
    (publish(tmp_path, manifest, 3).folder / "manifest.json").write_text("{")
    (tmp_path / "something").mkdir()
    store = Store(tmp_path)
    assert ids(store) == ["ch99.fake-1"]
    (message,) = store.unreadable()
    assert "ch99.fake-3" in message


def test_get_by_id_or_unique_prefix(tmp_path: Path, manifest: Manifest) -> None:
    for day in (1, 10, 2):
        publish(tmp_path, manifest, day)
    store = Store(tmp_path)
    assert store.get("ch99.fake-2").id == "ch99.fake-2"
    assert store.get("ch99.fake-1").id == "ch99.fake-1"  # an id that also begins another one
    with pytest.raises(UsageError, match=r"begins several captures: .*-10, .*-2, .*-1"):
        store.get("ch99")
    with pytest.raises(UsageError, match="no capture x"):
        store.get("x")


def test_verify_files(tmp_path: Path, manifest: Manifest) -> None:
    capture = publish(tmp_path, manifest, 1)
    assert capture.verify_files() == ()
    assert capture.trace_path == capture.folder / "trace.sqlite"
    capture.folder.joinpath("trace.sqlite").write_bytes(b"other")
    assert "sha256" in capture.verify_files()[0]
    capture.folder.joinpath("trace.sqlite").unlink()
    assert "No such file" in capture.verify_files()[0]


def test_an_invalid_run_has_no_trace(tmp_path: Path, manifest: Manifest) -> None:
    assert Capture(tmp_path, manifest).trace_path is None


def test_a_shipped_store_is_not_written_to(tmp_path: Path, manifest: Manifest) -> None:
    publish(tmp_path, manifest, 1)
    (capture,) = Store(tmp_path, shipped=True).captures()
    assert capture.shipped
    assert [path.name for path in tmp_path.iterdir()] == ["ch99.fake-1"]
    assert all(one.shipped for one in shipped_store().captures())


def test_resolve(tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, local = tmp_path / "shipped", tmp_path / "local"
    monkeypatch.setattr(module, "shipped_store", lambda: Store(shipped, shipped=True))
    with pytest.raises(CannotTell, match=r"no capture of ch99\.fake") as caught:
        resolve("ch99.fake", local)
    assert "aisp-prof capture ch99" in caught.value.mend
    publish(shipped, manifest, 9)
    assert resolve("ch99.fake", local).shipped
    publish(local, manifest, 1)
    assert resolve("ch99.fake", local).id == "ch99.fake-1"


def test_another_capture_does_not_answer_for_one_that_cannot_be_read(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, local = tmp_path / "shipped", tmp_path / "local"
    monkeypatch.setattr(module, "shipped_store", lambda: Store(shipped, shipped=True))
    publish(shipped, manifest, 1)
    broken = publish(local, manifest, 3).folder / "manifest.json"
    whole = broken.read_bytes()
    broken.write_text("{")
    with pytest.raises(Damaged, match=r"the newest capture of ch99\.fake cannot be read: .*ch99\.fake-3") as caught:
        resolve("ch99.fake", local)
    assert "--capture ID" in caught.value.mend
    publish(local, manifest, 2)
    with pytest.raises(Damaged):
        resolve("ch99.fake", local)
    publish(local, manifest, 4)
    assert resolve("ch99.fake", local).id == "ch99.fake-4"  # an older one that is damaged is no matter
    (local / "ch99.fake-4" / "manifest.json").unlink()
    broken.write_bytes(whole)
    assert resolve("ch99.fake", local).id == "ch99.fake-3"
    publish(local, manifest, 5, "ch98")
    (local / "ch98.fake-5" / "manifest.json").write_text("{")
    assert resolve("ch99.fake", local).id == "ch99.fake-3"  # nor is another pair's


def test_select(tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, local = tmp_path / "shipped", tmp_path / "local"
    monkeypatch.setattr(module, "shipped_store", lambda: Store(shipped, shipped=True))
    for store, day, chapter in ((local, 1, "ch99"), (local, 2, "ch98"), (shipped, 3, "ch99")):
        publish(store, manifest, day, chapter)
    pairs = ["ch99.fake", "ch98.fake"]
    found, missing = select([*pairs, "ch97.none"], local)
    assert ([one.id for one in found], missing) == (["ch99.fake-1", "ch98.fake-2"], ["ch97.none"])
    assert [one.id for one in select(pairs, local, "ch99.fake-3")[0]] == ["ch99.fake-3"]
    with pytest.raises(CannotTell):
        select(["ch97.none"], local)
    with pytest.raises(UsageError, match="no capture begins with 'x'"):
        select(pairs, local, "x")
    with pytest.raises(UsageError, match=r"is a capture of ch98\.fake, not of ch99\.fake"):
        select(["ch99.fake"], local, "ch98")


def test_captures_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AISP_CAPTURES", raising=False)
    assert captures_folder() == Path("aisp-captures")
    monkeypatch.setenv("AISP_CAPTURES", "/c")
    assert captures_folder() == Path("/c")
    assert captures_folder(Path("/d")) == Path("/d")


def test_one_command_reads_each_manifest_through_once_and_only_those_asked_for(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, chapter in ((1, "ch97"), (2, "ch98"), (3, "ch98"), (4, "ch99")):
        publish(tmp_path, manifest, day, chapter)
    read: list[str] = []
    whole = module.decode
    monkeypatch.setattr(
        module, "decode", lambda text, where: (read.append(Path(where).parent.name), whole(text, where))[1]
    )
    stores = Stores(tmp_path, shipped=False)
    for _ in range(3):
        found, missing = stores.select(["ch98.fake", "ch99.fake"])
        assert ([one.id for one in found], missing) == (["ch98.fake-3", "ch99.fake-4"], [])
    assert sorted(read) == ["ch98.fake-2", "ch98.fake-3", "ch99.fake-4"]
    assert stores.select(["ch99.fake", "ch96.none"])[1] == ["ch96.none"]
    assert len(read) == 4  # whoever looks for what is not there is told what cannot be read
    publish(tmp_path, manifest, 5, "ch99")
    assert stores.resolve("ch99.fake").id == "ch99.fake-4"  # one command, one sight of the folder
    assert Stores(tmp_path, shipped=False).resolve("ch99.fake").id == "ch99.fake-5"
