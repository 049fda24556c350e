"""`aisp-prof assert` as a build uses it: exit codes, files for CI systems, and answers to slips."""

from __future__ import annotations

import json
from xml.etree import ElementTree as Xml

import pytest
from aisp_prof.cli import app, main
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
    assert [(result["ruleId"], result["level"]) for result in one["results"]] == [
        ("claim-2", "error"),
        ("claim-3", "warning"),
    ]
    assert summary.read_text().startswith("before\n### ")
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
