"""Real traces of two ranks on two H200s (2026-11-30), one of them slowed on purpose: what is read of them, and what it says together."""

from __future__ import annotations

import lzma
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aisp_prof.profiler.ranks.mapping import records_of
from aisp_prof.profiler.ranks.question import Question
from aisp_prof.profiler.ranks.rank_files import RankFiles
from aisp_prof.profiler.ranks.record import Failure, Rank, unpacked
from aisp_prof.profiler.ranks.summary import RankRow
from ranks_by_force import offsets, waits_at_least
from ranks_traces import only_process

TRACES = Path(__file__).parents[2] / "traces"
RUNS = TRACES / "ranks"
NODE = TRACES / "two-gpus-node.sqlite.xz"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))


def ranks_of(*paths: Path, question: Question = Question()) -> list[Rank]:  # noqa: B008  frozen
    found: list[Rank] = []
    for path in paths:
        made = records_of(str(path), question)
        assert not isinstance(made, Failure), made
        found += made
    return found


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "plain.sqlite")
    yield connection
    connection.close()


def plain(path: Path, folder: Path) -> Path:
    out = folder / path.stem
    out.write_bytes(lzma.decompress(path.read_bytes()))
    return out


def rows(path: Path) -> tuple[RankRow, ...]:
    return RankFiles.named([path], Question()).summary().ranks


def test_two_processes_of_one_trace() -> None:
    """The numbers of issue 25."""
    answer = RankFiles.named([NODE], Question()).summary()
    assert [one.pid for one in answer.ranks] == [641, 642]
    assert [one.rank for one in answer.ranks] == [None, None]  # neither payload nor environment nor name says it
    sums = answer.collectives
    assert (sums.matched, sums.left, sums.between_two) == (6, 0, 0)
    assert sums.shortest == (271392, 247136, 214144, 246432, 245824, 256512)
    assert [one.comm for one in answer.ranks] == [9341251, 1481440]
    assert [one.wait_low for one in answer.ranks] == [7859811, 0]
    second = answer.ranks[1]
    assert (second.clock_low, second.clock_high) == (-218587, 420084)


def test_the_same_split_into_two_files_whose_clocks_differ(tmp_path: Path) -> None:
    files = [tmp_path / f"rank{number}.sqlite" for number in (0, 1)]
    for number, (file, pid) in enumerate(zip(files, (641, 642), strict=True)):
        file.write_bytes(lzma.decompress(NODE.read_bytes()))
        only_process(file, pid, number * 123_456_789)
    answer = RankFiles.named([str(tmp_path / "rank*.sqlite")], Question()).summary()
    whole = RankFiles.named([NODE], Question()).summary()
    assert answer.whole
    assert answer.collectives == whole.collectives
    assert [one.wait_low for one in answer.ranks] == [7859811, 0]
    assert [(one.rank, one.rank_from) for one in answer.ranks] == [(0, "file name"), (1, "file name")]
    second = answer.ranks[1]
    assert (second.clock_low, second.clock_high) == (123456789 - 218587, 123456789 + 420084)


def nccl(path: Path, pid: int) -> list[tuple[int, int]]:
    """A process's communication kernels by their launches, as SQL finds them."""
    with sqlite3.connect(path) as database:
        return database.execute(
            """select k.start, k.end from CUPTI_ACTIVITY_KIND_KERNEL k join StringIds s on s.id = shortName
            join CUPTI_ACTIVITY_KIND_RUNTIME r on r.correlationId = k.correlationId
                and (r.globalTid >> 24) = (k.globalPid >> 24)
            where s.value like 'nccl%' and ((k.globalPid >> 24) & 16777215) = ? order by r.start""",
            (pid,),
        ).fetchall()


@pytest.mark.parametrize("name", ["slow-rank0", "slow-rank1", "even-rank0", "even-rank1"])
def test_kernels_are_those_of_sql_in_the_order_of_their_launches(name: str, tmp_path: Path) -> None:
    (rank,) = ranks_of(RUNS / f"{name}.sqlite.xz")
    said = rank.communication
    found = list(zip(unpacked(said.start).tolist(), unpacked(said.end).tolist(), strict=True))
    assert found == nccl(plain(RUNS / f"{name}.sqlite.xz", tmp_path), rank.pid)
    assert (rank.rank, rank.rank_from) == (int(name[-1]), "payload")


def test_payloads_tell_communicators_operations_and_sizes_apart() -> None:
    for path, number in (("slow-rank0.sqlite.xz", 0), ("slow-rank1.sqlite.xz", 1)):
        (rank,) = ranks_of(RUNS / path)
        said = rank.communication
        assert [(one.known, one.size, one.rank) for one in said.communicators] == [("stated", 2, number)] * 3
        pairs = zip(unpacked(said.communicator).tolist(), unpacked(said.signature).tolist(), strict=True)
        told = Counter(
            (communicator, (one := said.signatures[signature]).operation, one.detail, one.bytes, one.root)
            for communicator, signature in pairs
        )
        mib = 1 << 20
        assert told == {  # ten steps and two before them; two groups of two all-reduces, and a barrier
            (0, "AllReduce", "", mib, -1): 12,
            (0, "AllGather", "", mib, -1): 12,
            (1, "ReduceScatter", "", mib, -1): 12,
            (0, "Broadcast", "", mib, 0): 12,
            (0, "AllToAll", "", mib // 2, -1): 12,
            (0, "AllToAll", "exchange", -1, -1): 12,
            (1, "AllReduce", "", mib, -1): 12,
            (2, "AllReduce", "", mib, -1): 12,
            (0, "AllReduce", "group", 3 * mib, -1): 2,
            (0, "AllReduce", "", 4, -1): 1,
        }


def spun(path: Path) -> int:
    """How long the kernel that slows a rank ran, by SQL."""
    with sqlite3.connect(path) as database:
        query = """select coalesce(sum(end - start), 0) from CUPTI_ACTIVITY_KIND_KERNEL k
            join StringIds s on s.id = shortName where s.value like '%spin%'"""
        return int(database.execute(query).fetchone()[0])


def test_the_slow_rank_is_named_and_proven(tmp_path: Path) -> None:
    answer = RankFiles.named([str(RUNS / "slow-rank*.sqlite.xz")], Question()).summary()
    assert answer.whole
    assert not answer.findings
    assert (answer.latest, answer.latest_proven) == ("rank 1", True)
    first, second = answer.ranks
    assert second.late_low > first.late_high
    slowed = spun(plain(RUNS / "slow-rank1.sqlite.xz", tmp_path))
    assert slowed > 15_000_000
    assert spun(plain(RUNS / "slow-rank0.sqlite.xz", tmp_path)) == 0
    assert first.wait_low > 0.9 * slowed
    assert second.clock_low is not None
    assert second.clock_high is not None
    began = [one.start_utc_ns for one in ranks_of(*sorted(RUNS.glob("slow-rank*.xz")))]
    assert began[0] is not None
    assert began[1] is not None
    assert second.clock_low <= began[0] - began[1] <= second.clock_high
    assert answer.clock_error is not None
    assert answer.clock_error < 10_000


def test_one_trace_of_both_says_so_too() -> None:
    answer = RankFiles.named([RUNS / "both-slow.sqlite.xz"], Question()).summary()
    assert [(one.rank, one.rank_from) for one in answer.ranks] == [(0, "payload"), (1, "payload")]
    assert (answer.latest, answer.latest_proven) == ("rank 1", True)
    second = answer.ranks[1]
    assert second.clock_low is not None
    assert second.clock_high is not None
    assert second.clock_low <= 0 <= second.clock_high  # one clock, and every bound agrees


def test_the_real_run_by_brute_force() -> None:
    """By communicator, and exchanges for themselves, as the program ran them: twelve times, the same on both ranks."""
    found = ranks_of(*sorted(RUNS.glob("slow-rank*.xz")))
    start = [unpacked(one.communication.start).tolist() for one in found]
    end = [unpacked(one.communication.end).tolist() for one in found]
    operations = [
        [one.communication.signatures[s].operation for s in unpacked(one.communication.signature).tolist()]
        for one in found
    ]
    assert operations[0] == operations[1]
    answer = RankFiles.named([str(RUNS / "slow-rank*.xz")], Question()).summary()
    assert [one.wait_low for one in answer.ranks] == waits_at_least(start, end)
    waiting = [k for k, name in enumerate(operations[0]) if name != "Broadcast"]
    known = offsets([[s[k] for k in waiting] for s in start], [[e[k] for k in waiting] for e in end])
    assert known is not None
    assert (answer.ranks[1].clock_low, answer.ranks[1].clock_high) == (-known[1][1], -known[1][0])


def test_torch_profiler_says_the_same() -> None:
    answer = RankFiles.named([str(RUNS / "kineto-slow-rank*.json.gz")], Question()).summary()
    assert [(one.rank, one.rank_from) for one in answer.ranks] == [(0, "payload"), (1, "payload")]
    assert (answer.collectives.matched, answer.collectives.left) == (72, 0)
    assert answer.collectives.between_two == 20  # of a batch of sends and receives it names no group
    assert (answer.latest, answer.latest_proven) == ("rank 1", False)  # Kineto never says whether it lost something
    assert answer.ranks[1].late_low > answer.ranks[0].late_high
    assert [one.came_last_proven for one in answer.ranks] == [0, 0]
    assert [one.code for one in answer.findings] == ["ranks_incomplete"]
    assert not answer.whole
    second = answer.ranks[1]
    assert second.clock_low is not None
    assert second.clock_high is not None
    assert second.clock_low <= 0 <= second.clock_high


def test_records_are_small_and_kept_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = RUNS / "slow-rank0.sqlite.xz"
    first = ranks_of(source)
    (file,) = (tmp_path / "cache" / "ranks").iterdir()
    assert file.stat().st_size < 10_000
    assert not (tmp_path / "cache" / "traces").exists()
    monkeypatch.setattr("aisp_prof.profiler.ranks.mapping.read_alone", None)  # nothing is read again
    copy = tmp_path / "rank9.sqlite.xz"
    copy.write_bytes(source.read_bytes())
    (again,) = ranks_of(copy)
    assert (again.path, again.rank, again.rank_from) == (str(copy), 0, "payload")  # the name comes after the payload
    assert again.communication == first[0].communication


def test_a_damaged_record_is_made_again(tmp_path: Path) -> None:
    first = ranks_of(RUNS / "slow-rank0.sqlite.xz")
    (file,) = (tmp_path / "cache" / "ranks").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    assert ranks_of(RUNS / "slow-rank0.sqlite.xz") == first


def test_the_environment_says_the_rank_where_no_payload_does(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    file.write_bytes(lzma.decompress(NODE.read_bytes()))
    only_process(file, 641)
    with sqlite3.connect(file) as database:
        said = [("PROCESS_0:ENVIRONMENT_VARIABLE", 'LOCAL_RANK="1"'), ("PROCESS_0:ENVIRONMENT_VARIABLE", 'RANK="13"')]
        database.executemany("insert into META_DATA_CAPTURE (name, value) values (?, ?)", said)
    (rank,) = ranks_of(file)
    assert (rank.rank, rank.rank_from) == (13, "environment")


def test_a_rank_is_never_taken_from_the_place_among_files(tmp_path: Path) -> None:
    for name in ("b.sqlite", "a.sqlite"):
        file = tmp_path / name
        file.write_bytes(lzma.decompress(NODE.read_bytes()))
        only_process(file, 641)
    answer = RankFiles.named([tmp_path], Question()).summary()
    assert [one.rank for one in answer.ranks] == [None, None]
    assert [one.name for one in answer.ranks] == ["pid 641 of a.sqlite", "pid 641 of b.sqlite"]


def test_what_cannot_be_read_is_told_and_sinks_nothing(tmp_path: Path) -> None:
    for number in (0, 1):
        (tmp_path / f"rank{number}.sqlite.xz").write_bytes((RUNS / f"slow-rank{number}.sqlite.xz").read_bytes())
    (tmp_path / "rank2.sqlite").write_bytes(b"")
    (tmp_path / "rank3.sqlite.xz").write_bytes((RUNS / "slow-rank0.sqlite.xz").read_bytes()[:1000])
    answer = RankFiles.named([tmp_path], Question()).summary()
    assert [(one.rank, one.kind) for one in answer.failures] == [(2, "TraceError"), (3, "TraceError")]
    assert [one.code for one in answer.findings].count("ranks_trace_failed") == 2
    assert not answer.whole
    whole = RankFiles.named([str(RUNS / "slow-rank*")], Question()).summary()
    assert [one.wait_low for one in answer.ranks] == [one.wait_low for one in whole.ranks]


def test_absent_ranks_are_named(tmp_path: Path) -> None:
    (tmp_path / "rank1.sqlite.xz").write_bytes((RUNS / "slow-rank1.sqlite.xz").read_bytes())
    answer = RankFiles.named([tmp_path], Question()).summary()
    absent = [one for one in answer.findings if one.code == "ranks_absent"]
    assert [one.values for one in absent] == [{"ranks": "0", "count": 1}]


def test_steps_are_those_of_sql(tmp_path: Path) -> None:
    """Their spans: from the first to the last kernel, copy or memset that the thread launched inside of the range."""
    asked = Question(steps="step")
    (first, second) = RankFiles.named(str(RUNS / "slow-rank*.xz"), asked).summary().ranks
    for row, rank in ((first, 0), (second, 1)):
        with sqlite3.connect(plain(RUNS / f"slow-rank{rank}.sqlite.xz", tmp_path)) as database:
            launched = " union all ".join(
                f"select k.start as s, k.end as e, r.start as called from CUPTI_ACTIVITY_KIND_{table} k "
                "join CUPTI_ACTIVITY_KIND_RUNTIME r using (correlationId)"
                for table in ("KERNEL", "MEMCPY", "MEMSET")
            )
            spans = database.execute(
                f"""select max(e) - min(s) from NVTX_EVENTS n left join StringIds t on t.id = n.textId
                join ({launched}) on called between n.start and n.end where coalesce(n.text, t.value) = 'step' group by n.rowid"""
            ).fetchall()
        every = sorted(span for (span,) in spans)
        assert (row.steps, row.step_median, row.step_longest) == (10, every[4], every[9])


def test_numbers_that_a_trace_may_state_take_no_time(tmp_path: Path) -> None:
    (tmp_path / "rank999999999.sqlite.xz").write_bytes(NODE.read_bytes())
    file = tmp_path / "rank7.sqlite"
    file.write_bytes(lzma.decompress((RUNS / "slow-rank1.sqlite.xz").read_bytes()))
    with sqlite3.connect(file) as database:
        database.execute("update AISP_NCCL_PAYLOADS set size = 2147483647, rank = 5 where size > 0")
    answer = RankFiles.named(file).summary()
    (absent,) = [one.values for one in answer.findings if one.code == "ranks_absent"]
    assert absent["count"] == 2147483646
    assert Question().rank_of("rank" + "9" * 30) is None


def test_no_change_between_traces_that_may_lack_something_is_proven() -> None:
    """By nsys, whose traces state what they hold, it is."""
    slow, even, kineto = (
        RankFiles.named([str(RUNS / glob)], Question()) for glob in ("slow-*.xz", "even-*.xz", "kineto-*.gz")
    )
    assert [one.wait.proven for one in even.diff(slow).ranks] == [True, False]
    assert even.diff(kineto).ranks[0].wait.low > 0
    assert [one.wait.proven for one in even.diff(kineto).ranks] == [False, False]
