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


PAYLOADS = """
#include <nvtx3/nvToolsExtPayload.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
typedef struct { uint64_t communicator; size_t bytes; uint64_t operation; } reduce_t;
typedef struct { uint64_t communicator; int ranks, rank, device, unused; } init_t;
static nvtxDomainHandle_t nccl;
static uint64_t schema(uint64_t id, const nvtxPayloadSchemaEntry_t *entries, size_t count, size_t size) {
    nvtxPayloadSchemaAttr_t a = {0};
    a.fieldMask = NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES |
                  NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_STATIC_SIZE | (id ? NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_SCHEMA_ID : 0);
    a.entries = entries, a.numEntries = count, a.payloadStaticSize = size, a.schemaId = id;
    return nvtxPayloadSchemaRegister(nccl, &a);
}
static void range(const char *name, nvtxPayloadData_t *data) { /* nvtx3's C++ does so: the size of an array in `reserved0` */
    nvtxEventAttributes_t a = {0};
    a.version = NVTX_VERSION, a.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    a.messageType = NVTX_MESSAGE_TYPE_ASCII, a.message.ascii = name;
    if (data)
        a.payloadType = NVTX_PAYLOAD_TYPE_EXT, a.payload.ullValue = (uint64_t)(uintptr_t)data, a.reserved0 = 1;
    nvtxDomainRangePushEx(nccl, &a);
}
int main(void) {
    nvtxPayloadSchemaEntry_t reduce[] = {{0, NVTX_PAYLOAD_ENTRY_TYPE_UINT64, "NCCL communicator ID"},
        {0, NVTX_PAYLOAD_ENTRY_TYPE_SIZE, "Message size [bytes]", NULL, 0, offsetof(reduce_t, bytes)}};
    nvtxPayloadSchemaEntry_t init[] = {{0, NVTX_PAYLOAD_ENTRY_TYPE_UINT64, "NCCL communicator ID"},
        {0, NVTX_PAYLOAD_ENTRY_TYPE_INT, "No. of ranks", NULL, 0, offsetof(init_t, ranks)},
        {0, NVTX_PAYLOAD_ENTRY_TYPE_INT, "Rank", NULL, 0, offsetof(init_t, rank)}};
    nccl = nvtxDomainCreateA("NCCL");
    uint64_t of_init = schema(0, init, 3, sizeof(init_t));
    schema(16777221, reduce, 2, sizeof(reduce_t));
    init_t made = {7777, 2, 1, 1, 0};
    reduce_t sum = {7777, 1 << 20, 0};
    nvtxPayloadData_t told = {of_init, sizeof made, &made}, summed = {16777221, SIZE_MAX, &sum}, huge = {16777221, 1 << 30, &sum};
    range("ncclCommInitRank", NULL);
    nvtxRangePopPayload(nccl, &told, 1); /* NCCL knows its rank at the end */
    range("ncclAllReduce", &summed);
    nvtxDomainRangePop(nccl);
    range("too long", &huge);
    nvtxDomainRangePop(nccl);
    nvtxRangeId_t one = nvtxRangeStartPayload(nccl, &summed, 1);
    nvtxRangeEndPayload(nccl, one, NULL, 0);
    nvtxRangePushPayload(nccl, &summed, 1);
    nvtxDomainRangePop(nccl);
    nvtxMarkPayload(nccl, &told, 1);
    if (!fork()) {
        range("of a child", &summed);
        nvtxRangePopPayload(nccl, NULL, 0);
        exit(0);
    }
    int status;
    return wait(&status) < 0 || status;
}
"""


def test_payloads_in_a_programs_own_form_are_those_that_nsys_writes(machine: Traced, tmp_path: Path) -> None:
    """As NCCL's: its ranges' communicator and size lie there, and it ends some ranges by a payload. Seen on an H200: such a range
    never ended, where Nsight Systems 2025.3 ended it."""
    source = tmp_path / "payloads.c"
    source.write_text(PAYLOADS)
    program = compiled(str(source), tmp_path / "payloads", "-I" + headers("nvtx3/nvToolsExtPayload.h"))
    folder, done = machine.run_command([str(program)])
    assert done.returncode == 0, done.stderr
    reduced = bytes.fromhex(
        "0100000000000000050000010000000018000000000000002000000000000000611E00000000000000001000000000000000000000000000"
    )
    with closing(sqlite3.connect(machine.export(folder))) as database:
        rows = database.execute(
            "select e.text, e.end = d.duration, e.binaryData from NVTX_EVENTS e, ANALYSIS_DETAILS d "
            "where eventType in (34, 59, 60) order by start, e.rowid"
        ).fetchall()
    made = rows[0][2]
    assert rows == [
        ("ncclCommInitRank", 0, made),
        ("ncclAllReduce", 0, reduced),
        ("too long", 0, None),
        (None, 0, reduced),
        (None, 0, reduced),
        (None, None, made),
        ("of a child", 0, reduced),
    ]
    trace = read_trace(folder.with_suffix(".sqlite"))
    stated = trace.stated
    assert attest(trace).events_stated is None
    assert [trace.text(name) for name in stated.name.tolist()] == [
        "ncclCommInitRank",
        "ncclAllReduce",
        "",
        "",
        "of a child",
    ]
    columns = zip(*(getattr(stated, name).tolist() for name in ("communicator", "bytes", "size", "rank")), strict=True)
    summed = (7777, 1 << 20, -1, -1)
    assert list(columns) == [(7777, -1, 2, 1), summed, summed, summed, summed]


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
