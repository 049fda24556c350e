"""What several tests rest on, made once a run and not once a worker: kept beside the workers' folders, under its name."""

from __future__ import annotations

import fcntl
import lzma
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar
from unittest.mock import patch

from aisp_prof.profiler.evidence import Evidence
from aisp_prof.profiler.proof.prove import prove_capture
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.profiler.store.leaks import leaks
from aisp_prof.profiler.store.manifest import read_manifest
from aisp_prof.reports.bundle.paper import ink
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.pdf import Printed, print_html

T = TypeVar("T")
_folders: list[Path] = []
_fonts: dict[bytes, bytes] = {}


def keep_in(folder: Path) -> None:
    """Where this run keeps what its workers share."""
    _folders[:] = [folder]


def made_once(name: str, make: Callable[[], T]) -> T:
    """What `make` gives, by the first worker that asks; the others wait for it and read a copy."""
    path = _folders[0] / name
    with locked(path):
        if path.exists():
            found: T = pickle.loads(path.read_bytes())
            return found
        made = make()
        path.with_suffix(".part").write_bytes(pickle.dumps(made))
        os.replace(path.with_suffix(".part"), path)
        return made


@cache
def proven(capture_id: str) -> Evidence:
    """The proof of a capture that ships, or of the one that the package's own tracer made."""
    capture = next(one for one in (*shipped(), by_own_tracer()) if one.id == capture_id)
    return made_once(f"proof-{capture_id}", lambda: prove_capture(capture))


@cache
def page_of(capture_id: str, lang: str) -> str:
    """The page of a capture that ships, as a report of its chapter has it."""
    evidence = proven(capture_id)
    chapter = evidence.manifest.declaration.chapter
    return made_once(f"page-{capture_id}-{lang}", lambda: render_html(chapter, [evidence], lang))


def unpacked(packed: Path) -> Path:
    """A packed trace as SQLite's file, unpacked once a run: to be copied, not to be written to."""
    data = packed.read_bytes()
    path = _folders[0] / f"{sha256(data).hexdigest()}.sqlite"
    with locked(path):
        if not path.exists():
            path.with_suffix(".part").write_bytes(lzma.decompress(data))
            os.replace(path.with_suffix(".part"), path)
    return path


@contextmanager
def plain_trace(capture: Capture) -> Iterator[sqlite3.Connection]:
    """The trace of a capture that ships, to be read by SQL: unpacked once a run, with indices, since a query that joins calls
    with their operations would make them anew each time."""
    path = _folders[0] / f"{capture.id}.sqlite"
    with locked(path):
        if not path.exists():
            part = path.with_suffix(".part")
            shutil.copyfile(unpacked(capture.trace_path), part)
            with closing(sqlite3.connect(part)) as database:
                index(database)
                database.commit()
            os.replace(part, path)
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        yield database


def shown_device(evidence: Evidence, trace: sqlite3.Connection) -> int:
    """The device that the evidence is of: the one that its caveat names where several ran."""
    named = [finding.values["gpu"] for finding in evidence.caveats if finding.code == "mixed_devices"]
    ids = trace.execute("SELECT DISTINCT deviceId FROM CUPTI_ACTIVITY_KIND_KERNEL ORDER BY deviceId").fetchall()
    assert len(ids) == (2 if named else 1)
    uuids = dict(trace.execute("SELECT uuid, id FROM TARGET_INFO_GPU"))
    return uuids[named[0]] if named else ids[0][0]


@contextmanager
def fresh_cubins() -> Iterator[None]:
    """Kernels are compiled in this run, each once for all its workers, and none is taken from the user's cache."""
    with patch.dict(os.environ, AISP_CACHE=str(_folders[0] / "cache")):
        yield


def index(database: sqlite3.Connection) -> None:
    """Ranges and calls by their start, operations by their call."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    operations = (f"CUPTI_ACTIVITY_KIND_{kind}" for kind in ("KERNEL", "MEMCPY", "MEMSET"))
    wanted = dict.fromkeys(("NVTX_EVENTS", "CUPTI_ACTIVITY_KIND_RUNTIME"), "start") | dict.fromkeys(
        operations, "correlationId"
    )
    for table in wanted.keys() & tables:
        database.execute(f"CREATE INDEX IF NOT EXISTS by_{wanted[table]}_{table} ON {table} ({wanted[table]})")
    database.execute("ANALYZE")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else is at it meanwhile."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def printed_once(html: str) -> Printed:
    """A print of a page, three seconds' work: for tests of what is done with one, not of printing."""
    return made_once(f"print-{sha256(html.encode()).hexdigest()}", lambda: print_html(html))


def leaks_of(path: Path) -> list[str]:
    """What `leaks` finds in a file, which is searched once whichever tests and workers ask; the files that ship take seconds."""
    digest = sha256(path.read_bytes()).hexdigest()
    return made_once(f"leaks-{digest}-{path.name}", lambda: leaks(path))


@cache
def shipped() -> tuple[Capture, ...]:
    """The captures that ship, oldest first, for tests by capture: a second of every module's import otherwise."""
    return tuple(shipped_store().captures())


@cache
def by_own_tracer() -> Capture:
    """A capture on an H200 that the package's own tracer made. As the newest of its pair it would be the one that is shown: it lies
    here."""
    (folder,) = (Path(__file__).parents[1] / "traces" / "tracer").iterdir()
    return Capture(folder, read_manifest(folder), shipped=True)


@contextmanager
def fonts_unpacked_once() -> Iterator[None]:
    """WeasyPrint unpacks the fonts of every page anew, the same four, for a sixth of a print: here each is unpacked once.
    Without WeasyPrint nothing is printed."""
    if find_spec("fontTools") is None:
        yield
        return
    from fontTools.ttLib import woff2

    unpack = woff2.decompress

    def unpacked(source: IO[bytes], target: IO[bytes]) -> None:
        font = source.read()
        if font not in _fonts:
            plain = BytesIO()
            unpack(BytesIO(font), plain)
            _fonts[font] = plain.getvalue()
        target.write(_fonts[font])

    with patch.object(woff2, "decompress", unpacked):
        yield


@contextmanager
def streams_parsed_once() -> Iterator[None]:
    """Forged PDFs share all of their streams but one or two: what pypdf makes of the same bytes is made once."""
    parse, known = ink.operations_of, {}

    def operations_of(stream: Any, reader: Any) -> Sequence[tuple[Any, bytes]]:
        data = stream.get_data()
        if data not in known:
            known[data] = parse(stream, reader)
        return known[data]

    with patch.object(ink, "operations_of", operations_of):
        yield
