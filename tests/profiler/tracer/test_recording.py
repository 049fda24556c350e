"""CUDA's side of the tracer, with a stand-in for CUPTI: what is recorded, and that nothing looks whole which is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.analysis.ledger import closes, ledger, match_launches
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.trace.source.file import connect
from aisp_prof.profiler.tracer import buffers, library, recording
from aisp_prof.profiler.tracer.names import demangled, short
from aisp_prof.profiler.tracer.tables import write_trace
from traced import Traced, compiled, headers

KERNEL, MEMCPY, MEMSET, RUNTIME = (f"CUPTI_ACTIVITY_KIND_{name}" for name in ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME"))


def rows(export: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(export)) as database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize("name", ["cupti.h"])
def test_layouts_are_those_of_the_headers_that_are_there(tmp_path: Path, name: str) -> None:
    compiled("cupti_layout.c", tmp_path / "layout.o", "-c", "-Wall", "-Werror", "-I" + headers(name))


def test_all_that_a_program_does_is_in_the_trace(machine: Traced) -> None:
    """Counts and lengths are those that the program states, worked out by hand."""
    folder = machine.run(
        "cuda", "slow", 4, "fast", 3, "graph", 2, "threads", 3, "peer", "pageable", "some", 900, "spawn"
    )
    export = machine.export(folder)
    steps, spawned = 4 + 3, 2
    kernels = 4 * 3 + 3 * 2 + 2 * 3 + 3 * 5 + 900 + spawned * 3
    launches = kernels - 2 * 3
    assert rows(export, f"select count(*), count(graphNodeId) from {KERNEL}") == [(kernels, 6)]
    calls = 2 * launches + 2 + (steps + 2 + spawned) + (steps + spawned) * 2
    assert rows(export, f"select count(*) from {RUNTIME}") == [(calls,)]
    assert rows(
        export, f"select copyKind, srcKind, dstKind, dstDeviceId, bytes, count(*) from {MEMCPY} group by 1, 2"
    ) == [
        (1, 0, 2, None, 1 << 16, 1),
        (1, 1, 2, None, 1 << 20, steps + spawned),
        (10, 2, 2, 1, 1 << 16, 1),
    ]
    assert rows(export, f"select value, bytes, end - start, count(*) from {MEMSET}") == [
        (255, 4096, 2000, steps + spawned)
    ]
    named = f"select s.value, f.value, count(*) from {KERNEL} k join StringIds s on s.id = shortName join StringIds f "
    assert rows(export, named + "on f.id = demangledName where end - start = 80000 group by 1 order by 1") == [
        ("add", "add(float*, float*)", 4 + spawned),
        ("gemm", "void math::gemm<128>(float*, int)", steps + spawned),
    ]
    trace = read_trace(export)
    assert attest(trace).status == "complete"
    assert (
        attest(trace).events_stated
        == trace.rows[KERNEL] + trace.rows[RUNTIME] + trace.rows[MEMCPY] + trace.rows[MEMSET]
    )
    assert closes(ledger(trace, match_launches(trace)))
    assert [(gpu.uuid, gpu.name) for gpu in trace.gpus] == [("2a35044b-9bfa-8dfe-ae84-2fe91dc0969e", "Stand-in GPU")]
    assert len(np.unique(trace.operations.process)) == 2
    assert (trace.operations.launch >= 0).all()
    assert trace.schema.export["EXPORT_PRODUCT_NAME"] == ("aisp-prof tracer",)


def test_a_buffer_without_a_record_that_stays_away_is_told_of(machine: Traced) -> None:
    found = attest(machine.trace("cuda", "slow", 2, STAND_IN_EMPTY="1"))
    assert found.status == "complete"
    assert [
        "did not come back" in str(one.values.get("text")) for one in found.findings if one.code == "diagnostic"
    ] == [True]


def test_without_records_of_devices_there_is_a_trace(machine: Traced) -> None:
    trace = machine.trace("cuda", "slow", 2, STAND_IN_NAMELESS="1")
    assert (attest(trace).status, [gpu.uuid for gpu in trace.gpus]) == ("complete", [""])


@pytest.mark.parametrize("environment", [{}, {"STAND_IN_NODELESS": "1"}], ids=["nodes", "calls around them"])
def test_launches_under_capture_are_no_lost_ones(machine: Traced, environment: dict[str, str]) -> None:
    trace = machine.trace("cuda", "some", 5, "capture", 7, "graph", 3, **environment)
    assert attest(trace).status == "complete"
    assert len(match_launches(trace).captured) == 7


def test_a_launch_that_another_thread_captures_is_told_by_its_node(machine: Traced) -> None:
    """As PyTorch's backward pass: seen on an H200, where 33 of 68 launches counted as lost."""
    export = machine.export(machine.run("cuda", "some", 5, "elsewhere", 6, "capture", 2))
    assert attest(trace := read_trace(export)).status == "complete"
    assert len(match_launches(trace).captured) == 8
    made = "select s.value, eventClass, originalGraphNodeId is null, count(*) from CUDA_GRAPH_NODE_EVENTS join StringIds s "
    assert rows(export, made + "on s.id = nameId group by 3 order by 3 desc") == [
        ("Graph Node Creation", 77, 1, 8),
        ("Graph Node Creation", 77, 0, 8),
    ]


@pytest.mark.parametrize(
    ("call", "kept"),
    [
        ("cudaGetDevice_v3020", 0),
        ("cudaGetErrorString_v3020", 0),
        ("cudaDeviceCanAccessPeer_v4000", 0),
        ("cudaDeviceEnablePeerAccess_v4000", 40),
    ],
)
def test_calls_that_only_ask_are_left_out_as_nsys_leaves_them_out(machine: Traced, call: str, kept: int) -> None:
    """By the calls of a PyTorch program and of NCCL between two GPUs in traces of both, on H200s."""
    export = machine.export(machine.run("cuda", "some", 5, "ask", 40, STAND_IN_ASKED=call))
    assert attest(read_trace(export)).status == "complete"
    assert rows(export, f"select count(*) from {RUNTIME}") == [(2 * 5 + kept,)]


def test_two_processes_of_one_number_are_two(machine: Traced) -> None:
    """The system gives a number again; correlation ids begin anew in each process."""
    folder = machine.run("cuda", "slow", 3)
    (file,) = folder.glob("*.trace")
    pid, began = file.stem.split("-")
    file.with_name(f"{pid}-{began}f.trace").write_bytes(file.read_bytes())
    trace = read_trace(machine.export(folder))
    assert (attest(trace).status, trace.rows[KERNEL]) == ("complete", 2 * 9)
    assert len(np.unique(trace.operations.launch)) == len(trace.operations)
    assert len(trace.gpus) == 1


def test_times_of_cuda_and_nvtx_are_on_one_clock(machine: Traced) -> None:
    """Each step's calls lie within its range, to the nanosecond."""
    trace = machine.trace("cuda", "slow", 20)
    texts = [trace.text(number) for number in trace.ranges.text.tolist()]
    steps = [index for index, text in enumerate(texts) if text == "slow step"]
    inside = [
        int(((trace.calls.start >= trace.ranges.start[one]) & (trace.calls.end <= trace.ranges.end[one])).sum())
        for one in steps
    ]
    assert inside == [9] * 20
    assert len(trace.calls) == 9 * 20


def test_a_kernels_names_are_those_of_nsys() -> None:
    """Nsight Systems' short names, in the captures that ship, of the mangled names beside them."""
    query = f"select distinct m.value, s.value from {KERNEL} join StringIds m on m.id = mangledName join StringIds s on s.id = shortName"
    known: dict[str, str] = {}
    for capture in (shipped_store().newest(key) for key in ("ch11.streams", "ch20.training_single", "ch10.matmul")):
        assert capture
        with connect(capture.folder / "trace.sqlite.xz") as database:
            known |= dict(database.execute(query).fetchall())
    assert len(known) > 20
    assert {mangled: short(demangled(mangled)) for mangled in known} == known


BROKEN: dict[str, tuple[tuple[object, ...], dict[str, str], str]] = {
    "killed": (("cuda", "slow", 3, "kill"), {}, "has no closing record"),
    "crashed": (("cuda", "slow", 3, "abort"), {}, "has no closing record"),
    "ended by _exit": (("cuda", "slow", 3, "_exit"), {}, "has no closing record"),
    "a forked child ended by _exit": (("cuda", "slow", 3, "fork", "ranges,2,_exit"), {}, "has no closing record"),
    "a forked child killed before it wrote": (("cuda", "slow", 3, "fork", "open,kill"), {}, "has no closing record"),
    "a full disk, later": (("cuda", "limit", 9000, "slow", 3, "some", 2000), {}, "has no closing record"),
    "a full disk, before": (("limit", 10, "cuda", "slow", 3), {}, "has no closing record"),
    "dropped records": (("cuda", "slow", 3), {"STAND_IN_DROP": "3"}, "CUPTI dropped"),
    "buffers taken over": (("cuda", "slow", 3, "other", "slow", 3), {}, "never came back"),
    "another clock": (("cuda", "slow", 3), {"STAND_IN_CLOCK": "-5000000"}, "off the clock of NVTX"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_whole_says_so(machine: Traced, case: str) -> None:
    words, environment, said = BROKEN[case]
    trace = machine.trace(*words, **environment)
    assert attest(trace).status == "incomplete"
    assert said in "\n".join(one.text for one in trace.diagnostics or ())


def test_a_forked_child_that_ends_in_order_is_whole(machine: Traced) -> None:
    trace = machine.trace("cuda", "slow", 2, "fork", "ranges,4,exit", "fork", "ranges,1")
    assert attest(trace).status == "complete"
    assert len(np.unique(trace.ranges.process)) == 3


def test_a_programs_own_file_is_never_written_to(
    machine: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon closes every file, and may open its own under the number that ours had."""
    monkeypatch.chdir(tmp_path)
    trace = machine.trace("cuda", "slow", 2, "closes", "some", 2000, "fork", "ranges,1200")
    assert (tmp_path / "mine.txt").read_bytes() == b""
    assert attest(trace).status == "incomplete"


def test_a_process_that_can_make_no_file_is_told_of(machine: Traced) -> None:
    folder, done = machine.run_command([str(machine.program), "ranges", "3"])
    assert done.returncode == 0
    (folder / buffers.WHOLE).unlink()
    assert attest(read_trace(machine.export(folder))).status == "incomplete"
    gone, done = machine.run_command(["/bin/sh", "-c", f'rm -r "$AISP_TRACER_OUT"; exec {machine.program} ranges 3'])
    assert (done.returncode, gone.exists()) == (0, False)


def test_killed_at_a_hundred_moments(machine: Traced) -> None:
    """Moments are calls into CUPTI and out of it, so that they lie between and within the buffers' way into the file."""
    words = [str(machine.program), "cuda", "slow", "2", "some", "1500", "slow", "1"]
    folder, done = machine.run_command(words, STAND_IN_KILL="999999")
    assert done.returncode == 0
    whole = read_trace(machine.export(folder))
    moments = np.unique(np.linspace(1, 7_500, 100).astype(int)).tolist()
    ended = []
    for moment in moments:
        folder, done = machine.run_command(words, STAND_IN_KILL=str(moment))
        ended.append(done.returncode)
        if done.returncode:
            (process,) = buffers.read_recording(folder).processes
            assert process.close is None, moment
            trace = read_trace(machine.export(folder))
            assert attest(trace).status == "incomplete", moment
            assert sum(trace.rows.values()) <= sum(whole.rows.values())
    assert len(ended) == 100
    assert set(ended) == {-9}


def test_a_file_that_ends_anywhere_but_at_its_end_has_no_closing_record(machine: Traced) -> None:
    (file,) = machine.run("cuda", "slow", 2, "ranges", 20).glob("*.trace")
    data, part = file.read_bytes(), file.with_name("1-1.trace")
    assert buffers.read_process(file).close is not None  # type: ignore[union-attr]
    for size in (*range(0, len(data), 97), len(data) - 1):
        part.write_bytes(data[:size])
        cut = buffers.read_process(part)
        assert cut is None or cut.close is None, size
    part.write_bytes(data + data[-1:])
    assert buffers.read_process(part).close is None  # type: ignore[union-attr]
    part.write_bytes(data[:8] + b"\x63" + data[9:])
    with pytest.raises(AispError, match="another version"):
        buffers.read_process(part)


def test_a_damaged_file_is_read_as_far_as_it_goes_or_refused(machine: Traced) -> None:
    """A program that writes where it should not may change what lies in the tracer's buffers."""
    (file,) = machine.run("cuda", "slow", 2, "ranges", 3).glob("*.trace")
    data, made = bytearray(file.read_bytes()), file.with_suffix(".sqlite")
    refused = set()
    for at in range(24, len(data), 23):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            write_trace(buffers.read_recording(file.parent), made)
        except AispError as error:
            refused.add((str(error).rpartition(": ")[2], error.mend))
        made.unlink(missing_ok=True)
    assert {mend for _, mend in refused} == {"record again"}
    head = data[: buffers._HEADER.size]
    for kind in (buffers.CLOSE, buffers.TEXT):
        size = buffers.ROWS[kind].itemsize if kind in buffers.ROWS else 8
        file.write_bytes(head + buffers._HEAD.pack(buffers._FRAME, kind, size, 0, 0))
        assert buffers.read_process(file).close is None  # type: ignore[union-attr]


REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "another client": (
        {"STAND_IN_OTHER": "CUPTI for Kineto"},
        "another client of CUPTI is attached: CUPTI for Kineto",
        "end it first",
    ),
    "too old": ({"STAND_IN_OLD": "1"}, "CUPTI is too old", "pip install nvidia-cuda-cupti"),
    "no right": ({"STAND_IN_REFUSES": "35"}, "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES", "aisp-prof doctor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_program_that_cannot_be_recorded_is_ended_at_once(machine: Traced, case: str) -> None:
    environment, said, mend = REFUSED[case]
    folder, done = machine.run_command([str(machine.program), "cuda", "slow", "9999"], **environment)
    assert (done.returncode, said in done.stderr) == (3, True)
    refused = recording.refusal(folder)
    assert refused
    assert (said in str(refused), mend in refused.mend) == (True, True)


CLIENT = """
#include <dlfcn.h>
#include <stdlib.h>
int cuptiSubscribe(void **, void *, void *);
int cuptiGetResultString(int, const char **);
int main(int count, char **words) { /* as a program whose profiler is linked with CUPTI, after the driver has loaded the tracer */
    void *handle;
    const char *text;
    int (*begin)(void) = dlsym(dlopen(getenv("CUDA_INJECTION64_PATH"), RTLD_NOW | RTLD_LOCAL), "InitializeInjection");
    if (*words[1] == 'b') /* as Kineto does when its own call brought the tracer in: it asks what the refusal is called */
        return begin() != 1 || cuptiGetResultString(7, &text) || !text || cuptiGetResultString(39, &text);
    if (*words[1] == 'n') /* linked with CUPTI for its words alone */
        return begin() != 1 || cuptiGetResultString(7, &text) || !text;
    return begin() != 1 || cuptiSubscribe(&handle, (void *)begin, 0) != 39;
}
"""


@pytest.mark.parametrize("binding", ["-Wl,-z,lazy", "-Wl,-z,relro,-z,now"])
@pytest.mark.parametrize("when", ["later", "before"])
def test_a_client_of_cupti_inside_the_program_ends_it(machine: Traced, tmp_path: Path, binding: str, when: str) -> None:
    """torch.profiler is one: CUPTI refused it, and the program ran on with a warning (seen on an H200)."""
    (tmp_path / "client.c").write_text(CLIENT)
    options = ("-Wl,--no-as-needed", binding, "-Wl,-rpath," + str(machine.built), str(machine.built / "libcupti.so.13"))
    program = compiled(str(tmp_path / "client.c"), tmp_path / "client", *options)
    assert machine.run_command([str(program), "never"])[1].returncode == 0
    folder, done = machine.run_command([str(program), when])
    assert (done.returncode, "another client of CUPTI is inside the program" in done.stderr) == (3, True)
    refused = recording.refusal(folder)
    assert refused
    assert "torch.profiler" in refused.mend


def test_without_cupti_there_is_a_mend(machine: Traced) -> None:
    command = ["/usr/bin/env", "AISP_CUPTI=/nowhere/libcupti.so.13", str(machine.program), "cuda", "slow", "1"]
    folder, done = machine.run_command(command, STAND_IN_CUPTI="libm.so.6")
    assert done.returncode == 3
    refused = recording.refusal(folder)
    assert refused
    assert ("was not found" in str(refused), "pip install nvidia-cuda-cupti" in refused.mend) == (True, True)


def test_nothing_recorded_is_said(machine: Traced) -> None:
    with pytest.raises(EnvironmentLacks, match="nothing was recorded"):
        machine.export(machine.run_command(["true"])[0])


def test_another_injection_is_not_pushed_aside() -> None:
    with pytest.raises(EnvironmentLacks, match="another tracer is there already: CUDA_INJECTION64_PATH"):
        recording.find_tracer({"CUDA_INJECTION64_PATH": "/opt/nvidia/libToolsInjection64.so"})


def test_another_profiler_inside_a_recording_is_refused_before_it_runs(machine: Traced) -> None:
    """Seen on an H200: under the tracer nsys ran its program with itself injected instead, and the trace was empty and complete."""
    with pytest.raises(EnvironmentLacks, match="nsys is another client of CUPTI"):
        machine.run_command(["/opt/nvidia/nsys", "profile", str(machine.program), "cuda", "slow", "2"])


def test_the_library_is_built_where_there_is_a_compiler(
    machine: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "FILE", tmp_path / "none.so")
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AISP_PURE", raising=False)
    built = library.library()
    assert built.is_relative_to(tmp_path / "cache")
    assert library.library() == built
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(EnvironmentLacks, match="no C compiler") as lacking:
        library.library()
    assert "apt-get install gcc" in lacking.value.mend


def test_cupti_is_found_among_packages_and_toolkits(tmp_path: Path) -> None:
    def place(path: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.touch()
        return file

    assert library.find_cupti({}, [str(tmp_path / "site")], tmp_path) is None
    toolkit = place("usr/local/cuda-13.0/extras/CUPTI/lib64/libcupti.so.13")
    assert library.find_cupti({}, [str(tmp_path / "site")], tmp_path) == toolkit
    package = place("site/nvidia/cuda_cupti/lib/libcupti.so.12")
    assert library.find_cupti({}, [str(tmp_path / "site")], tmp_path) == package
    newer = place("site/nvidia/cu13/lib/libcupti.so.13")
    assert library.find_cupti({}, [str(tmp_path / "site")], tmp_path) == newer
    assert library.find_cupti({"AISP_CUPTI": "/mine/libcupti.so"}, [], tmp_path) == Path("/mine/libcupti.so")
