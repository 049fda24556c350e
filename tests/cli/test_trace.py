from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import aisp_prof
import pandas
import pytest
from aisp_prof import cli
from busy_trace import busy_trace
from trace_builder import TraceBuilder

ROOT = Path(__file__).parents[2]
EVIL = "evil\x1b[31m\nname\u202e"
COMMANDS = {
    "summary": (),
    "ranges": (),
    "kernels": (),
    "copies": (),
    "launches": (),
    "gaps": (),
    "overlap": ("--a", "copy", "--b", "compute"),
    "diff": ("--range-a", "step", "--range-b", "forward*"),
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return str(busy_trace().write(tmp_path_factory.mktemp("cli") / "t.sqlite"))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `aisp-prof trace …`: exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["aisp-prof", "trace", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        return exit_.value.code, out, err

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_text(run, trace, command):
    code, out, err = run(command, trace, *COMMANDS[command])
    assert (code, err) == (0, "")
    assert len(out.splitlines()) > 2


@pytest.mark.parametrize("command", COMMANDS)
def test_json_has_its_schema_number_and_the_documented_fields(run, trace, command):
    code, out, _ = run(command, trace, *COMMANDS[command], "--json")
    data = json.loads(out)
    assert (code, data["schema"], data["trace"], out.isascii()) == (0, 1, trace, True)
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    shared, section = text.split("\n## ")[0], text.split(f"## `trace {command}`")[1].split("\n## ")[0]
    assert {name for name in _names(data) if f"`{name}`" not in shared + section} == set()


def _names(data):
    if isinstance(data, list):
        return set().union(*map(_names, data)) if data else set()
    free = ("values",)  # an object whose keys are data
    return {*data, *(n for k, v in data.items() if isinstance(v, dict | list) and k not in free for n in _names_of(v))}


def _names_of(value):
    return _names(value) if isinstance(value, dict) or (value and isinstance(value[0], dict)) else set()


def test_export(run, trace, tmp_path):
    code, out, _ = run("export", trace, "--to", "csv", "-o", tmp_path / "out", "--json")
    assert code == 0
    assert [Path(row["file"]).name for row in json.loads(out)["rows"]] == ["operations.csv", "calls.csv", "ranges.csv"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ranges_to_a_file(run, trace, tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'aisp-prof[parquet]'")
    rows = json.loads(run("ranges", trace, "--json")[1])["rows"]
    file = tmp_path / "new" / f"ranges.{suffix}"
    code, out, _ = run("ranges", trace, "-o", file, "--json")
    assert (code, json.loads(out)["rows"]) == (0, [{"file": str(file), "rows": len(rows)}])
    found = pandas.read_csv(file, keep_default_na=False) if suffix == "csv" else pandas.read_parquet(file)
    for column in ("start", "busy", "max_in_flight"):
        assert found[column].tolist() == [row[column] for row in rows]
    assert found["busy_by_class.compute"].tolist() == [row["busy_by_class"]["compute"] for row in rows]
    code, out, _ = run("ranges", trace, "-o", file, "--name", "no such range")
    assert (code, "no range is called" in out) == (0, True)
    assert len(pandas.read_csv(file) if suffix == "csv" else pandas.read_parquet(file)) == 0


def test_ranges_to_what_is_no_such_file_is_refused_before_reading(run, trace, tmp_path):
    content = Path(trace).read_bytes()
    (tmp_path / "folder.csv").mkdir()
    for out, said in ((tmp_path / "x.xlsx", "no such format"), (tmp_path / "folder.csv", "is a folder")):
        code, _, err = run("ranges", trace, "-o", out)
        assert (code, said in err) == (2, True)
    linked = tmp_path / "trace.csv"
    linked.symlink_to(trace)
    code, _, err = run("ranges", trace, "-o", linked)
    assert (code, "the trace itself" in err, Path(trace).read_bytes() == content) == (2, True, True)


@pytest.mark.parametrize("command", [*COMMANDS, "export"])
def test_names_from_a_trace_cannot_speak_to_the_terminal(run, tmp_path, command):
    built = TraceBuilder()
    p = built.process(1)
    p.sees(built.gpu(EVIL, EVIL))
    p.range(EVIL, 0, 90, domain=EVIL)
    p.kernel(EVIL, (10, 11), (20, 30))
    p.copy("h2d", 9, (12, 13), (25, 40), stream=8)
    p.call(EVIL, (14, 15))
    path = built.write(tmp_path / "t.sqlite")
    arguments = {
        **COMMANDS,
        "diff": ("--range-a", "*", "--range-b", "*"),
        "launches": ("--all",),
        "export": ("--to", "perfetto", "-o", tmp_path / "o.json"),
    }
    code, out, err = run(command, path, *arguments[command])
    assert code == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out + err)


@pytest.mark.parametrize("mistyped", [("--name", "vil"), ("--domain", "vil")])
def test_nor_can_a_suggestion(run, tmp_path, mistyped):
    built = TraceBuilder()
    built.process(1).range(EVIL, 0, 90, domain=EVIL)
    _, out, _ = run("ranges", built.write(tmp_path / "t.sqlite"), *mistyped)
    assert "did you mean evil‹U+001B›" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("overlap", "{trace}", "--a", "compte", "--b", "copy"), 2, "did you mean compute?"),
        (("ranges", "{trace}", "--attribution", "proces"), 2, "thread, process"),
        (("summary", "nowhere.sqlite"), 2, "no such file"),
        (("summary", __file__), 2, "not an SQLite file"),
        (("diff", "{trace}"), 2, "--range-a and --range-b"),
        (("summary", "{trace}", "--communication", "("), 2, "no regular expression"),
        (("export", "{trace}", "--to", "perfect", "-o", "x"), 2, "did you mean perfetto?"),
        (("ranges", "{trace}", "--limit", "-1"), 2, ""),
    ],
)
def test_a_users_mistake_gets_its_reason_and_no_traceback(run, trace, arguments, code, said):
    found, out, err = run(*(argument.format(trace=trace) for argument in arguments))
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ranges", "--name", "stpe"), "did you mean step?"),
        (("kernels", "--name", "gem"), "did you mean gemm?"),
        (("gaps", "--min-ns", "99999999"), "no device was idle"),
        (("overlap", "--a", "kernel:nothing*", "--b", "copy"), "no kernel is called"),
    ],
)
def test_an_empty_answer_says_so_and_is_no_failure(run, trace, arguments, said):
    command, *rest = arguments
    code, out, _ = run(command, trace, *rest)
    assert code == 0
    assert said in out
    code, out, _ = run(command, trace, *rest, "--json")
    assert code == 0
    assert said in json.loads(out)["notes"][0]


@pytest.mark.parametrize("command", [*COMMANDS, "export"])
@pytest.mark.parametrize("ranges", [0, 1])
def test_a_trace_without_any_gpu_work_is_answered(run, tmp_path, command, ranges):
    built = TraceBuilder()
    for _ in range(ranges):
        built.process(1).range("step", 1, None)
    path = built.write(tmp_path / "t.sqlite")
    rest = {**COMMANDS, "diff": (path,), "export": ("--to", "perfetto", "-o", tmp_path / "o.json")}[command]
    assert run(command, path, *rest)[0] == 0
    code, out, _ = run(command, path, *rest, "--json")
    data = json.loads(out)
    assert code == 0
    assert data.get("notes") or command in ("summary", "export")


def test_text_is_cut_and_says_how_to_see_the_rest(run, trace):
    _, out, _ = run("ranges", trace, "--limit", "3")
    assert out.splitlines()[-1] == "… 49 more: --limit 0, or --json"
    assert len(out.splitlines()) == 5
    _, out, _ = run("ranges", trace, "--limit", "0")
    assert len(out.splitlines()) == 53


def test_more_kernels_may_count_as_communication(run, trace):
    _, out, _ = run("summary", trace, "--communication", "^gemm$", "--json")
    assert {row["kind"] for row in json.loads(out)["kernels"] if row["name"] == "gemm"} == {"comm"}


def test_importing_the_package_and_help_import_nothing_heavy():
    script = "import sys, aisp_prof.cli; print(*sorted({'numpy', 'pandas', 'torch'} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={"PYTHONPATH": str(ROOT / ".pythonpath")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == ""


def test_the_python_face(trace):
    found = aisp_prof.open(trace)
    assert found.summary().completeness.status == "complete"
    assert len(found.ranges("step").frame()) == 12
    assert found.overlap("copy", "compute")[0].overlap > 0
    assert len(found.operations()) == len(found.trace.operations)
    assert len(found.calls()) == len(found.trace.calls)
    assert found.diff(range_a="step", range_b="data")[0].ledger
    assert aisp_prof.frame(found.kernels())["count"].dtype == "Int64"
    assert aisp_prof.frame(found.copies())["rate"].dtype == "Float64"
    assert len(found.gaps(limit=2)) == 2
    with pytest.raises(aisp_prof.TraceError):
        aisp_prof.open(__file__)
