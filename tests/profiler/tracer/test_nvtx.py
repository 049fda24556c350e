"""NVTX through the tracer's injection: what Nsight Systems records of the same program, and what that one cannot."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.trace.model import pid_of
from aisp_prof.profiler.trace.reader import read_trace
from traced import Traced, compiled, headers, nvtx_of

BY_NSYS = Path(__file__).parents[2] / "golden" / "nvtx-by-nsys-2023.4.txt"


def test_every_call_becomes_the_row_that_nsys_makes_of_it(machine: Traced, tmp_path: Path) -> None:
    """The golden lines are `nvtx_of` an export of Nsight Systems 2023.4.4 that recorded the same program."""
    program = compiled("nvtx_program.c", tmp_path / "nvtx", "-I" + headers("nvtx3/nvToolsExt.h"))
    folder, done = machine.run_command([str(program)])
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n".join(nvtx_of(machine.export(folder))) + "\n" == BY_NSYS.read_text()


HOSTILE = """
#include <nvtx3/nvToolsExt.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
    char *longest = malloc(200001);
    memset(longest, 'x', 200000), longest[200000] = 0;
    nvtxEventAttributes_t a = {0};
    a.version = NVTX_VERSION, a.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    nvtxRangePushA("bad \\xff\\xfe bytes");
    nvtxRangePushA(NULL);
    nvtxRangePushEx(&a);
    nvtxRangePushA(longest);
    nvtxRangePop(), nvtxRangePop(), nvtxRangePop(), nvtxRangePop();
    a.payloadType = 0x7f, a.payload.ullValue = (uint64_t)longest; /* a type of payload that is none of ours: an address */
    a.messageType = NVTX_MESSAGE_TYPE_ASCII, a.message.ascii = "<script>";
    nvtxMarkEx(&a);
    a.size = 8; /* attributes that end before their message */
    nvtxMarkEx(&a);
    return 0;
}
"""


def test_names_may_be_any_bytes_none_or_long(machine: Traced, tmp_path: Path) -> None:
    source = tmp_path / "hostile.c"
    source.write_text(HOSTILE)
    program = compiled(str(source), tmp_path / "hostile", "-I" + headers("nvtx3/nvToolsExt.h"))
    folder, done = machine.run_command([str(program)])
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(machine.export(folder))) as database:
        database.text_factory = bytes
        rows = database.execute(
            "select coalesce(e.text, s.value), uint64Value from NVTX_EVENTS e left join StringIds s on s.id = textId "
            "order by start, e.rowid"
        ).fetchall()
    assert rows == [
        (b"bad \xff\xfe bytes", None),
        *[(None, None)] * 2,
        (b"x" * 200_000, None),
        (b"<script>", None),
        (None, None),
    ]
    assert attest(read_trace(folder.with_suffix(".sqlite"))).events_stated is None


PYTHON = """
import nvtx, os, sys, threading
@nvtx.annotate("decorated", domain="train", color="red")
def work(): pass
with nvtx.annotate("step", domain="train", payload=7), nvtx.annotate("inner ü"):
    work()
    crossing = nvtx.start_range("across", domain="train")
    ending = threading.Thread(target=lambda: nvtx.end_range(crossing)); ending.start(); ending.join()
def many(name):
    for _ in range(3000): nvtx.push_range(name, domain="train"); nvtx.pop_range(domain="train")
threads = [threading.Thread(target=many, args=(f"thread {n}",)) for n in range(4)]
for one in threads: one.start()
for one in threads: one.join()
if (child := os.fork()) == 0:
    with nvtx.annotate("in a child", domain="train"): pass
    sys.exit(0)
os.waitpid(child, 0)
"""


def test_python_ranges_of_threads_and_of_a_forked_child(machine: Traced) -> None:
    pytest.importorskip("nvtx")
    folder, done = machine.run_command([sys.executable, "-W", "ignore", "-c", PYTHON])
    assert (done.returncode, done.stderr) == (0, "")
    trace = read_trace(machine.export(folder))
    ranges, texts = trace.ranges, [trace.text(number) for number in trace.ranges.text.tolist()]
    named = {name: texts.index(name) for name in texts}
    assert {name: texts.count(name) for name in named} == {
        **dict.fromkeys(("decorated", "step", "inner ü", "across", "in a child"), 1),
        **{f"thread {number}": 3000 for number in range(4)},
    }
    assert [trace.text(int(ranges.domain[named[name]])) for name in ("step", "in a child")] == ["train", "train"]
    assert int(ranges.payload[named["step"]]) == 7
    assert ranges.parent[named["decorated"]] == named["step"]
    assert ranges.thread[named["across"]] != ranges.end_thread[named["across"]]
    own, child = (pid_of(int(ranges.process[named[name]])) for name in ("step", "in a child"))
    assert own != child
    assert len(np.unique(ranges.thread)) == 6
    assert not ranges.is_open.any()
    said = [one.text for one in trace.diagnostics or ()]
    assert sum(int(text.rsplit(" ", 1)[1].rstrip(".")) for text in said) == trace.rows["NVTX_EVENTS"]
