"""A redacted trace: every number of the original, none of what is nobody's business, and names only as told."""

from __future__ import annotations

import json
import lzma
import re
import sqlite3
from base64 import b64encode
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import AispError, TraceError, UsageError
from aisp_prof.profiler.queries.ranges import ranges
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.store.leaks import environment_values, leaks
from aisp_prof.profiler.store.names import NameRules
from aisp_prof.profiler.store.redact import scrub_trace
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder

TWO_GPUS = sorted((Path(__file__).parents[2] / "traces").glob("*.sqlite.xz"))
RULES = {
    "all names": NameRules,
    "hashed": lambda: NameRules(hash_names=True),
    "hashed but for some": lambda: NameRules(keep=("*step*", "scale*"), hash_names=True),
    "dropped": lambda: NameRules(drop=("*gemm*", "*secret*")),
}
NAMES = {"name", "range", "domain", "parent", "text", "label", "uuid_name"}


def rich(path: Path, **changed: str) -> Path:
    """Two processes on two GPUs: ranges of every kind, graphs, copies, communication, an environment, text of any bytes."""
    trace = TraceBuilder()
    for rank in range(2):
        process = trace.process(pid=100 + rank, host=1 + rank)
        process.sees(trace.gpu(f"uuid-{rank}"))
        at = 1_000 * rank
        for step in range(4):
            process.range("step", at, at + 400, domain="train", payload=step, registered=step % 2 == 0)
            process.range(changed.get("inner", "secret_phase"), at + 5, at + 200, tid=1)
            process.kernel("scale", (at + 10, at + 12), (at + 20, at + 60), stream=7)
            process.kernel("secret_gemm", (at + 13, at + 15), (at + 40, at + 90), stream=8)
            process.kernel("ncclDevKernel_AllReduce_Sum", (at + 16, at + 18), (at + 50, at + 120), stream=9)
            process.copy("h2d", 4096, (at + 19, at + 20), (at + 25, at + 45), stream=10)
            process.memset(64, (at + 21, at + 22), (at + 121, at + 130))
            at += 500
        process.range("window", 0, 5_000, start_end=True, end_tid=2)
        process.mark("done", at)
        process.category(3, "phase")
    trace.diagnostic("Cannot trace secret_gemm in /home/ada/x.py", severity=2)
    trace.add("META_DATA_CAPTURE", name="PROCESS_0:ENVIRONMENT_VARIABLE", value='JOB="queue-7/ada-lovelace"')
    trace.add("META_DATA_CAPTURE", name="PROCESS_0:CUDA_GRAPH_TRACE_OPTIONS:MODE", value="Node")
    trace.add("META_DATA_EXPORT", name="EXPORT_HOST", value="gpu-host-7")
    trace.add("META_DATA_CAPTURE", name="CAPTURE_RANGE_NAME", value="secret_phase")
    trace.add("META_DATA_CAPTURE", name="PROCESS_0:ENVIRONMENT_VARIABLE", value="API_TOKEN=hunter2hunter2")
    trace.add("META_DATA_CAPTURE", name="PROCESS_0:ENVIRONMENT_VARIABLE", value="DB_PASSWORD=hunter2 hunter")
    trace.string("HOSTNAME=gpu-host-7\0RUN_ID=0xfeed-beef-77\0")
    path = trace.write(path)
    with closing(sqlite3.connect(path)) as database:  # NVTX text is any bytes
        database.execute(
            "update NVTX_EVENTS set text = cast(x'ff6e616d65' as text) where rowid = (select min(rowid) from NVTX_EVENTS "
            "where text = 'window')"
        )
        database.commit()
    return path


def numbers(value: Any) -> Any:
    """An answer without its names and without the order that these make."""
    if isinstance(value, dict):
        return {key: numbers(one) for key, one in value.items() if key not in NAMES}
    if isinstance(value, str):
        return re.sub(r"'[^']*'(, '[^']*')*", "'…'", value)  # a sentence that names ranges
    if isinstance(value, list | tuple):
        return sorted((numbers(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True, default=str))
    return value


def answers(path: Path) -> tuple[Any, Any]:
    trace = read_trace(path)
    return numbers(asdict(summary(trace, 1000))), numbers(list(ranges(trace, everything=True).rows()))


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("source", [*TWO_GPUS, None], ids=lambda path: path.name if path else "built")
def test_every_number_stays(source: Path | None, rules: str, tmp_path: Path) -> None:
    raw = source or rich(tmp_path / "raw.sqlite")
    made = tmp_path / "scrubbed.sqlite.xz"
    scrub_trace(raw, made, RULES[rules]())
    before, after = answers(raw), answers(made)
    assert after[1] == before[1]
    assert after[0] == before[0]


def texts(path: Path, query: str) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return [row[0] for row in database.execute(query)]


def test_hashes_are_equal_for_equal_names_and_nothing_of_a_name_is_left(tmp_path: Path) -> None:
    raw, first, second = rich(tmp_path / "raw.sqlite"), tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    scrub_trace(raw, first, NameRules(hash_names=True))
    scrub_trace(raw, second, NameRules(hash_names=True))
    assert first.read_bytes() == second.read_bytes()
    data = first.read_bytes()
    for name in (b"secret", b"scale", b"step", b"window", b"train", b"phase", b"AllReduce", b"\xffname"):
        assert name not in data, name
    shown = set(texts(first, "select value from StringIds"))
    assert {"cudaLaunchKernel_v7000", "cudaMemcpyAsync_v3020"} <= shown
    assert [name for name in shown if name.startswith("ncclDevKernel_h_")]
    ranges_text = texts(first, "select text from NVTX_EVENTS where text is not null")
    registered = texts(first, "select value from StringIds join NVTX_EVENTS on id = textId")
    assert set(registered) & set(ranges_text), "a registered and a plain text of the same name have the same hash"
    diagnostics = texts(first, "select text from DIAGNOSTIC_EVENT where severity = 2")
    assert [text.startswith("Cannot trace h_") and text.endswith("<path>") for text in diagnostics] == [True]
    assert texts(first, "select name from META_DATA_CAPTURE") == ["PROCESS_0:CUDA_GRAPH_TRACE_OPTIONS:MODE"]


def test_what_a_name_becomes() -> None:
    rules = NameRules(keep=("keep*", "exact[0]"), drop=("keep_not", "*gone*"), hash_names=True)
    told = {name: rules.named(name.encode()).decode() for name in ("keep_me", "exact[0]", "keep_not", "is gone", "")}
    assert told == {"keep_me": "keep_me", "exact[0]": "exact[0]", "keep_not": "redacted", "is gone": "redacted", "": ""}
    assert rules.named(b"other") == NameRules(hash_names=True).named(b"other") != rules.named(b"another")
    assert NameRules(keep=("a",)).named(b"b") == b"redacted"
    assert NameRules(drop=("a",)).named(b"b") == b"b"
    assert NameRules(drop=("*",)).named(b"void deep_ep::combine<4>") == b"void deep_ep::_redacted"


def test_the_names_of_a_kernel_go_together() -> None:
    """Of `void secret<float>(T1 *)` only the short name fits the glob, and all three are the same secret."""
    rules = NameRules(drop=("secret",))
    rules.decide([b"secret", b"void secret<float>(T1 *)", b"_Z6secretIfEvPT_"])
    assert {rules.named(raw) for raw in (b"secret", b"void secret<float>(T1 *)", b"_Z6secretIfEvPT_")} == {b"redacted"}


def test_a_dropped_name_that_another_one_tells_is_a_leftover(tmp_path: Path) -> None:
    raw = rich(tmp_path / "raw.sqlite", inner="around secret_gemm")
    made = tmp_path / "scrubbed.sqlite"
    with pytest.raises(AispError, match="'secret_gemm' is still told") as caught:
        scrub_trace(raw, made, NameRules(drop=("secret_gemm",)))
    assert "--drop" in caught.value.mend
    assert not made.exists()
    scrub_trace(raw, made, NameRules(drop=("*secret_gemm*",)))
    assert b"secret" not in made.read_bytes()


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("load /home/ada/data", "an absolute path"),
        ("mail ada.lovelace@example.org", "an e-mail address"),
        ("on gpu-host-7", "a name"),
        ("of queue-7/ada-lovelace", "the value of JOB"),
        ("run 0xfeed-beef-77", "the value of RUN_ID"),
        ("key AKIAIOSFODNN7EXAMPLE", "a key of AWS"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("get https://ada:hunter2@example.org/x", "a password in a URL"),
        (r"load C:\Users\ada\data", "a folder of Windows"),
        (r"load D:\work\ada", "a folder of Windows"),
        (r"{'x': 'C:\\Users\\ada'}", "a folder of Windows"),
        (r"\\nas7\ada\data", "a folder of Windows"),
        ("load /export/home/ada/data", "an absolute path"),
        ("load /global/homes/a/ada", "an absolute path"),
        ("load /users/ada/data", "an absolute path"),
        ("load file:///data7/ada/x", "an absolute path"),
        ("load /dev/shm/ada-1", "an absolute path"),
        ("load %2Fhome%2fada%2Fdata", "an absolute path, percent-encoded"),
        ("/home/ada".encode("utf-16-le").decode(), "an absolute path in UTF-16"),
        ("on gpu-host-7".encode("utf-16-le").decode(), "a name"),
        (f"on {b64encode(b'xgpu-host-7').decode()}", "a name"),
        (f"on {b64encode(b'gpu-host-7!').decode()}", "a name"),
        (f"key {b64encode(b'it is hunter2hunter2').decode()}", "the value of API_TOKEN"),
        ("key hunter2%20hunter", "the value of DB_PASSWORD"),
        (f"key {b'hunter2 hunter'.hex()}", "the value of DB_PASSWORD"),
    ],
)
def test_a_leftover_is_found_named_and_the_result_removed(told: str, found: str, tmp_path: Path) -> None:
    raw = rich(tmp_path / "raw.sqlite", inner=told)
    with pytest.raises(AispError, match=found):
        scrub_trace(raw, tmp_path / "scrubbed.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["raw.sqlite"]
    scrub_trace(raw, tmp_path / "scrubbed.sqlite", NameRules(drop=(told.replace("[", "?"),)))


def test_values_that_tell_nothing_are_not_looked_for() -> None:
    text = b'LANG="C"\0A=13.0.1-1\0MODE=nvidia_something\0HOSTNAME=gpu7x1\0API_TOKEN=abcdef\0B=x86/64-v3\nno assignment'
    assert dict(environment_values(text)) == {"HOSTNAME": "gpu7x1", "API_TOKEN": "abcdef", "B": "x86/64-v3"}


def test_keys_are_not_repeated_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_bytes(b"hf_" + b"a" * 34 + b" and me.too@example.org")
    assert len(found := leaks(path)) == 2
    assert "aaaa" not in str(found)
    assert "me.too" not in str(found)
    (tmp_path / "fine").write_bytes(b"memcpy@GLIBC_2.2.5 a@b.c std::sort@plt \x01@\x00x.yz")
    assert leaks(tmp_path / "fine") == []


def odd(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(rich(path))) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    return path


@pytest.mark.parametrize(
    "statements",
    [
        ("drop table PROFILER_OVERHEAD", "create table PROFILER_OVERHEAD (start INTEGER, x AS (hex(zeroblob(9))))"),
        ("create table ENUM_X (id INTEGER DEFAULT (randomblob(9)))",),
        ("create table ENUM_X (id INTEGER CHECK (length(hex(zeroblob(9))) > 0))",),
        ("create table ENUM_X (id INTEGER, name TEXT COLLATE nocase REFERENCES y(z))",),
    ],
)
def test_a_statement_that_nsys_does_not_write_is_not_run(statements: tuple[str, ...], tmp_path: Path) -> None:
    raw = odd(tmp_path / "raw.sqlite", *[one for one in statements if not one.startswith("drop")])
    with pytest.raises(TraceError, match=r"was not created by a statement that nsys writes|generated"):
        scrub_trace(raw, tmp_path / "scrubbed.sqlite")
    assert not (tmp_path / "scrubbed.sqlite").exists()


def test_triggers_and_indices_are_not_copied(tmp_path: Path) -> None:
    raw = odd(
        tmp_path / "raw.sqlite",
        "create index i on NVTX_EVENTS (start)",
        "create trigger t after insert on NVTX_EVENTS begin select load_extension('x'); end",
        "create table notes (secret TEXT)",
        "insert into notes values ('of ada')",
    )
    scrub_trace(raw, tmp_path / "scrubbed.sqlite")
    assert texts(tmp_path / "scrubbed.sqlite", "select name from sqlite_master where type != 'table'") == []
    assert b"of ada" not in (tmp_path / "scrubbed.sqlite").read_bytes()


def test_packed_results_are_reproducible_and_existing_ones_stay(tmp_path: Path) -> None:
    raw = rich(tmp_path / "raw.sqlite")
    made = [tmp_path / f"{name}.sqlite.xz" for name in ("a", "b")]
    for path in made:
        scrub_trace(raw, path)
    assert made[0].read_bytes() == made[1].read_bytes()
    assert lzma.decompress(made[0].read_bytes()).startswith(b"SQLite format 3\0")
    with pytest.raises(UsageError, match="exists"):
        scrub_trace(raw, made[0])
    with pytest.raises(UsageError, match="is a folder"):
        scrub_trace(tmp_path, tmp_path / "c")


def test_a_scrubbed_trace_scrubs_into_itself(tmp_path: Path) -> None:
    raw = rich(tmp_path / "raw.sqlite")
    scrub_trace(raw, tmp_path / "once.sqlite", NameRules(hash_names=True))
    scrub_trace(tmp_path / "once.sqlite", tmp_path / "twice.sqlite", NameRules())
    assert (tmp_path / "once.sqlite").read_bytes() == (tmp_path / "twice.sqlite").read_bytes()
    assert replace(NameRules(keep=("x",)), drop=()).active
