from __future__ import annotations

import lzma
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof.errors import AispError, TraceError, UsageError
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.leaks import leaks
from aisp_prof.profiler.store.manifest import Manifest, folder_facts, read_manifest, write_manifest
from aisp_prof.profiler.store.published import published
from aisp_prof.profiler.store.scrub import scrub_capture, scrub_trace, without_paths

# Column by column as nsys 2025.3 exports them (schema 3.20.3); only columns that no rule looks at are left out.
SCHEMA = """
CREATE TABLE StringIds (
    id                          INTEGER   NOT NULL   PRIMARY KEY,
    value                       TEXT      NOT NULL
);
CREATE TABLE ANALYSIS_FILE (id INTEGER NOT NULL PRIMARY KEY, filename TEXT, contentId INTEGER, globalPid INTEGER NOT NULL);
CREATE TABLE ProcessStreams (globalPid INTEGER NOT NULL, filenameId INTEGER NOT NULL, contentId INTEGER NOT NULL);
CREATE TABLE TARGET_INFO_SYSTEM_ENV (globalVid INTEGER, devStateName TEXT, name TEXT, nameEnum INTEGER, value TEXT);
CREATE TABLE PROCESSES (globalPid INTEGER, pid INTEGER, name TEXT);
CREATE TABLE ThreadNames (
    nameId                      INTEGER   NOT NULL,                    -- REFERENCES StringIds(id) -- Thread name
    priority                    INTEGER,
    globalTid                   INTEGER
);
CREATE TABLE TARGET_INFO_SESSION_START_TIME (utcEpochNs INTEGER, utcTime TEXT, localTime TEXT);
CREATE TABLE TARGET_INFO_GPU (id INTEGER, name TEXT, uuid TEXT, ctrlDevPath TEXT NOT NULL, smCount INTEGER);
CREATE TABLE DIAGNOSTIC_EVENT (
    timestamp                   INTEGER   NOT NULL,
    severity                    INTEGER   NOT NULL,
    text                        TEXT      NOT NULL
);
CREATE TABLE NVTX_EVENTS (
    start                       INTEGER   NOT NULL,
    text                        TEXT,                                  -- Explicit name/text (non-registered string)
    textId                      INTEGER,                               -- REFERENCES StringIds(id)
    doubleValue                 REAL,
    jsonTextId                  INTEGER,
    jsonText                    TEXT
);
CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME_V2 (
    start                       INTEGER   NOT NULL,
    nameId                      INTEGER   NOT NULL,                    -- REFERENCES StringIds(id) -- Function name
    callchainId                 INTEGER                                -- REFERENCES CUDA_CALLCHAINS(id)
);
CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (
    start                       INTEGER   NOT NULL,
    globalPid                   INTEGER,
    demangledName               INTEGER   NOT NULL,
    newNameId                   INTEGER                                -- REFERENCES StringIds(id) -- of a later version
);
CREATE TABLE ENUM_CUDA_MEM_KIND (id INTEGER NOT NULL PRIMARY KEY, name TEXT, label TEXT);
CREATE TABLE META_DATA_CAPTURE (name TEXT NOT NULL, value TEXT);
CREATE TABLE META_DATA_EXPORT (name TEXT NOT NULL, value TEXT);
"""

STRINGS = {
    1: "cudaLaunchKernel_v7000",
    2: "void chain<float>(T1 *)",
    3: "iteration",
    4: "API_TOKEN=hunter2hunter2\0HOME=/home/ada\0LD_PRELOAD=x",
    5: "stdout of /home/ada/train.py",
    6: "a worker of ada",
    7: "named by a later version",
}


def build(path: Path, nvtx: str = "range <b>") -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)

        def insert(table: str, *rows: tuple[object, ...]) -> None:
            database.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)

        insert("StringIds", *STRINGS.items())
        insert("ANALYSIS_FILE", (0, "/tmp/nvidia/pid_551_stdout.log", 5, 1))
        insert("ProcessStreams", (1, 5, 5))
        insert("TARGET_INFO_SYSTEM_ENV", (1, "x", "Hostname", 619, "gpu-host-7"), (1, "x", "E", 610, "PATH=/home/ada"))
        insert("PROCESSES", (1, 551, "python3"))
        insert("ThreadNames", (6, 0, 1))
        insert("TARGET_INFO_SESSION_START_TIME", (1795209738738213791, "2026-11-20T21:22:18", "2026-11-20T21:22:18"))
        insert("TARGET_INFO_GPU", (0, "NVIDIA H200", "a0ae1ff2", "/srv/dev", 132))
        insert(
            "DIAGNOSTIC_EVENT",
            (0, 1, "Number of CUDA events collected: \t7993."),
            (1, 1, "Loaded CUPTI library: /root/.nsys/libcupti.so.13.0"),
            (2, 3, "Cannot open '/home/ada/My Files/x', see /tmp/log.txt"),
        )
        insert("NVTX_EVENTS", (5, nvtx, None, None, 4, "json of ada"), (6, None, 3, 1.5, None, None))
        insert("CUPTI_ACTIVITY_KIND_RUNTIME_V2", (1, 1, 77), (2, 1, None))
        insert("CUPTI_ACTIVITY_KIND_KERNEL", (1, 0x7F01_0002_2700_0000, 2, 7), (9, "a text", 2, None))
        insert("ENUM_CUDA_MEM_KIND", (0, "CUDA_MEMOPR_MEMORY_KIND_PAGEABLE", "Pageable"))
        insert(
            "META_DATA_CAPTURE",
            ("PROCESS_0:ENVIRONMENT_VARIABLE", 'API_TOKEN="hunter2hunter2"'),
            ("PROCESS_0:ARGUMENT_0", "/home/ada/train.py"),
            ("PROCESS_0:CUDA_GRAPH_TRACE_OPTIONS:MODE", "Node"),
            ("CAPTURE_EVENT_TYPE", "Cuda"),
        )
        insert(
            "META_DATA_EXPORT",
            ("EXPORT_SCHEMA_VERSION", "3.20.3"),
            ("EXPORT_HOST", "gpu-host-7"),
            ("EXPORT_PARAM_INPUT_PATH_ABS", "/home/ada/p.nsys-rep"),
        )
        database.commit()
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return build(tmp_path / "raw.sqlite")


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_secrets_are_found_in_the_raw_file_and_gone_from_the_scrubbed(raw: Path, tmp_path: Path) -> None:
    text = "\n".join(leaks(raw, ["gpu-host-7"]))
    for planted in ("/home/ada", "API_TOKEN=", "LD_PRELOAD", "PATH=", "NUL-separated", "ProcessStreams", "gpu-host-7"):
        assert planted in text
    before = raw.read_bytes()
    scrub_trace(raw, tmp_path / "scrubbed.sqlite")
    assert raw.read_bytes() == before
    data = (tmp_path / "scrubbed.sqlite").read_bytes()
    for private in (b"ada", b"hunter2", b"gpu-host-7", b"stdout", b"ProcessStreams", b"PROCESSES"):
        assert private not in data
    assert leaks(tmp_path / "scrubbed.sqlite", ["gpu-host-7"]) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw.sqlite", "scrubbed.sqlite"]


def test_a_variable_that_holds_the_pairs_name_gives_nothing_away(tmp_path: Path) -> None:
    raw = build(tmp_path / "raw.sqlite", nvtx="ch09.gemm_fp4.baseline")
    with closing(sqlite3.connect(raw)) as database:
        database.execute("insert into META_DATA_CAPTURE values ('PROCESS_0:ENVIRONMENT_VARIABLE', 'ONLY=gemm_fp4')")
        database.commit()
    with pytest.raises(AispError, match="the value of ONLY"):
        scrub_trace(raw, tmp_path / "alone.sqlite")
    scrub_trace(raw, tmp_path / "beside.sqlite", told="ch09.gemm_fp4")
    assert rows(tmp_path / "beside.sqlite", "select text from NVTX_EVENTS")[0] == ("ch09.gemm_fp4.baseline",)


def test_rows_and_their_strings_survive(raw: Path, tmp_path: Path) -> None:
    scrubbed = tmp_path / "scrubbed.sqlite"
    scrub_trace(raw, scrubbed)
    tables = [
        *("NVTX_EVENTS", "CUPTI_ACTIVITY_KIND_RUNTIME_V2", "CUPTI_ACTIVITY_KIND_KERNEL", "TARGET_INFO_GPU"),
        *("ENUM_CUDA_MEM_KIND", "TARGET_INFO_SESSION_START_TIME"),
    ]
    for table in tables:
        assert rows(scrubbed, f"select count(*) from {table}") == rows(raw, f"select count(*) from {table}")
    assert rows(scrubbed, "select id, value from StringIds order by id") == [
        (key, STRINGS[key]) for key in (1, 2, 3, 7)
    ]
    assert rows(scrubbed, "select * from NVTX_EVENTS") == [
        (5, "range <b>", None, None, None, None),
        (6, None, 3, 1.5, None, None),
    ]
    assert rows(scrubbed, "select callchainId from CUPTI_ACTIVITY_KIND_RUNTIME_V2") == [(None,), (None,)]
    assert rows(scrubbed, "select globalPid from CUPTI_ACTIVITY_KIND_KERNEL") == [(0x7F01_0002_2700_0000,), (None,)]
    assert rows(scrubbed, "select * from TARGET_INFO_GPU") == [(0, "NVIDIA H200", "a0ae1ff2", "", 132)]
    assert rows(scrubbed, "select * from ThreadNames") == []
    for table in tables:  # schema-true: the statements of the export, word for word
        query = f"select sql from sqlite_master where name = '{table}'"
        assert rows(scrubbed, query) == rows(raw, query)


def test_free_texts_are_chosen_and_keep_their_row_ids(raw: Path, tmp_path: Path) -> None:
    scrubbed = tmp_path / "scrubbed.sqlite"
    scrub_trace(raw, scrubbed)
    assert rows(scrubbed, "select rowid, text from DIAGNOSTIC_EVENT") == [
        (1, "Number of CUDA events collected: \t7993."),
        (3, "Cannot open <path>, see <path>"),
    ]
    assert rows(scrubbed, "select rowid, * from META_DATA_CAPTURE") == [
        (3, "PROCESS_0:CUDA_GRAPH_TRACE_OPTIONS:MODE", "Node"),
        (4, "CAPTURE_EVENT_TYPE", "Cuda"),
    ]
    assert rows(scrubbed, "select * from META_DATA_EXPORT") == [("EXPORT_SCHEMA_VERSION", "3.20.3")]


def test_a_private_thing_that_the_user_named_is_refused(tmp_path: Path) -> None:
    raw = build(tmp_path / "raw.sqlite", nvtx="load /home/ada/data")
    with pytest.raises(AispError, match="/home/ada"):
        scrub_trace(raw, tmp_path / "scrubbed.sqlite")
    assert not (tmp_path / "scrubbed.sqlite").exists()


def test_what_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, whatever it is called" * 100)
    sqlite3.connect(tmp_path / "other").executescript("create table t (x)").connection.close()
    for name in ("text", "other", "none"):
        with pytest.raises(TraceError):
            scrub_trace(tmp_path / name, tmp_path / "scrubbed.sqlite")
        assert not (tmp_path / "scrubbed.sqlite").exists()
    with pytest.raises(UsageError, match="exists"):
        scrub_trace(tmp_path / "other", tmp_path / "text")


def capture_of(raw: Path, manifest: Manifest, folder: Path) -> Capture:
    folder.mkdir()
    raw.rename(folder / "trace.sqlite")
    for name in ("report.nsys-rep", "run.log"):
        (folder / name).write_text("of /home/ada")
    manifest = manifest.changed(
        command=("/home/ada/.venv/bin/aisp-prof", "capture", "ch99", "--captures=/home/ada/c", "--captures", "/home/x"),
        runs={"untraced": {"pair": "ch99.fake", "order": ["in /home/ada/c"], "seed": 5, "argv": ["of ada"]}},
        files=folder_facts(folder),
    )
    write_manifest(manifest, folder)
    return Capture(folder, manifest)


def test_a_scrubbed_capture(raw: Path, manifest: Manifest, tmp_path: Path) -> None:
    capture = capture_of(raw, manifest, tmp_path / "local")
    made = [scrub_capture(capture, tmp_path / name) for name in ("first", "second")]
    assert sorted(path.name for path in made[0].folder.iterdir()) == ["manifest.json", "trace.sqlite.xz"]
    packed = [(one.folder / "trace.sqlite.xz").read_bytes() for one in made]
    assert packed[0] == packed[1]
    assert lzma.decompress(packed[0]).startswith(b"SQLite format 3\0")
    assert made[0].verify_files() == ()
    assert made[0].trace_path == tmp_path / "first" / "trace.sqlite.xz"
    shown = read_manifest(tmp_path / "first")
    assert shown.command == ("aisp-prof", "capture", "ch99", "--captures=<path>", "--captures", "<path>")
    assert shown.as_written["runs"] == {"untraced": {"pair": "ch99.fake", "order": ["in <path>"], "seed": 5}}
    assert not [leak for path in made[0].folder.iterdir() for leak in leaks(path)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "local", "second"]


def test_scrubbing_refuses_a_changed_capture_and_an_existing_target(
    raw: Path, manifest: Manifest, tmp_path: Path
) -> None:
    capture = capture_of(raw, manifest, tmp_path / "local")
    with pytest.raises(UsageError, match="exists"):
        scrub_capture(capture, tmp_path / "local")
    (capture.folder / "run.log").write_text("else")
    with pytest.raises(UsageError, match="was changed"):
        scrub_capture(capture, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_phases_of_a_floor_are_published(manifest: Manifest) -> None:
    """Left out, a scrubbed capture had no floor where the raw one had."""
    phases = {"baseline": [{"h2d": 1, "d2h": 0, "dram": 2, "flops": {"bf16": 3}, "launches": 4}]}
    stated = manifest.changed(runs={"untraced": {"pair": "ch99.fake", "phases": phases}})
    assert published(stated).as_written["runs"]["untraced"]["phases"] == phases


def test_what_a_library_chose_is_published(manifest: Manifest) -> None:
    chosen = {"algorithm": 66, "tile": "256x128", "stages": "64x4", "cluster": "2x1x1"}
    ran = {"optimized": {**chosen, "workspace": 4, "rank": 2, "candidates": 7}}
    stated = manifest.changed(runs={"traced": {"pair": "ch99.fake", "chosen": ran}})
    assert published(stated).as_written["runs"]["traced"]["chosen"] == ran


def test_what_is_not_published_may_be_gone(raw: Path, manifest: Manifest, tmp_path: Path) -> None:
    """A profiler's report is large, and nothing of it is published: whoever moves a capture may leave it behind."""
    capture = capture_of(raw, manifest, tmp_path / "local")
    (capture.folder / "report.nsys-rep").unlink()
    made = scrub_capture(capture, tmp_path / "scrubbed")
    assert sorted(made.manifest.files) == ["trace.sqlite.xz"]
    (capture.folder / "trace.sqlite").unlink()
    with pytest.raises(UsageError, match=r"was changed: trace\.sqlite: No such file"):
        scrub_capture(capture, tmp_path / "without")


def test_without_paths() -> None:
    assert without_paths("H2D/D2H at 3 GB/s, 1/2") == "H2D/D2H at 3 GB/s, 1/2"
    assert without_paths('open("/a b/c") of --x=/y/z, /w.') == "open(<path>) of --x=<path>, <path>"
    assert without_paths(r"open C:\Users\ada\x, '\\nas7\ada', file:///home/ada and ~ada/x") == (
        "open <path>, <path>, file:<path> and ~ada/x"
    )
