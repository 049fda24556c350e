"""Every command that reads what others wrote, on names that would run, repaint, reorder or forge."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import typer
from aisp_prof import cli
from pair_trace import capture_folder, run_pair
from trace_builder import TraceBuilder

Answer = tuple[object, str, str]
Run = Callable[..., Answer]

NAMES = (
    "evil\x1b[31m\x1b]0;title\x07",
    "\x9b2J\x90q\x9c",
    "two\nlines\r\tand\x00more",
    "kernel\u202egnp.exe\u2066",
    "=HYPERLINK(1)",
    "@SUM(1)",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "</script><script>alert(1)</script>",
    "]]>&x;<!ENTITY",
    "`rm -rf ~`|$(x)",
    "none\uffff\ufdd0\u3164\U000e0101",
    "a;=cmd|' /C calc'!A0;b\t@AVG(1)\n-1",
    "::error file=x::pwned",
    "##[add-path]x ##vso[task.setvariable variable=A]b",
)
SPEAKS = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\u3164\ufdd0-\ufdef\ufeff\ufffe\uffff"
    "\U000e0100-\U000e01ef]"
)
COMMANDS = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)
FIXTURE = Path(__file__).parents[1] / "profiler" / "counters" / "h200-gemms.csv"


def evil_trace() -> TraceBuilder:
    """A pair's own trace, and every hostile name wherever a trace holds one."""
    trace = TraceBuilder()
    run_pair(trace)
    for number, name in enumerate(NAMES):
        process = trace.process(700 + number)
        process.sees(trace.gpu(name, name))
        process.range(name, 0, 900, domain=name, payload=number)
        process.category(7, name, domain=name)
        process.mark(name, 5)
        process.kernel(name, (10, 11), (20, 30))
        process.kernel(name, (12, 13), (25, 45), stream=9)
        process.copy("h2d", 9, (12, 13), (25, 40), stream=8)
        process.call(name, (14, 15))
        trace.diagnostic(name, severity=3)
        trace.add("META_DATA_CAPTURE", name=name, value=name)
    return trace


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evil_trace().write(tmp_path_factory.mktemp("evil") / "t\x1b[31m\u202e.sqlite")


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """A capture whose manifest says something hostile wherever it may hold free text."""
    folder = capture_folder(
        tmp_path / "captures", evil_trace(), ["speedup >= 1.5", "optimized.kernels_per_iteration <= 1"]
    )
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    text = "".join(NAMES)
    both = {"en": text, "ko": text}
    pair = data["declaration"]
    pair |= {"title": both, "topic": both, "compares": both, "sentence": {"en": text + "{speedup}", "ko": text}}
    data |= {
        "gpus": [{"name": text, "driver": text}],
        "versions": {"nsys": text},
        "command": [text],
        "commit": {"sha": text},
    }
    path.write_text(json.dumps(data))
    return folder.parent


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["aisp-prof", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        return exit_.value.code, out, err

    return call


TRACE = {
    "trace summary": (),
    "trace ranges": (),
    "trace kernels": ("--full-names",),
    "trace copies": (),
    "trace launches": ("--all",),
    "trace gaps": (),
    "trace overlap": ("--a", "copy", "--b", "compute"),
    "trace diff": ("--range-a", "*", "--range-b", "*"),
    "trace export": ("--to", "csv", "-o", "{out}"),
    "ranks summary": ("--range", "*"),
    "ranks collectives": (),
    "ranks diff": ("{trace}",),
    "ranks report": ("--range", "*", "-o", "{out}.html"),
    "assert": ("kernels_per_iteration <= 1", "hidden(h2d, d2h) >= 0.99", "order_violations(e*, t*) == 0"),
}
CAPTURES = {
    "list": ("ch11",),
    "report": ("--stage", "ch11:streams", "--out", "{out}", "--format", "html"),
    "roofline": ("ch11",),
    "compare": ("ch11:streams",),
    "history": ("ch11:streams",),
}
ELSEWHERE = {
    "scrub": "test_scrubbing_answers_in_one_line",
    "counters": "test_a_report_of_counters",
    "doctor": "reads this machine, and nothing that others wrote",
    "capture": "runs this machine's own programs",
    "trace record": "runs this machine's own programs; tests/profiler/tracer has hostile files of a tracer",
    "new": "writes a file of ours",
    "check": "imports and runs the user's own programs",
    "calibrate": "runs this machine's own programs",
    "bench": "runs this machine's own programs",
    "expect": "reads the same captures; tests/profiler/expect/test_hostile.py has hostile expectations",
    "verify": "reads bundles, whose hostile ones tests/reports/bundle forges",
    "demos": "runs this machine's own programs",
    "kernels": "writes and runs the user's own kernels",
}


def test_no_command_is_forgotten() -> None:
    """A new command is named here, with what it reads, or this fails."""
    command = typer.main.get_command(cli.app)
    names = set(command.commands)  # type: ignore[attr-defined]
    groups = ("trace", "ranks")
    below = {f"{group} {name}" for group in groups for name in command.commands[group].commands}  # type: ignore[attr-defined]
    assert names.difference(groups) | below == {*TRACE, *CAPTURES, *ELSEWHERE}


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("command", TRACE)
def test_names_of_a_trace(run: Run, trace: Path, tmp_path: Path, command: str, as_json: bool) -> None:
    options = [option.format(out=tmp_path / "out", trace=trace) for option in TRACE[command]]
    code, out, err = run(*command.split(), trace, *options, *["--json"] * as_json)
    assert code in (0, 1, 4), err
    assert out
    assert not SPEAKS.search(out + err)
    assert not COMMANDS.search(out + err)
    assert not as_json or json.loads(out)["schema"] == 1
    for page in tmp_path.glob("*.html"):
        assert not SPEAKS.search(page.read_text())
        assert "<script>alert" not in page.read_text()


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("command", CAPTURES)
def test_texts_of_a_capture(run: Run, captures: Path, tmp_path: Path, command: str, as_json: bool) -> None:
    options = [option.format(out=tmp_path / "out") for option in CAPTURES[command]]
    code, out, err = run(*command.split(), *options, "--captures", captures, *["--json"] * as_json)
    assert code in (0, 1, 4), err
    assert out
    assert not SPEAKS.search(out + err)
    assert not COMMANDS.search(out + err)
    if as_json:
        assert json.loads(out)["schema"] == 1


def test_messages_of_errors(run: Run, tmp_path: Path) -> None:
    odd = tmp_path / "n\x1b[31m\u202e.sqlite"
    odd.write_bytes(b"SQLite format 3\0" + b"\xff" * 200)
    built = TraceBuilder()
    built.add("StringIds", id="\x1b[31mno number", value="x")
    for arguments in (
        ("trace", "summary", odd),
        ("trace", "summary", tmp_path / "not\x9bthere"),
        ("trace", "overlap", odd, "--a", "\x1b[2J", "--b", "x"),
        ("report", "--stage", "\x1b[2J"),
        ("scrub", "\x1b[2J", "-o", tmp_path / "x", "--captures", tmp_path),
        ("report", "--stage", "ch11", "--capture", "\x9b\u202e", "--captures", tmp_path),
    ):
        code, out, err = run(*arguments)
        assert code not in (0, None), arguments
        assert err
        assert not SPEAKS.search(out + err), arguments


def test_scrubbing_answers_in_one_line(run: Run, trace: Path, tmp_path: Path) -> None:
    code, out, err = run("scrub", trace, "-o", tmp_path / "s\x1b[2J.sqlite", "--drop", "*", "--keep", "nothing")
    assert (code, err) == (0, "")
    assert not SPEAKS.search(out)
    assert "nothing private was found" in out


def test_a_report_of_counters(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "e\x1bvil.csv"
    path.write_text(FIXTURE.read_text().replace("nvjet_sm90_tst", "evil\x1b[31m\x9b\u202e"))
    for more in ((), ("--json",)):
        _, out, err = run("counters", path, *more)
        assert out
        assert not SPEAKS.search(out + err)


def test_no_cell_of_a_csv_is_a_formula(run: Run, trace: Path, tmp_path: Path) -> None:
    run("trace", "export", trace, "--to", "csv", "-o", tmp_path / "out")
    texts = 0
    for path in (tmp_path / "out").iterdir():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for cell in row.values():
                    if cell and not re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", cell):
                        texts += 1
                        assert cell[0] not in "=+-@\t\r\n＝＋－＠", (path.name, cell)
                        assert not re.search(r"[;\t\r\n] *[=+\-@＝＋－＠]", cell), (path.name, cell)
    assert texts > 100


@pytest.mark.parametrize("name", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "＠x"])
def test_what_begins_a_formula(name: str) -> None:
    from aisp_prof.reports.export.columns import neutral

    assert neutral(name) == f"'{name}"
    assert neutral(f"a{name}") == f"a{name}"


def test_what_a_build_server_reads(run: Run, trace: Path, tmp_path: Path) -> None:
    """JUnit XML that parses, SARIF that is JSON, Markdown without markup of the trace's own."""
    files = [tmp_path / name for name in ("j.xml", "s.json", "m.md")]
    run("assert", trace, *TRACE["assert"], "--junit", files[0], "--sarif", files[1], "--summary", files[2])
    assert len(Xml.fromstring(files[0].read_text("utf-8")).findall("testcase")) == 3
    assert json.loads(files[1].read_text())["version"] == "2.1.0"
    for file in files:
        text = file.read_text("utf-8")
        assert not SPEAKS.search(text.replace("\t", " "))
    assert "<script" not in files[2].read_text("utf-8")
    assert "<!ENTITY" not in files[0].read_text("utf-8")


def test_a_redacted_capture_is_found_by_folder_or_by_id(run: Run, tmp_path: Path) -> None:
    folder = capture_folder(tmp_path / "captures", evil_trace(), ["speedup >= 1.5"])
    shutil.copytree(folder, tmp_path / "elsewhere")
    named = json.loads((folder / "manifest.json").read_text())["id"]
    for chosen, more in ((tmp_path / "elsewhere", ()), (named, ("--captures", folder.parent))):
        code, out, err = run("scrub", chosen, "-o", tmp_path / f"out-{Path(chosen).name}", *more)
        assert code == 0, err
        assert "nothing private" in out
        assert (tmp_path / f"out-{Path(chosen).name}" / "trace.sqlite.xz").is_file()
    code, _, err = run("scrub", tmp_path / "elsewhere", "-o", tmp_path / "x", "--hash-names")
    assert code == 2
    assert "scrub its trace.sqlite instead" in err


@pytest.mark.parametrize("text", ["a;=1", "a; =1", "a\t+1", "a\n@x", "a\r\n-1", "a;＝1"])
def test_what_a_spreadsheet_with_other_separators_takes_for_a_cell(text: str) -> None:
    """Where the list separator is a semicolon, quotes inside a line are text, and cut it."""
    from aisp_prof.reports.export.columns import neutral

    assert neutral(text) == f"{text[:-2]}'{text[-2:]}"


BROKEN_CLAIMS = {
    "deep": ("x = " + "[" * 30_000, "too deep"),
    "deep tables": ("x = " + "{a=" * 10_000, "too deep"),
    "a key without end": ("a" + ".a" * 32_000 + " = 1", "too deep"),
    "a key of texts without end": ('"a"' + '."a"' * 16_000 + " = 1", "too deep"),
    "large": ("# " + "x" * (64 << 10), "more than 65,536 bytes"),
    "a long number": ("schema = " + "9" * 6_000, "4300 digits"),
    "a long number of another base": ("schema = 0x" + "f" * 60_000, "beyond 64 bits"),
    "no UTF-8": (b"schema = 1\nclaims = ['\xff']", "utf-8"),
    "escapes": ('schema = 1\n"\\u001b[31m\\n::error::x" = 1', "means nothing"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("case", BROKEN_CLAIMS)
def test_a_claims_file_that_is_a_trick(run: Run, trace: Path, tmp_path: Path, case: str) -> None:
    content, said = BROKEN_CLAIMS[case]
    (tmp_path / "c.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = run("assert", trace, "--claims", tmp_path / "c.toml")
    assert (code, out) == (2, "")
    assert said in err
    assert not SPEAKS.search(err)
    assert not COMMANDS.search(err)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "loop"])
def test_what_is_no_file_is_not_read(run: Run, trace: Path, tmp_path: Path, what: str) -> None:
    """Reading a pipe would wait, and a device never end."""
    path = tmp_path / "h200" / "ch11.json"
    path.parent.mkdir()
    make = {"pipe": os.mkfifo, "folder": os.mkdir}.get(what)
    make(path) if make else path.symlink_to("/dev/zero" if what == "device" else path.name)
    for words in (
        ("trace", "summary", path),
        ("assert", trace, "--claims", path),
        ("counters", path),
        ("verify", path),
        ("expect", "check", "ch11:streams", "--expectations", tmp_path),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, ""), words
        assert err.startswith("aisp-prof: "), words


LONG = "n" * 5_000
REFUSED = {
    "trace summary": (LONG,),
    "scrub": (LONG, "-o", "{out}"),
    "verify": (LONG,),
    "counters": (LONG,),
    "roofline": (LONG,),
    "list": ("--captures", LONG),
    "report": ("--stage", "ch11:streams", "--captures", LONG),
    "compare": ("ch11:streams", "--captures", LONG),
    "history": ("ch11:streams", "--captures", LONG),
    "trace export": ("{trace}", "--to", "csv", "-o", LONG),
    "assert": ("{trace}", "kernels_per_iteration <= 1", "--claims", LONG),
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_the_system_refuses_is_a_message(run: Run, trace: Path, tmp_path: Path, command: str) -> None:
    words = [word.format(trace=trace, out=tmp_path / "out") for word in REFUSED[command]]
    code, _, err = run(*command.split(), *words)
    assert code == 2
    assert "File name too long" in err


ODD = os.fsdecode(b"od\xffd")
NO_UTF_8 = {
    "trace summary": ("{odd}/t.sqlite",),
    "trace kernels": ("{odd}/t.sqlite", "--communication", ODD),
    "trace ranges": ("{odd}/t.sqlite", "-o", "{odd}/r.parquet"),
    "trace export": ("{odd}/t.sqlite", "--to", "parquet", "-o", "{odd}/p"),
    "trace diff": ("{odd}/t.sqlite", "{odd}/t.sqlite"),
    "trace raw": ("{odd}",),
    "scrub": ("{odd}/t.sqlite", "-o", "{odd}/s.sqlite.xz"),
    "report": ("--stage", "ch11:streams", "--format", "html", "--out", "{odd}"),
    "expect check": ("ch11:streams", "--captures", "{odd}", "--expectations", "{odd}"),
    "history": ("ch11:streams", "--captures", "{odd}"),
    "verify": ("{odd}/t.sqlite",),
    "counters": ("{odd}/t.sqlite",),
    "assert": ("{odd}/t.sqlite", ODD),
}


@pytest.mark.parametrize("command", NO_UTF_8)
def test_a_name_that_is_no_utf_8(
    run: Run, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A name is bytes to Linux; a traceback's exit code would be that of a refuted claim."""
    monkeypatch.setenv("AISP_TEST_TOKEN", os.fsdecode(b"abcdefgh\xff"))
    odd = tmp_path / ODD
    odd.mkdir()
    (odd / "t.sqlite").write_bytes(trace.read_bytes())
    (odd / "t.parquet").write_bytes(b"no parquet")
    monkeypatch.chdir(odd)
    words = command.split() if command != "trace raw" else ["trace", "summary"]
    code, _, err = run(*words, *(word.format(odd=odd) for word in NO_UTF_8[command]))
    assert code in (0, 2, 4, 5), err
    assert "Traceback" not in err


def test_memory_that_runs_out_is_a_message(run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("aisp_prof.profiler.queries.summary.summary", full)
    code, _, err = run("trace", "summary", trace)
    assert code == 3
    assert "memory ran out" in err


def test_a_terminal_of_another_encoding(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "argv", ["aisp-prof", "trace", "kernels", str(trace)])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "latin-1"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    sys.stdout.flush()
    assert ended.value.code == 0
    assert b"\\u2039U+001B\\u203a" in shown.getvalue()


@pytest.mark.timeout(20)
def test_a_name_of_megabytes_is_shown_by_its_ends(run: Run, tmp_path: Path) -> None:
    """A packed trace of 10 kB can hold it; written out in full it would take minutes and gigabytes."""
    built = TraceBuilder()
    process = built.process(5)
    huge = "\x01" * (1 << 20)
    process.sees(built.gpu(huge, huge))
    process.range(huge, 0, 900, domain=huge)
    process.kernel(huge, (10, 11), (20, 30))
    process.kernel("other", (12, 13), (40, 50))
    built.diagnostic(huge, severity=3)
    path = built.write(tmp_path / "t.sqlite")
    begun = time.process_time()
    for command in ("summary", "ranges", "kernels", "gaps"):
        code, out, _ = run("trace", command, path)
        assert code == 0
        assert "‹U+0001›" in out
        assert len(out) < 500_000
    assert time.process_time() - begun < 5


def test_a_summary_holds_no_markup_of_a_file_or_a_claim(run: Run, tmp_path: Path) -> None:
    path = evil_trace().write(tmp_path / "[x](y)<b>`|_.sqlite")
    run("assert", path, "kernels_per_iteration <= 1", "--summary", tmp_path / "s.md")
    title, *_, row = (tmp_path / "s.md").read_text("utf-8").strip().splitlines()
    assert not set("<>[]`_") & set(title)
    assert "\\|" in title
    assert not set("<>[]`_*") & set(row.replace("\\|", ""))
