"""Files that commands write: whole or not at all, and of a bounded size, whatever the trace holds."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from aisp_prof import cli
from aisp_prof.cli.counters import _store
from aisp_prof.errors import UsageError
from aisp_prof.machine.files import PREFIX, append_whole, output_file
from aisp_prof.workloads.record import write_text
from busy_trace import busy_trace

Run = Callable[..., int]
ROOT = Path(__file__).parents[2]
OLD = "what was there before\n"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busy_trace().write(tmp_path_factory.mktemp("outputs") / "t.sqlite")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["aisp-prof", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    return call


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """What a full disk is to whoever writes more than this: an error in the middle of a file. Python itself would put the compiled
    code of a module in its place cut."""
    before, compiled = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = compiled


def _short_of_room(room: int, *arguments: object) -> int:
    """A command's exit code in a process of its own, of which no file may become larger than `room`."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [sys.executable, "-P", "-m", "aisp_prof", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".pythonpath"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, env=environment, preexec_fn=limit, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode


CLAIM = ("kernels_per_iteration >= 0", "--range", "step")
WRITERS = {
    "perfetto": (("trace", "export"), ("--to", "perfetto", "-o"), "out.json"),
    "csv": (("trace", "export"), ("--to", "csv", "-o"), "."),
    "parquet": (("trace", "export"), ("--to", "parquet", "-o"), "."),
    "ranges.csv": (("trace", "ranges"), ("-o",), "out.csv"),
    "ranges.parquet": (("trace", "ranges"), ("-o",), "out.parquet"),
    "junit": (("assert",), (*CLAIM, "--junit"), "out.xml"),
    "sarif": (("assert",), (*CLAIM, "--sarif"), "out.sarif"),
    "summary": (("assert",), (*CLAIM, "--summary"), "out.md"),
}
MADE = {
    "csv": ("operations.csv", "calls.csv", "ranges.csv"),
    "parquet": ("operations.parquet", "calls.parquet", "ranges.parquet"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_what_was_there(run: Run, trace: Path, tmp_path: Path, writer: str) -> None:
    room = 100
    command, options, name = WRITERS[writer]
    files = [tmp_path / one for one in MADE.get(writer, (name,))]
    for file in files:
        file.write_text(OLD)
    if _short_of_room(room, *command, trace, *options, tmp_path / name) == 0:
        pytest.fail(f"{writer} fits into {room} bytes: this shows nothing")
    assert [file.read_text() for file in files] == [OLD] * len(files)
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert run(*command, trace, *options, tmp_path / name) == 0
    assert all(file.stat().st_size > room for file in files)
    assert not list(tmp_path.glob(f"{PREFIX}*"))


def _as_output(path: Path, data: bytes) -> None:
    with output_file(path) as file:
        file.write(data)


@pytest.mark.parametrize(
    "write",
    [_as_output, lambda path, data: write_text(path, data.decode()), lambda path, data: _store(path, data.decode())],
)
def test_other_writers_leave_what_was_there(tmp_path: Path, write: Callable[[Path, bytes], object]) -> None:
    (tmp_path / "out").write_text(OLD)
    with no_file_above(100), pytest.raises((OSError, UsageError), match="File too large"):
        write(tmp_path / "out", b"x" * 1000)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("out", OLD)]
    write(tmp_path / "out", b"x" * 1000)
    assert (tmp_path / "out").read_text().strip() == "x" * 1000
    write(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


def test_a_summary_is_added_to_what_others_wrote(run: Run, trace: Path, tmp_path: Path) -> None:
    (tmp_path / "s.md").write_text(OLD)
    assert run("assert", trace, *CLAIM, "--summary", tmp_path / "s.md") == 0
    once = (tmp_path / "s.md").read_text()
    assert once.startswith(OLD)
    append_whole(tmp_path / "s.md", b"and more")
    assert (tmp_path / "s.md").read_text() == once + "and more"


@pytest.mark.parametrize("to", ["perfetto", "ranges.csv", "junit", "sarif"])
def test_a_pipe_is_written_to_as_it_is(run: Run, trace: Path, to: str, tmp_path: Path) -> None:
    command, options, name = WRITERS[to]
    os.mkfifo(tmp_path / name)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / name).read_text)
        assert run(*command, trace, *options, tmp_path / name) == 0
        assert len(read.result(60)) > 100
    assert not (tmp_path / name).is_file()


@pytest.fixture
def swollen(tmp_path: Path) -> Path:
    """A name of a megabyte that every range bears: a few kB packed, many MB where each row spells it."""
    path = busy_trace().write(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO StringIds VALUES (777777, ?)", ("n" * (1 << 20),))
        connection.execute("UPDATE NVTX_EVENTS SET text = NULL, textId = 777777 WHERE end IS NOT NULL")
        connection.commit()
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("trace", "export", "{trace}", "--to", "perfetto", "-o", "{out}/p.json"),
        ("trace", "export", "{trace}", "--to", "csv", "-o", "{out}"),
        ("trace", "ranges", "{trace}", "-o", "{out}/r.csv"),
        ("trace", "ranges", "{trace}", "--json"),
    ],
)
def test_output_is_bounded(
    run: Run,
    swollen: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aisp_prof.profiler.trace.source.limits.OUTPUT_RATIO", 4)
    monkeypatch.setattr("aisp_prof.profiler.trace.source.limits.OUTPUT_LEAST", 1 << 20)
    out = tmp_path / "out"
    out.mkdir()
    assert run(*(one.format(trace=swollen, out=out) for one in arguments)) == 2
    printed = capsys.readouterr()
    assert "names far longer than nsys writes" in printed.err
    assert len(printed.out) < 1000
    assert list(out.iterdir()) == []


def test_parquet_holds_a_long_name_once(run: Run, swollen: Path, tmp_path: Path) -> None:
    assert run("trace", "ranges", swollen, "-o", tmp_path / "r.parquet") == 0
    assert (tmp_path / "r.parquet").stat().st_size < 1 << 20
