"""Find captures: the folders are the truth, an SQLite index of them can be rebuilt at any time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CannotTell, UsageError
from .manifest import FILE_NAME, MOST_BYTES, Manifest, decode, file_facts, read_bounded, read_manifest
from .scratch import scratch_folder

DEFAULT_FOLDER = Path("aisp-captures")
INDEX = "index.db"
MOST_STEPS = 10_000_000
"""Steps of SQLite's machine for reading the index: enough for 300,000 captures."""
TRACE_NAMES = ("trace.sqlite", "trace.sqlite.xz")


@dataclass(frozen=True, slots=True)
class Capture:
    """One published capture; `shipped` when it came with the package."""

    folder: Path
    manifest: Manifest
    shipped: bool = False

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def trace_path(self) -> Path | None:
        """trace.sqlite or trace.sqlite.xz; None when the outputs were invalid before anything was traced."""
        named = [name for name in TRACE_NAMES if name in self.manifest.files]
        return self.folder / named[0] if named else None

    def verify_files(self) -> tuple[str, ...]:
        """What differs from the manifest, one sentence a file; empty when every file is as it was captured."""
        return tuple(
            problem for name, facts in self.manifest.files.items() if (problem := _differs(self.folder / name, facts))
        )


def _differs(path: Path, facts: Any) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return f"{path.name}: no regular file"
        found = file_facts(path)
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    return "" if found == facts else f"{path.name}: sha256 {found['sha256'][:12]}…, not {facts['sha256'][:12]}…"


@dataclass(frozen=True, slots=True)
class Store:
    """The captures below one folder; a read-only store (`shipped`) has no index and is scanned."""

    folder: Path
    shipped: bool = False

    def captures(self, pair: str | None = None) -> list[Capture]:
        """All readable captures (of one pair), newest first: by what the capturing machine's clock said, `created_utc`.

        Not by the files' times, which copying changes. `capture` refuses to begin where its clock is behind a capture.
        """
        texts = self._scan() if self.shipped else self._indexed()
        read = ((self.folder / name, _readable(text)) for name, text in texts)
        found = [Capture(folder, manifest, self.shipped) for folder, manifest in read if manifest]
        wanted = [capture for capture in found if pair in (None, capture.manifest.pair)]
        return sorted(wanted, key=lambda one: (one.manifest.created_utc.removesuffix("Z"), one.id), reverse=True)

    def newest(self, pair: str) -> Capture | None:
        return next(iter(self.captures(pair)), None)

    def get(self, name: str) -> Capture:
        """The capture with this id, or whose id alone starts with it.

        Raises:
            UsageError: there is none, or several begin so.
        """
        captures = self.captures()
        found = [one for one in captures if one.id == name] or [one for one in captures if one.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{name} begins several captures: {', '.join(one.id for one in found)}")
        raise UsageError(f"no capture {name} in {self.folder}", "aisp-prof list shows the captures")

    def unreadable(self) -> list[str]:
        """Why folders that look like captures are none, one message each."""
        messages = []
        for name, _, _ in self._folders():
            try:
                read_manifest(self.folder / name)
            except UsageError as error:
                messages.append(str(error))
        return messages

    def rebuild(self) -> None:
        """Write the index anew from the folders; in a folder that cannot be written there is none, which is fine."""
        rows = list(self._rows())
        with contextlib.suppress(OSError, sqlite3.OperationalError):  # the latter where the disk is full
            self._write_index(rows)

    def _write_index(self, rows: list[dict[str, Any]]) -> None:
        from sqlite_utils import Database

        # Written beside and renamed: two commands at once each leave a whole index, and no reader ever sees half of one.
        with scratch_folder(self.folder) as work:
            database = Database(work / INDEX)
            columns = {"folder": str, "mtime_ns": int, "bytes": int, "pair": str, "created_utc": str, "manifest": str}
            database["captures"].create(columns, pk="folder")
            database["captures"].insert_all(rows)
            database.conn.close()
            (work / INDEX).replace(self.folder / INDEX)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for name, mtime_ns, size in self._folders():
            text = _text_of(self.folder / name)
            manifest = _readable(text)
            row = {"folder": name, "mtime_ns": mtime_ns, "bytes": size, "manifest": text}
            known = (manifest.pair, manifest.created_utc) if manifest else ("", "")
            yield {**row, "pair": known[0], "created_utc": known[1]}

    def _folders(self) -> list[tuple[str, int, int]]:
        """(name, mtime in ns of the manifest, its bytes) of every folder with a manifest, unfinished ones left out."""
        found = []
        for path in sorted(self.folder.glob(f"*/{FILE_NAME}")):
            if not path.parent.name.startswith("."):
                status = path.stat()
                found.append((path.parent.name, status.st_mtime_ns, status.st_size))
        return found

    def _scan(self) -> list[tuple[str, str]]:
        return [(name, _text_of(self.folder / name)) for name, _, _ in self._folders()]

    def _indexed(self) -> list[tuple[str, str]]:
        if not self.folder.is_dir():
            return []
        texts = self._read_index(self._folders())
        if texts is None:
            self.rebuild()
            texts = self._read_index(self._folders())
        return self._scan() if texts is None else texts  # it cannot be written, or captures come and go right now

    def _read_index(self, folders: list[tuple[str, int, int]]) -> list[tuple[str, str]] | None:
        """Folders and manifests from the index; None when it is missing, of other folders, or no such index.

        It came with the folder, and may be a trick: a view without end, values of other types, gigabytes.
        """
        path = self.folder / INDEX
        if not path.is_file():
            return None
        query = "select folder, mtime_ns, bytes, manifest from captures order by folder limit ?"
        try:
            with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * MOST_BYTES)
                database.set_progress_handler(lambda: 1, MOST_STEPS)
                rows = database.execute(query, (len(folders) + 1,)).fetchall()
        except sqlite3.DatabaseError:
            return None
        same = [row[:3] for row in rows] == folders and all(isinstance(row[3], str) for row in rows)
        return [(row[0], row[3]) for row in rows] if same else None


def _text_of(folder: Path) -> str:
    try:
        return read_bounded(folder / FILE_NAME).decode("utf-8", "replace")
    except OSError:
        return ""


def _readable(text: str) -> Manifest | None:
    try:
        return decode(text, FILE_NAME)
    except UsageError:
        return None


def captures_folder(option: Path | None = None) -> Path:
    """The folder of captures: the option, else AISP_CAPTURES, else ./aisp-captures."""
    return option or Path(os.environ.get("AISP_CAPTURES") or DEFAULT_FOLDER)


def with_shipped(option: Path | None) -> bool:
    """Whether captures that came with the package may stand in for missing ones: not where somebody said where captures are,
    by the option or AISP_CAPTURES, or a build whose own captures never arrived would be proven by ours."""
    return option is None and not os.environ.get("AISP_CAPTURES")


def shipped_store() -> Store:
    """The captures that came with the package."""
    return Store(Path(__file__).parents[2] / "tests" / "captures", shipped=True)


def resolve(pair: str, captures: Path, shipped: bool = True) -> Capture:
    """The newest capture of a pair below `captures`, else, if `shipped`, the newest that came with the package.

    Raises:
        CannotTell: there is none.
    """
    local = Store(captures)
    if found := local.newest(pair) or (shipped_store().newest(pair) if shipped else None):
        return found
    ignored = "".join(f"\nignored: {message}" for message in local.unreadable())
    raise CannotTell(
        f"no capture of {pair} in {captures}{', and none came with aisp-prof' if shipped else ''}{ignored}",
        f"on a machine with an NVIDIA GPU: aisp-prof capture {pair.split('.')[0]}",
    )


def select(
    pairs: Sequence[str], captures: Path, chosen: str = "", shipped: bool = True
) -> tuple[list[Capture], list[str]]:
    """The capture to judge for each pair: the one named by an id or its beginning, else the newest, as `resolve` finds it.

    Returns:
        the captures, and the pairs that have none.

    Raises:
        CannotTell: no pair has one.
        UsageError: no capture, or several, begin with `chosen`, or it is of none of these pairs.
    """
    if chosen:
        return [_chosen(pairs, captures, chosen)], []
    found: list[Capture] = []
    missing: list[str] = []
    for pair in pairs:
        try:
            found.append(resolve(pair, captures, shipped))
        except CannotTell:
            missing.append(pair)
    if pairs and not found:
        resolve(pairs[0], captures, shipped)  # says where it looked, and what to do
    return found, missing


def _chosen(pairs: Sequence[str], captures: Path, chosen: str) -> Capture:
    stores = (Store(captures), shipped_store())
    named = (store.get(chosen) for store in stores if any(c.id.startswith(chosen) for c in store.captures()))
    found = next(named, None)
    if found is None:
        raise UsageError(f"no capture begins with {chosen!r} in {captures}", "aisp-prof list --json names them")
    if found.manifest.pair not in pairs:
        raise UsageError(f"{found.id} is a capture of {found.manifest.pair}, not of {', '.join(pairs)}")
    return found
