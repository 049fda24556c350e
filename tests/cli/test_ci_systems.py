"""What GitHub, GitLab and test-reporter make of the files that `aisp-prof assert` writes, by their schema and their own rules."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from aisp_prof import cli
from aisp_prof.errors import AispError
from pair_trace import run_pair
from trace_builder import TraceBuilder

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: scripts/setup test")

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas" / "sarif-schema-2.1.0.json").read_text("utf-8"))
PACKAGE = Path(__file__).parents[2] / ".pythonpath"
OPTIMIZED, BASELINE = "ch11.streams.optimized.measure", "ch11.streams.baseline.measure"
HELD, REFUTED, UNPROVEN = "hidden(h2d, d2h) >= 0.5", "hidden(h2d, d2h) >= 0.99", "hidden(comm) >= 0.5"


@pytest.fixture
def trace(tmp_path):
    built = TraceBuilder()
    run_pair(built)
    return built.write(tmp_path / "t.sqlite")


@pytest.fixture
def run(trace, tmp_path, monkeypatch, capsys):
    """Run `aisp-prof assert t.sqlite …` in the trace's folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def call(*arguments, trace="t.sqlite"):
        monkeypatch.setattr(sys, "argv", ["aisp-prof", "assert", str(trace), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return call


@pytest.fixture
def sarif(run, tmp_path):
    """The one run of the SARIF of an assert, checked against the schema and what GitHub documents."""

    def make(*arguments, **rest):
        run(*arguments, "--sarif", "out.sarif", **rest)
        data = json.loads((tmp_path / "out.sarif").read_text("utf-8"))
        jsonschema.Draft4Validator(SCHEMA).validate(data)
        (one,) = data["runs"]
        assert broken_rules(data, one) == []
        return one

    return make


def broken_rules(data, run):
    """GitHub's "SARIF support for code scanning": properties that it requires, never empty, and their limits."""
    driver = run["tool"]["driver"]
    broken = [f"sarifLog.{name}" for name in ("$schema", "version", "runs") if not data.get(name)]
    broken += ["tool.driver.name"] * (not driver.get("name"))
    for rule in driver["rules"]:
        texts = {name: rule.get(name, {}).get("text", "") for name in ("shortDescription", "fullDescription", "help")}
        broken += [f"rule.{name}.text" for name, text in texts.items() if not text.strip()]
        broken += [f"rule.{name}.text is long" for name, text in texts.items() if name != "help" and len(text) > 1024]
        broken += ["rule.id"] * (not rule.get("id")) + ["rule.name is long"] * (len(rule.get("name", "")) > 255)
        tags = rule["properties"]["tags"]
        broken += ["too many tags"] * (len(tags) > 10)
    ids = [rule["id"] for rule in driver["rules"]]
    broken += ["two rules of one id"] * (len(set(ids)) < len(ids))
    for result in run["results"]:
        broken += ["message.text"] * (not result["message"]["text"].strip())
        broken += ["ruleIndex"] * (ids[result["ruleIndex"]] != result["ruleId"])
        broken += ["locations"] * (len(result.get("locations", ())) != 1)
        place = result["locations"][0]["physicalLocation"]
        broken += ["artifactLocation.uri"] * (not place["artifactLocation"].get("uri"))
        region = place.get("region", {})
        wanted = ("startLine", "startColumn", "endLine", "endColumn")
        broken += [f"region.{name}" for name in wanted if not region.get(name, 0) >= 1]
        broken += ["partialFingerprints"] * (not result.get("partialFingerprints", {}).get("primaryLocationLineHash"))
    prints = [(r["ruleId"], r["partialFingerprints"]["primaryLocationLineHash"]) for r in run["results"]]
    return broken + ["two results are one alert"] * (len(set(prints)) < len(prints))


def category(run):
    """As GitHub reads `runAutomationDetails.id`: all of it until the last slash."""
    return run["automationDetails"]["id"].rpartition("/")[0]


def alerts(run):
    """What GitHub knows an alert again by, by the claim."""
    names = [rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]]
    return {
        names[one["ruleIndex"]]: (one["ruleId"], one["partialFingerprints"]["primaryLocationLineHash"])
        for one in run["results"]
    }


def test_sarif_is_what_the_schema_and_github_ask_for(sarif):
    run = sarif(HELD, REFUTED, UNPROVEN, "--range", OPTIMIZED)
    assert [one["level"] for one in run["results"]] == ["error", "warning"]
    assert REFUTED in run["tool"]["driver"]["rules"][1]["help"]["text"]
    assert sarif(HELD, "--range", OPTIMIZED)["results"] == []


@pytest.mark.parametrize("claim", ["busy <= 1us", "busy <= 1us" + " " * 3000, "busy <= 1us\t"])
def test_sarif_of_odd_claims(sarif, claim):
    assert len(sarif(claim, claim, "--range", OPTIMIZED)["results"]) == 2


def claims_file(path, *claims, ranges=None):
    listed = "".join(f"  {json.dumps(claim)},\n" for claim in claims)
    named = "".join(f'{name} = "{glob}"\n' for name, glob in (ranges or {"step": OPTIMIZED}).items())
    path.write_text(f"schema = 1\nclaims = [\n{listed}]\n[ranges]\n{named}")
    return path


def test_an_alert_is_the_same_when_claims_are_inserted_moved_and_dropped(sarif, tmp_path):
    file = tmp_path / "claims.toml"
    before = alerts(sarif("--claims", claims_file(file, REFUTED, UNPROVEN))).items()
    assert len({one for _, one in before}) == 2
    assert before < alerts(sarif("--claims", claims_file(file, HELD, "idle >= 1s", REFUTED, UNPROVEN))).items()
    assert before < alerts(sarif("--claims", claims_file(file, UNPROVEN, "idle >= 1s", REFUTED))).items()
    assert before > alerts(sarif("--claims", claims_file(file, UNPROVEN))).items()
    named = alerts(sarif("--claims", claims_file(file, f"step.{REFUTED}")))
    more = {"other": BASELINE, "step": OPTIMIZED}
    assert named == alerts(sarif("--claims", claims_file(file, f"step.{REFUTED}", ranges=more)))


def test_another_range_or_domain_or_claim_is_another_alert(sarif):
    asked = [
        (REFUTED, "--range", OPTIMIZED),
        (REFUTED, "--range", BASELINE),
        (REFUTED, "--range", OPTIMIZED, "--domain", "aisp"),
        (REFUTED, "--range", OPTIMIZED, "--attribution", "process"),
        ("hidden(h2d, d2h) >= 0.98", "--range", OPTIMIZED),
    ]
    found = [next(iter(alerts(sarif(*one)).values())) for one in asked]
    assert len(set(found)) == len(asked)


def test_analyses_of_one_build_have_categories_of_their_own(sarif, trace, tmp_path):
    (tmp_path / "u.sqlite").write_bytes(trace.read_bytes())
    found = [
        category(sarif(REFUTED)),
        category(sarif(REFUTED, "--range", OPTIMIZED)),
        category(sarif(REFUTED, "--range", f"step={OPTIMIZED}")),
        category(sarif(REFUTED, "--range", OPTIMIZED, trace="u.sqlite")),
    ]
    assert len(set(found)) == len(found)
    assert all(one.startswith("aisp-prof/") for one in found)
    assert category(sarif(REFUTED, "--range", OPTIMIZED, "--category", "train step")) == "aisp-prof/train step"


CLAIMS = """\ufeff# idle >= 1s  "idle >= 1s"
schema = 1\r
'claims' = [ # ["idle >= 1s"]
  "every idle >= 1s", 'idle >= 1s ',  # the claim below is the beginning of neither
\u2028  "idle >= 1s",
  "hidden(h2d, d2h) \\u003e= 0.99", \"\"\"idle >= 2s\"\"\",
]
[ranges]
step = "ch11.streams.optimized.measure"
"""


def test_a_claim_is_shown_at_its_own_line(run, sarif, tmp_path):
    (tmp_path / "claims.toml").write_text(CLAIMS.replace("\u2028", ""), "utf-8", newline="")
    places = {}
    one = sarif("--claims", "claims.toml")
    for result in one["results"]:
        text = one["tool"]["driver"]["rules"][result["ruleIndex"]]["shortDescription"]["text"]
        places[text] = tuple(result["locations"][0]["physicalLocation"]["region"].values())
    assert places == {
        "every idle >= 1s": (4, 3, 4, 21),
        "idle >= 1s ": (4, 23, 4, 36),
        "idle >= 1s": (5, 3, 5, 15),
        REFUTED: (6, 3, 6, 34),
        "idle >= 2s": (6, 36, 6, 52),
    }
    *_, err = run("--claims", "claims.toml", "--annotations")
    lines = {line.partition("title=refuted%3A ")[2].partition("::")[0]: line for line in err.splitlines()}
    assert "claims.toml,line=5," in lines["idle >= 1s"]


def test_lines_are_counted_as_github_counts_them(run, tmp_path):
    """To Python a U+2028 or a form feed in a comment ends a line too."""
    text = f'schema = 1\n# a\u2028b\u0085c\nclaims = ["{REFUTED}"]\n[ranges]\nstep = "{OPTIMIZED}"\n'
    (tmp_path / "claims.toml").write_text(text, "utf-8")
    assert "claims.toml,line=3," in run("--claims", "claims.toml", "--annotations")[2]


def test_of_many_annotations_the_worst_are_shown_and_the_rest_counted(run):
    """GitHub drops what comes after the tenth error of a step."""
    unproven = [f"hidden(comm) >= 0.{number:02}" for number in range(10, 18)]
    refuted = [f"kernels_per_iteration >= {number}" for number in range(5, 13)]
    lines = run(HELD, *unproven, *refuted, "--range", OPTIMIZED, "--annotations")[2].splitlines()
    assert len(lines) == 10
    titles = [line.partition("title=")[2].partition("::")[0] for line in lines]
    assert titles[:8] == [f"refuted%3A {claim}" for claim in reversed(refuted)]
    assert titles[8].startswith("unproven%3A ")
    assert titles[9] == "and 7 more claims that do not hold"
    assert "7 unproven" in lines[9]
    ten = run(*refuted, *unproven[:2], "--range", OPTIMIZED, "--annotations")[2].splitlines()
    assert len(ten) == 10
    assert not [line for line in ten if "more claims" in line]


def gitlab(text):
    """As GitLab's `lib/gitlab/ci/parsers/test/junit.rb` reads a report: key -> status, what it shows, seconds.

    Hash.from_xml gives an element with text as that text, one with attributes alone as a hash, which no page shows.
    """
    found = {}
    root = Xml.fromstring(text)
    for suite in [root, *root.iter("testsuite")] if root.tag != "testsuite" else [root]:
        for case in suite.findall("testcase"):
            data = {**case.attrib, **{child.tag.replace("-", "_"): _hash(child) for child in case}}
            kind = next((kind for kind in ("failure", "error", "skipped") if kind in data), None)
            status = {"failure": "failed", "error": "error", "skipped": "skipped", None: "success"}[kind]
            key = (suite.get("name"), data["classname"], data["name"])
            assert key not in found, f"GitLab takes two tests for one: {key}"
            found[key] = (status, data[kind] if kind else None, float(data["time"]))
    return found


def _hash(element):
    text = "".join(element.itertext())
    return text if text.strip() else dict(element.attrib)


def test_reporter(text):
    """As dorny/test-reporter's `java-junit-parser.ts` does: suite -> group -> [(name, result, milliseconds, details)]."""
    suite = Xml.fromstring(text)
    assert suite.tag == "testsuite"
    groups = {}
    for case in suite.findall("testcase"):
        group = "" if case.get("classname") == suite.get("name") else case.get("classname")
        failures = [*case.findall("failure"), *case.findall("error")]
        details = failures[0].text if failures else None
        one = (case.get("name").strip(), "failed" if failures else "success", float(case.get("time")) * 1000, details)
        groups.setdefault(group, []).append(one)
    return suite.get("name").strip(), float(suite.get("time")), groups


test_reporter.__test__ = False


def test_junit_as_gitlab_reads_it(run, tmp_path):
    run(HELD, REFUTED, UNPROVEN, "--range", f"step={OPTIMIZED}", "--junit", "j.xml")
    cases = gitlab((tmp_path / "j.xml").read_text("utf-8"))
    by_claim = {name: (status, shown) for (_, _, name), (status, shown, _) in cases.items()}
    assert {claim: status for claim, (status, _) in by_claim.items()} == {
        HELD: "success",
        REFUTED: "failed",
        UNPROVEN: "error",
    }
    shown = by_claim[REFUTED][1].splitlines()
    assert shown[:2] == [f"{REFUTED}: refuted", "60.0% (n = 8)"]
    assert "CUPTI_ACTIVITY_KIND_MEMCPY row" in by_claim[REFUTED][1]
    assert by_claim[UNPROVEN][1].startswith(f"{UNPROVEN}: unproven\nnot measured\n")
    assert all(seconds > 0 for *_, seconds in cases.values())


def test_junit_as_test_reporter_reads_it(run, tmp_path):
    run(HELD, REFUTED, "--range", f"step={OPTIMIZED}", "--junit", "j.xml")
    name, seconds, groups = test_reporter((tmp_path / "j.xml").read_text("utf-8"))
    assert (name, list(groups)) == ("t.sqlite", [f"t.sqlite step={OPTIMIZED}"])
    (held, refuted) = groups[f"t.sqlite step={OPTIMIZED}"]
    assert held[:2] == (HELD, "success")
    assert refuted[:2] == (REFUTED, "failed")
    assert "nothing hides: " in refuted[3]
    assert 0 < held[2] + refuted[2] == pytest.approx(seconds * 1000, abs=0.01)


def test_one_claim_on_several_ranges_is_several_tests(run, tmp_path):
    """All of a pipeline's reports are one list to GitLab, in which a test of the same name would stand for the other."""
    asked = [[], ["--range", OPTIMIZED], ["--range", BASELINE], ["--range", OPTIMIZED, "--domain", "aisp"]]
    asked += [["--range", OPTIMIZED, "--category", "a"]]
    keys = []
    for arguments in asked:
        run(REFUTED, *arguments, "--junit", "j.xml")
        keys += gitlab((tmp_path / "j.xml").read_text("utf-8"))
    assert len(set(keys)) == len(asked)


def test_a_summary_begins_on_its_own_line(run, tmp_path):
    for before, blank in {"": "", "text": "\n\n", "</details>\n": "\n", "text\n\n": ""}.items():
        (tmp_path / "s.md").write_text(before)
        run(HELD, "--range", OPTIMIZED, "--summary", "s.md")
        assert (tmp_path / "s.md").read_text().startswith(f"{before}{blank}### t.sqlite")


def test_an_empty_name_of_a_file_is_none(run, tmp_path):
    """`--summary "$GITHUB_STEP_SUMMARY"` where that is not set."""
    there = set(tmp_path.iterdir())
    code, _, err = run(HELD, "--range", OPTIMIZED, "--summary", "", "--sarif", "", "--junit", "")
    assert (code, err) == (0, "")
    assert set(tmp_path.iterdir()) == there
    assert run(HELD, "--claims", "", "--range", OPTIMIZED)[0] == 2  # fewer claims than were meant would pass


@pytest.mark.parametrize(("claim", "code"), [(HELD, 2), (REFUTED, 1), (UNPROVEN, 4)])
@pytest.mark.parametrize("option", ["--sarif", "--junit", "--summary"])
def test_the_verdict_counts_before_a_file_that_cannot_be_written(run, tmp_path, claim, code, option):
    ended, out, err = run(claim, "--range", OPTIMIZED, option, "nowhere/file")
    assert (ended, claim in out) == (code, True)
    assert (
        f"cannot write nowhere/file: No such file or directory\n  → name a file in a writable folder: {option}" in err
    )


def test_what_can_be_written_is_written_all_the_same(run, tmp_path):
    run(REFUTED, "--range", OPTIMIZED, "--junit", "nowhere/file", "--sarif", "s.sarif", "--summary", tmp_path)
    assert json.loads((tmp_path / "s.sarif").read_text())["runs"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize(("claim", "code"), [(HELD, 2), (REFUTED, 1)])
def test_a_full_disk_is_no_verdict(run, claim, code):
    ended, _, err = run(claim, "--range", OPTIMIZED, "--sarif", "/dev/full")
    assert ended == code
    assert "cannot write /dev/full: No space left on device" in err


def test_a_name_that_is_no_utf_8(run, sarif, trace, tmp_path):
    odd = Path(os.fsdecode(b"tr\xffce.sqlite"))
    (tmp_path / odd).write_bytes(trace.read_bytes())
    claims = claims_file(tmp_path / os.fsdecode(b"cl\xfe.toml"), REFUTED)
    (one,) = sarif(REFUTED, "--range", OPTIMIZED, trace=odd)["results"]
    assert one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "tr%FFce.sqlite"
    for name in (claims, claims.relative_to(tmp_path)):
        files = ["--junit", os.fsdecode(b"\xfd.xml"), "--summary", "s.md", "--sarif", "s.sarif"]
        code, _, err = run("--claims", name, *files, "--annotations", "--json", trace=tmp_path / odd)
        assert (code, "Traceback" in err) == (1, False)
        assert gitlab((tmp_path / os.fsdecode(b"\xfd.xml")).read_text("utf-8"))
    assert run("busy >= 0us", trace=os.fsdecode(b"nothing\xff"))[0] == 2


def test_a_claims_file_with_a_byte_order_mark(run, tmp_path):
    file = claims_file(tmp_path / "claims.toml", REFUTED)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    code, _, err = run("--claims", "claims.toml", "--annotations")
    assert (code, "claims.toml,line=3," in err) == (1, True)
    file.write_bytes(file.read_text("utf-8-sig").encode("utf-16"))
    assert run("--claims", "claims.toml")[0] == 2


def test_the_fingerprints_are_of_the_claims_themselves(sarif):
    """Twice the same claim, twice an alert; the first one's stays what it is alone."""
    twice = [one["partialFingerprints"] for one in sarif(REFUTED, REFUTED, "--range", OPTIMIZED)["results"]]
    (once,) = (one["partialFingerprints"] for one in sarif(REFUTED, "--range", OPTIMIZED)["results"])
    first, second = islice(twice, 2)
    assert first == once != second


def _kinds(error):
    yield error
    for below in error.__subclasses__():
        yield from _kinds(below)


def test_no_error_ends_as_a_refuted_claim_does():
    assert len(list(_kinds(AispError))) > 4
    assert {kind.exit_code for kind in _kinds(AispError)} == {2, 3, 4}


def test_what_cannot_be_written_or_has_no_room_is_no_refutation(run, trace, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    packed = tmp_path / "t.sqlite.gz"
    packed.write_bytes(gzip.compress(trace.read_bytes()))
    limits = (resource.RLIMIT_FSIZE, (4096, 4096))  # what a file may have: a full disk for this process alone
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aisp_prof", "assert", "t.sqlite.gz", HELD, "--range", OPTIMIZED],
        env={"PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", "AISP_CACHE": str(tmp_path / "cache")},
        preexec_fn=lambda: resource.setrlimit(*limits),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert "no room to unpack a trace" in done.stderr
    command = ["aisp-prof", "trace", "export", str(trace), "--to", "csv", "-o", "file/x"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt, 130), (EOFError, 70)])
def test_what_click_would_end_as_a_refuted_claim_does_not(trace, monkeypatch, raised, code):
    def ends(*_):
        raise raised

    monkeypatch.setattr("aisp_prof.profiler.assertions.check.check", ends)
    monkeypatch.setattr(sys, "argv", ["aisp-prof", "assert", str(trace), HELD, "--range", OPTIMIZED])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code


@pytest.mark.parametrize(("claim", "code"), [(HELD, 0), (REFUTED, 1), (UNPROVEN, 4)])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_changes_no_verdict(trace, tmp_path, claim, code, more):
    """`aisp-prof assert … | head -1` where the shell takes the first code of a pipe: a proven claim ended with 1 or 120."""
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aisp_prof", "assert", "t.sqlite", claim, "--range", OPTIMIZED, *more],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PACKAGE)},
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (code, b"")


def test_a_bug_is_no_refutation(run, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("aisp_prof.cli.assertion._read", broken)
    code, _, err = run(HELD)
    assert code == 70
    assert err.startswith("Traceback")
    assert err.endswith("RuntimeError: a bug\n")
