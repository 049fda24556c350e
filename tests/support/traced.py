"""Programs recorded by the package's own tracer: its library, the stand-in CUPTI and the stand-in program, built once a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import shared
from aisp_prof.profiler.core.building import compiler
from aisp_prof.profiler.trace.model import Trace
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.tracer import library, recording

HERE = Path(__file__).parent
ROOM = Path(library.__file__).parent
INCLUDES = ("/usr/local/cuda/include", *sorted(map(str, Path("/usr/local").glob("cuda-*/include")), reverse=True))


def compiled(source: str, target: Path, *options: str) -> Path:
    """A C file of this folder as a program, or with -shared as a library."""
    if (command := compiler()) is None:
        pytest.skip("no C compiler")
    words = [
        *command,
        "-std=gnu11",
        "-O1",
        "-pthread",
        f"-I{ROOM}",
        *options,
        str(HERE / source),
        "-o",
        str(target),
        "-ldl",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def headers(name: str) -> str:
    """The folder of headers that holds this one; without it the test is skipped, which says so."""
    found = next((folder for folder in INCLUDES if Path(folder, name).is_file()), None)
    if found is None:
        pytest.skip(f"{name} is in no CUDA toolkit here")
    return found


@dataclass
class Traced:
    """A machine with the stand-ins, in a folder of one test."""

    folder: Path
    built: Path
    count: int = 0

    @property
    def program(self) -> Path:
        return self.built / "stand_in_cuda"

    @property
    def variables(self) -> dict[str, str]:
        """Those by which the stand-ins find each other, as a user would set AISP_CUPTI."""
        cupti = str(self.built / "libcupti.so.13")
        return {"STAND_IN_CUPTI": cupti, "AISP_CUPTI": cupti, "AISP_CACHE": str(self.built / "cache")}

    def run(self, *words: object, **environment: str) -> Path:
        """What the stand-in program leaves when it does these words."""
        return self.run_command([str(self.program), *map(str, words)], **environment)[0]

    def run_command(self, command: Sequence[str], **environment: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
        self.count += 1
        folder, given = self.folder / f"recorded-{self.count}", {**os.environ, **self.variables, **environment}
        tracer = recording.Tracer(self.built / "_tracer.so", self.built / "libcupti.so.13")
        done = subprocess.run(tracer.command(folder, command), env=given, capture_output=True, text=True, check=False)
        return folder, done

    def export(self, folder: Path) -> Path:
        target = folder.with_suffix(".sqlite")
        recording.export(folder, target)
        return target

    def trace(self, *words: object, **environment: str) -> Trace:
        return read_trace(self.export(self.run(*words, **environment)))


def make(folder: Path) -> Traced:
    built = shared._folders[0] / "traced"

    def build() -> str:
        built.mkdir()
        compiled(
            "stand_in_cupti.c", built / "libcupti.so.13", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"
        )
        compiled("stand_in_cuda.c", built / "stand_in_cuda", "-Wall", "-Wextra")
        return library.build(built / "_tracer.so", library.TRACER, (*library.TRACER_FLAGS, "-Werror"))

    if compiler() is None:
        pytest.skip("no C compiler")
    assert shared.made_once("traced-built", build) == ""
    return Traced(folder, built)


NVTX = (
    "select e.eventType, e.rangeId, e.category, e.color, coalesce(e.text, s.value), e.uint64Value, e.int64Value, e.doubleValue, "
    "e.uint32Value, e.int32Value, e.floatValue, e.domainId, e.globalTid, e.endGlobalTid, e.end, e.end = d.duration "
    "from NVTX_EVENTS e left join StringIds s on s.id = e.textId, ANALYSIS_DETAILS d order by e.start, e.rowid"
)


def nvtx_of(export: Path) -> list[str]:
    """The rows of NVTX_EVENTS by their start, a line each, in what does not depend on the clock: threads by their order, ends by
    their rank, `open` for a range that ends with the session. For Nsight Systems' exports and for ours."""
    with closing(sqlite3.connect(export)) as database:
        database.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
        rows = database.execute(NVTX).fetchall()
    threads = list(dict.fromkeys(thread for row in rows for thread in row[12:14] if thread is not None))
    ends = sorted(row[14] for row in rows if row[14] is not None and not row[15])
    lines = []
    for row in rows:
        thread, end_thread = (None if one is None else threads.index(one) for one in row[12:14])
        end = None if row[14] is None else "open" if row[15] else ends.index(row[14])
        lines.append(repr((*row[:12], thread, end_thread, end)))
    return lines
