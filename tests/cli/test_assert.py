"""`aisp-prof assert` as a build uses it: exit codes, files for CI systems, and answers to slips."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from aisp_prof.cli import app, main
from aisp_prof.errors import UsageError
from pair_trace import run_pair
from trace_builder import TraceBuilder
from typer.testing import CliRunner

RANGE = ["--range", "ch11.streams.optimized.measure"]


@pytest.fixture
def trace(tmp_path):
    built = TraceBuilder()
    run_pair(built)
    return str(built.write(tmp_path / "t.sqlite"))


def run(*arguments):
    return CliRunner().invoke(app, ["assert", *arguments])


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        (["hidden(h2d, d2h) >= 0.5"], 0),
        (["hidden(h2d, d2h) >= 0.5", "hidden(h2d, d2h) >= 0.99"], 1),
        (["hidden(comm) >= 0.5"], 4),
        (["hidden(comm) >= 0.5", "idle >= 1s"], 1),
    ],
)
def test_the_exit_code_is_the_worst_verdicts(trace, claims, code):
    assert run(trace, *claims, *RANGE).exit_code == code


def test_a_failure_shows_what_breaks_the_claim(trace):
    out = run(trace, "hidden(h2d, d2h) >= 0.99", *RANGE).stdout
    assert "REFUTED" in out
    assert "nothing hides" in out
    assert "CUPTI_ACTIVITY_KIND_MEMCPY row" in out


def test_files_for_ci_systems(trace, tmp_path):
    junit, sarif, summary = (tmp_path / name for name in ("j.xml", "s.sarif", "s.md"))
    summary.write_text("before\n")
    claims = ["hidden(h2d, d2h) >= 0.5", "hidden(h2d, d2h) >= 0.99", "hidden(comm) >= 0.5"]
    run(trace, *claims, *RANGE, "--junit", str(junit), "--sarif", str(sarif), "--summary", str(summary))
    suite = Xml.parse(junit).getroot()
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    assert [[child.tag for child in case] for case in suite] == [["system-out"], ["failure"], ["error"]]
    (one,) = json.loads(sarif.read_text())["runs"]
    rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
    assert [(result["ruleId"], result["level"]) for result in one["results"]] == [
        (rules[1], "error"),
        (rules[2], "warning"),
    ]
    assert summary.read_text().startswith("before\n\n### ")
    assert summary.read_text().count("\n| ") == 4


def test_hostile_names_stay_text(tmp_path):
    built = TraceBuilder()
    p = built.process(551)
    p.sees(built.gpu("a0ae1ff2-b9e3"))
    p.kernel("</testcase>|<script>\x1b[2J\u202e", (10, 20), (30, 40))
    p.copy("h2d", 10, (21, 22), (50, 60))
    path, junit, summary = built.write(tmp_path / "t.sqlite"), tmp_path / "j.xml", tmp_path / "s.md"
    result = run(str(path), "hidden(compute, copy) >= 0.5", "--junit", str(junit), "--summary", str(summary))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    Xml.parse(junit)
    assert "<script>" not in summary.read_text()


def test_a_claims_file_and_more_on_the_command_line(trace, tmp_path):
    file = tmp_path / "claims.toml"
    file.write_text(
        'schema = 1\ndomain = "aisp"\nclaims = ["optimized.hidden(h2d, d2h) >= 0.5"]\n'
        '[ranges]\noptimized = "*.optimized.measure"\n'
    )
    arguments = ["--claims", str(file), "--range", "baseline=*.baseline.measure", "--json"]
    result = run(trace, "speedup >= 1.5", *arguments)
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["schema"], answer["verdict"]) == (0, 1, "proven")
    assert [one["claim"]["text"] for one in answer["claims"]] == ["optimized.hidden(h2d, d2h) >= 0.5", "speedup >= 1.5"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schema = 2\n", "schema 2"),
        ('schema = 1\nclaim = "x"\n', "'claim' means nothing"),
        ("schema = 1\nclaims = [1]\n", "claims is list"),
        ("schema = 1\nclaims = [\n", "cannot be read"),
        ("schema = 1\n", "nothing is asserted"),
    ],
)
def test_a_bad_claims_file_is_named(trace, tmp_path, capsys, monkeypatch, text, complaint):
    file = tmp_path / "claims.toml"
    file.write_text(text)
    monkeypatch.setattr("sys.argv", ["aisp-prof", "assert", trace, "--claims", str(file)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_misspelt_metric_is_answered_with_the_nearest(trace, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["aisp-prof", "assert", trace, "hiden(copy) >= 0.8"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "did you mean hidden?" in capsys.readouterr().err


def annotated(trace, *arguments, environment=None):
    """What is printed for a job of GitHub Actions: stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {"GITHUB_ACTIONS": "true"}).items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["aisp-prof", "assert", trace, *arguments])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit):
            main()
    return out.getvalue(), err.getvalue()


def test_github_is_told_of_each_claim_that_does_not_hold(trace):
    claims = ["hidden(h2d, d2h) >= 0.5", "hidden(h2d, d2h) >= 99%", "hidden(comm) >= 0.5"]
    _, err = annotated(trace, *claims, *RANGE)
    refuted, unproven = err.splitlines()
    assert refuted.startswith(f"::error file={trace},title=refuted%3A hidden(h2d%2C d2h) >= 99%25::60.0%25 (n = 8)%0A")
    assert "%0Anothing hides: " in refuted
    assert unproven.startswith(f"::error file={trace},title=unproven%3A hidden(comm) >= 0.5::not measured%0A")


def test_annotations_can_be_had_and_left_out(trace):
    claim = ["hidden(h2d, d2h) >= 0.99", *RANGE]
    assert annotated(trace, *claim, environment={"GITHUB_ACTIONS": ""})[1] == ""
    assert annotated(trace, *claim, "--no-annotations")[1] == ""
    assert annotated(trace, *claim, "--annotations", environment={"GITHUB_ACTIONS": ""})[1].startswith("::error ")
    assert annotated(trace, "hidden(h2d, d2h) >= 0.5", *RANGE)[1] == ""


def test_a_claim_of_a_file_is_annotated_where_it_is_made(trace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my claims.toml").write_text(
        'schema = 1\nclaims = [\n  "hidden(h2d, d2h) >= 0.5",\n  "hidden(h2d, d2h) >= 0.99",\n]\n'
        '[ranges]\nstep = "ch11.streams.optimized.measure"\n'
    )
    arguments = ["--claims", "my claims.toml", "idle >= 1s", "--sarif", "out.sarif"]
    _, err = annotated(trace, *arguments)
    assert [line.partition(",title")[0] for line in err.splitlines()] == [
        f"::error file={trace}",  # the worst first
        "::error file=my claims.toml,line=4",
    ]
    (run,) = json.loads((tmp_path / "out.sarif").read_text())["runs"]
    assert [result["locations"][0]["physicalLocation"] for result in run["results"]] == [
        {
            "artifactLocation": {"uri": "my%20claims.toml"},
            "region": {"startLine": 4, "startColumn": 3, "endLine": 4, "endColumn": 29},
        },
        {
            "artifactLocation": {"uri": f"file://{trace}"},
            "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
        },
    ]


def test_a_trace_gives_github_no_commands(tmp_path):
    built = TraceBuilder()
    p = built.process(551)
    p.sees(built.gpu("a0ae1ff2-b9e3"))
    p.kernel("##[add-path]x\n::set-output name=a::b,%0A", (10, 20), (30, 40))
    p.copy("h2d", 10, (21, 22), (35, 60), 8)
    built.diagnostic("::add-mask::x ##[group]y", severity=2, process=p.key)
    trace = str(built.write(tmp_path / "a,b::c%.sqlite"))
    for claim in ("hidden(compute, copy) >= 0.9", "hidden(compute, copy) >= 0.1"):
        for more in ([], ["--json"]):
            out, err = annotated(trace, claim, *more)
            assert "add-path" in out
            assert not [line for line in out.splitlines() if line.lstrip().startswith("::") or "##[" in line]
            assert [line[:13] for line in err.splitlines()] == (["::error file="] if "0.9" in claim else [])
            assert more == [] or "##[add-path]x" in json.dumps(json.loads(out))
    (line,) = annotated(trace, "hidden(compute, copy) >= 0.9")[1].splitlines()
    head, _, message = line.removeprefix("::").partition("::")
    assert "a%2Cb%3A%3Ac%25.sqlite,title=refuted" in head
    assert "%250A" in message


TRACES = Path(__file__).parents[1] / "traces"


def test_of_two_gpus_it_is_said_which(trace):
    result = run(str(TRACES / "two-gpus-node.sqlite.xz"), "kernels_per_iteration >= 1", "--range", "forward")
    assert result.exit_code == 0
    assert ", where it fares worst of 2\n" in result.stdout
    assert "fares worst" not in run(trace, "kernels_per_iteration >= 1", *RANGE).stdout


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--range", "replay"], 4), ([], 4), (["--range", "exchange"], 0), (["--range", "*"], 4)]
)
def test_only_what_holds_a_graph_that_was_traced_as_a_whole_is_unproven(arguments, code):
    result = run(str(TRACES / "two-gpus-graph.sqlite.xz"), "every kernels_per_iteration >= 1", *arguments)
    assert result.exit_code == code
    assert "Graph launches traced as a whole: 4." in result.stdout


EQ_NAMES = str(Path(__file__).parents[1] / "traces" / "gates" / "eq_names.sqlite.xz")
"""Eight ranges called bs=32, of 5 ms each, and a hundred called op, of 10 us."""


@pytest.mark.parametrize("ranges", ["bs=32", "bs=3?", "range=bs=*", "range=bs=32"])
def test_a_name_with_an_equals_sign_is_a_name(ranges):
    result = run(EQ_NAMES, "span <= 1ms", "--range", ranges, "--json")
    assert (result.exit_code, json.loads(result.stdout)["instances"]) == (1, {"range": 8})


def test_a_range_that_may_be_read_both_ways_is_refused():
    error = run(EQ_NAMES, "span <= 1ms", "--range", "bs=*").exception
    assert isinstance(error, UsageError)
    assert "may mean the ranges of that name" in str(error)
    assert "--range range='bs=*'" in error.mend
    assert "--range it='*'" in error.mend
    assert run(EQ_NAMES, "span <= 1ms", "--range", "bs=op").exit_code == 0


def test_both_ways_out_of_an_ambiguity_are_ways_out():
    for ranges, instances in (("range=bs=*", 8), ("it=*", 108)):
        result = run(EQ_NAMES, "every span <= 1s", "--range", ranges, "--json")
        assert (result.exit_code, list(json.loads(result.stdout)["instances"].values())) == (0, [instances])


def test_a_slip_is_answered_before_the_trace_is_read(tmp_path):
    nothing = str(tmp_path / "none.sqlite")
    for claim, ranges in (("spam <= 1ms", "bs=32"), ("a.span <= 1ms", "bs=32"), ("spam <= 1ms", "plain")):
        assert "none.sqlite" not in str(run(nothing, claim, "--range", ranges).exception)
    for claim in ("bs.span <= 1ms", "range.span <= 1ms"):
        assert "none.sqlite" in str(run(nothing, claim, "--range", "bs=32").exception)


def test_an_unproven_speedup_shows_its_runs():
    blocks = EQ_NAMES.replace("eq_names", "same_code_block")
    out = run(blocks, "speedup(v2, v1) >= 1.0x", "--range", "v1=v1", "--range", "v2=v2").stdout
    assert "ran one after the other" in out
    assert "runs of v2: 1.51" in out
    assert "(30 in all)" in out
