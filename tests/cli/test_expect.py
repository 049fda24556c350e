"""`aisp-prof expect check`, `expect update` and `history` as typed, and the expectations that ship."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
from aisp_prof.profiler.expect.check import Status, check_capture
from aisp_prof.profiler.expect.files import expectations_folder, read_chapter
from aisp_prof.profiler.store.captures import Store, shipped_store
from rewritten import a_sync_more, rewritten, slower
from shared import shipped

ROOT = Path(__file__).parents[2]
STREAMS = "ch11:streams"


@pytest.fixture
def five(monkeypatch, tmp_path):
    """As if only five captures shipped, one of a pair: captures that come later change none of the numbers below."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    for capture in (*(ROOT / "captures").glob("*-20261120T*"), *(ROOT / "tests" / "traces" / "retired").iterdir()):
        (folder / capture.name).symlink_to(capture, target_is_directory=True)
    assert len(list(folder.iterdir())) == 5
    for module in ("aisp_prof.profiler.store.captures", "aisp_prof.profiler.expect.update", __name__):
        monkeypatch.setattr(import_module(module), "shipped_store", lambda: Store(folder, shipped=True))


@pytest.fixture
def run(five, monkeypatch, run, tmp_path):
    """Run `aisp-prof …` with expectations and captures below tmp_path: exit code, stdout, stderr."""
    monkeypatch.setenv("AISP_EXPECTATIONS", str(tmp_path / "expectations"))
    monkeypatch.delenv("AISP_CAPTURES", raising=False)
    monkeypatch.chdir(tmp_path)

    return run


@pytest.fixture
def written(run):
    """Expectations of the streams pair, from the capture that ships."""
    code, *_ = run("expect", "update", STREAMS, "--reason", "first", "--write")
    assert code == 0


def newest():
    found = shipped_store().newest("ch11.streams")
    assert found is not None
    return found


def section(title):
    text = (ROOT / "docs" / "json.md").read_text("utf-8").partition(f"## `{title}`")[2]
    assert text
    return text.partition("\n## ")[0]


def documented(title, *records):
    return [field for record in records for field in record if field != "schema" and f"`{field}`" not in section(title)]


def test_check_says_what_was_expected_and_measured(run, written):
    code, out, _ = run("expect", "check", STREAMS, "--capture", newest().id)
    assert code == 0
    assert out.startswith("✓ MET  ch11.streams on h200")
    (row,) = (line for line in out.splitlines() if line.startswith("optimized.iteration") and " trace " in line)
    assert "≤ 6.48\u00a0ms (5.89\u00a0ms ±10.0%, 1 capture)" in row
    assert "5.89\u00a0ms at 1980 MHz" in row


def test_check_as_json(run, written):
    code, out, _ = run("expect", "check", STREAMS, "--json", "--capture", newest().id)
    data = json.loads(out)
    (pair,) = data["rows"]
    assert (code, data["schema"], data["status"], pair["status"]) == (0, 1, "met", "met")
    assert documented("expect check", data, pair, pair["rows"][0]) == []


def test_a_pair_that_nothing_is_expected_of_has_an_exit_code_of_its_own(run):
    code, out, _ = run("expect", "check", STREAMS, "--capture", newest().id)
    assert code == 5
    assert "UNQUALIFIED" in out
    assert 'aisp-prof expect update ch11:streams --reason "…"' in out


def test_a_regression_fails_a_chapter(run, written, tmp_path):
    rewritten(newest(), tmp_path / "aisp-captures", a_sync_more)
    code, out, _ = run("expect", "check", STREAMS)
    assert code == 1
    (line,) = (line for line in out.splitlines() if "regressed" in line)
    assert line.split() == ["optimized.syncs_per_iteration", "trace", "=", "1", "2", "✗", "regressed"]


def test_one_capture_by_its_id(run, written, tmp_path):
    changed = rewritten(newest(), tmp_path / "aisp-captures", a_sync_more)
    assert run("expect", "check", STREAMS, "--capture", newest().id)[0] == 0
    assert run("expect", "check", STREAMS, "--capture", changed.id)[0] == 1


def test_a_capture_that_did_not_arrive_is_missing(run, written):
    """The one that ships would meet expectations that were made of it, whatever became of the build's own."""
    code, out, _ = run("expect", "check", STREAMS)
    assert code == 4
    assert out.startswith("– MISSING  ch11.streams\n  no capture of it; it has expectations on h200\n")
    assert "→ aisp-prof capture ch11:streams, or --capture ID for one that came with aisp-prof" in out
    code, out, _ = run("expect", "check", STREAMS, "--json")
    assert (code, json.loads(out)["status"], json.loads(out)["rows"][0]["rows"]) == (4, "missing", [])


def test_every_pair_of_a_chapter_is_asked(run, written, tmp_path):
    """Those without a capture, or of which nothing is expected, are no pass."""
    rewritten(newest(), tmp_path / "aisp-captures")
    code, out, _ = run("expect", "check", "ch11")
    assert code == 5
    assert "✓ MET  ch11.streams" in out
    assert "∅ UNQUALIFIED  ch11.gemm_streams" in out


def test_update_shows_a_diff_and_writes_when_told(run, tmp_path):
    file = tmp_path / "expectations" / "h200" / "ch11.json"
    code, out, _ = run("expect", "update", STREAMS, "--reason", "first")
    assert code == 0
    assert "+ optimized.iteration [trace]  ≤ 6.48\u00a0ms (5.89\u00a0ms ±10.0%, 1 capture)" in out
    assert out.endswith("1 to write: nothing is written without --write\n")
    assert not file.exists()
    code, out, _ = run("expect", "update", STREAMS, "--reason", "first", "--write")
    assert out.endswith("1 written\n")
    assert file.is_file()


def test_update_as_json(run, written, tmp_path):
    for day in (1, 2):
        rewritten(newest(), tmp_path / "aisp-captures", slower("optimized", 1.02), name=f"d{day}", day=day)
    code, out, _ = run("expect", "update", STREAMS, "--reason", "more", "--json")
    data = json.loads(out)
    (plan,) = data["rows"]
    change = next(one for one in plan["changes"] if one["after"]["variant"] == "optimized")
    assert (code, data["written"], plan["changed"]) == (0, False, True)
    assert documented("expect update", data, plan, change) == []


def test_a_refused_update_says_why_and_writes_the_others(run, written, tmp_path):
    rewritten(newest(), tmp_path / "aisp-captures", slower("optimized", 1.3))
    code, out, _ = run("expect", "update", STREAMS, "--reason", "why not", "--write")
    assert code == 4
    assert "✗ ch11.streams on h200: refused: the newest capture, ch11.streams-changed, is refuted" in out
    code, out, _ = run("expect", "update", "--reason", "all", "--write")
    assert code == 4
    assert "4 written" in out
    assert (tmp_path / "expectations" / "h200" / "ch09.json").is_file()


def test_update_needs_a_reason(run):
    code, _, err = run("expect", "update", STREAMS)
    assert code == 2
    assert "--reason" in err


def test_history_draws_and_marks(run, tmp_path):
    for day, factor in enumerate((1.0, 1.2, 1.2), 1):
        rewritten(newest(), tmp_path / "aisp-captures", slower("baseline", factor), name=f"d{day}", day=day)
    code, out, _ = run("history", STREAMS)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "ch11.streams: 4 captures"
    assert [("◀ baseline +20.0%" in line) for line in lines[2:6]] == [False, False, True, False]
    bars = [line.count("█") for line in lines if line.startswith("baseline ")]
    assert bars == [33, 33, 40, 40]
    code, out, _ = run("history", STREAMS, "--json", "--limit", 2)
    (pair,) = json.loads(out)["rows"]
    assert len(pair["captures"]) == 2
    assert documented("history", pair, pair["captures"][0], pair["captures"][0]["baseline"]) == []


def test_history_without_a_capture(run):
    code, _, err = run("history", "ch11:gemm_streams")
    assert code == 4
    assert "no capture" in err


def test_the_exit_codes_are_in_the_help(run):
    assert "5 nothing is expected of a pair" in " ".join(run("--help")[1].replace("│", " ").split())
    assert "5 unqualified" in " ".join(run("expect", "--help")[1].split())


def test_compare_says_what_this_hardware_has_to_show(run, written):
    code, out, _ = run("compare", "ch11", "--examples", "streams")
    assert code == 0
    assert "at least 2.00×; on NVIDIA H200 ≥ 2.00× (2.20× ±10.0%, 1 capture)" in out
    code, out, _ = run("compare", "ch11", "--examples", "streams", "--json")
    claims = json.loads(out)["rows"][0]["claims"]
    assert claims[0]["bound"] == {"kind": "min", "low": 2.0, "high": None}
    assert documented("compare", claims[0]) == []


def reported(run, tmp_path, *words):
    code, out, err = run("report", "--stage", STREAMS, "--format", "html", "--out", tmp_path / "pages", *words)
    assert code == 0, err
    return out


def test_a_report_holds_its_capture_against_what_is_expected(run, written, tmp_path):
    """The claims are proven, and one number is not what it was: the page and the answer say both."""
    path = tmp_path / "expectations" / "h200" / "ch11.json"
    chosen = ("--capture", newest().id)
    data = json.loads(reported(run, tmp_path, *chosen, "--json"))
    (checked,) = data["expectations"]
    count = sum(row["expected"] is not None for row in checked["rows"])
    assert (checked["status"], checked["capture"]) == ("met", newest().id)
    assert f"expectations on h200: {count} of {count} hold" in reported(run, tmp_path, *chosen)
    kept = json.loads(path.read_text("utf-8"))
    entry = next(e for e in kept["pairs"]["ch11.streams"]["entries"] if e["metric"] == "kernels_per_iteration")
    entry["bound"].update(low=15, high=15)
    path.write_text(json.dumps(kept))
    assert f"expectations on h200: {count - 1} of {count} hold" in reported(run, tmp_path, *chosen)
    assert "regressed" in (tmp_path / "pages" / "ch11-streams.html").read_text("utf-8")
    kept["pairs"]["ch11.streams"]["context"]["driver"] = "1"
    path.write_text(json.dumps(kept))
    assert "expectations on h200: not comparable: driver" in reported(run, tmp_path, *chosen)
    path.unlink()
    assert "expectations" not in reported(run, tmp_path, *chosen)
    assert "Nothing is expected of this pair" in (tmp_path / "pages" / "ch11-streams.html").read_text("utf-8")


SHIPPED = shipped()
NEWEST = list({one.manifest.pair: one for one in reversed(SHIPPED)}.values())


@pytest.mark.parametrize("capture", NEWEST, ids=lambda capture: capture.id)
def test_what_ships_meets_what_ships(capture, monkeypatch):
    monkeypatch.delenv("AISP_EXPECTATIONS", raising=False)
    noisy = ("ch20.integrated_kv_cache", "ch20.memory_standard")
    checked = check_capture(capture, expectations_folder())
    told = [row.reason for row in checked.rows if row.status not in (Status.MET, Status.IMPROVED)]
    assert bool(told) is (capture.manifest.pair in noisy)
    assert all("too noisy to gate" in reason for reason in told)
    assert checked.status in ((Status.UNQUALIFIED,) if told else (Status.MET, Status.IMPROVED))


def test_what_ships_rests_on_captures_that_ship(monkeypatch):
    """Anyone can recompute what is expected: the hashes are those of the files."""
    monkeypatch.delenv("AISP_EXPECTATIONS", raising=False)
    hashes = {c.id: c.manifest.files[c.trace_path.name].sha256 for c in SHIPPED if c.trace_path}
    files = sorted(expectations_folder().glob("*/*.json"))
    assert files
    for name, pair in (one for path in files for one in read_chapter(path).items()):
        stated = {source.capture: source.trace_sha256 for source in pair.sources if source.capture in hashes}
        assert stated == {name: hashes[name] for name in stated}
        assert pair.captures & set(hashes), f"no capture that {name} rests on ships"


def test_accepting_a_regression_as_typed(run, written, tmp_path):
    """Accepted, worse, mended, back again: what `check` and `history` say of each."""

    def make(name, day, factor):
        folder = tmp_path / "aisp-captures"
        return rewritten(newest(), folder, slower("optimized", factor), name=name, day=day)

    slow = make("slow", 1, 1.12)
    code, out, _ = run("expect", "check", STREAMS)
    assert (code, "regressed" in out) == (1, True)
    code, _, err = run("expect", "accept", STREAMS)
    assert (code, "--by" in err) == (2, True)
    code, out, _ = run("expect", "accept", STREAMS, "optimized.iteration", "--by", "Ada", "--reason", "exact sums, #42")
    assert code == 0
    assert out.startswith("accepted: optimized.iteration [trace] ≤ ")
    assert f"shown by {slow.id}, by Ada on 20" in out
    _, data, _ = run("expect", "check", STREAMS, "--json")
    accepted = [row for row in json.loads(data)["rows"][0]["rows"] if row["status"] == "accepted"]
    assert {(row["variant"], row["metric"], row["accepted"]["by"]) for row in accepted} == {
        ("optimized", "iteration", "Ada")
    }
    assert documented("expect check", accepted[0]) == []
    make("mended", 2, 1.0)
    code, out, _ = run("expect", "check", STREAMS)
    assert (code, "mended; stale: accepted by Ada" in out) == (0, True)
    assert "→ aisp-prof expect accept ch11:streams --withdraw" in out
    code, out, _ = run("history", STREAMS, "--limit", 1)
    assert "accepted of ch11.streams on h200: optimized.iteration [trace]" in out
    assert "exact sums, #42; mended in ch11.streams-mended" in out
    code, out, _ = run("expect", "accept", STREAMS, "--withdraw", "--json")
    data = json.loads(out)
    assert (code, data["withdrawn"], documented("expect accept", data)) == (0, True, [])
    (pair,) = json.loads(run("history", STREAMS, "--json", "--limit", 1)[1])["rows"]
    assert (pair["accepted"], documented("history", pair)) == ([], [])
