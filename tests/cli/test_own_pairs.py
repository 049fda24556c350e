"""Pairs of the user's own, in a repository of his own: every command takes them as it takes a chapter's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.profiler.expect import files as expectations
from own_repository import KEY, PAIR, captured, repository
from pair_trace import serial

Run = Callable[..., tuple[int, str, str]]
BROKEN = "import nothing_there\n"
FORMS = [
    "fused",
    "fused:four_streams",
    "fused.four_streams",
    "bench/fused.py",
    "bench/fused.py:FourStreams",
    "bench.fused",
]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AISP_CAPTURES", "AISP_EXPECTATIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return repository(tmp_path)


def test_list_shows_them_after_the_chapters(repo: Path, run: Run) -> None:
    captured(repo)
    code, out, err = run("list", "--json")
    rows = {row["pair"]: row for row in json.loads(out)["rows"]}
    assert (code, err) == (0, "")
    assert list(rows)[-1] == KEY
    assert len(rows) > 10
    assert rows[KEY]["place"] == "bench/fused.py"
    assert len(rows[KEY]["captures"]) == 1
    assert rows[KEY]["title"] == "Four streams instead of one"
    assert rows["ch11.streams"]["place"] == ""


def test_one_broken_module_is_named_and_spoils_nothing_else(repo: Path, run: Run) -> None:
    repository(repo, bench__broken=f"x = 1\n{BROKEN}", bench__ends="import os\nos._exit(7)\n", bench__zlast=PAIR)
    code, out, err = run("list")
    assert code == 0
    assert f"\n{KEY} " in out
    assert "\nzlast.four_streams " in out
    assert (
        "bench/broken.py is left out: ModuleNotFoundError: No module named 'nothing_there' (bench/broken.py:2)" in err
    )
    assert "bench/ends.py is left out: importing it ended the process with exit code 7" in err


@pytest.mark.parametrize("form", FORMS)
def test_report_takes_every_name_of_it(repo: Path, run: Run, form: str) -> None:
    captured(repo)
    code, out, err = run("report", form, "--format", "html")
    assert code == 0, err
    assert "PROVEN" in out
    page = "fused" if form == "fused" else "fused-four_streams"
    assert [path.name for path in repo.glob("*.html")] == [f"{page}.html"]
    assert "Four streams instead of one" in (repo / f"{page}.html").read_text("utf-8")


def test_a_korean_page_has_the_english_words_of_a_pair_that_has_no_others(repo: Path, run: Run) -> None:
    captured(repo)
    code, _, err = run("report", "fused", "--lang", "ko", "--format", "html")
    assert code == 0, err
    page = (repo / "fused.html").read_text("utf-8")
    assert "Four streams instead of one" in page
    assert "기대치와의 비교" in page
    assert "expect update fused:four_streams" in page


def test_from_another_folder_of_the_project(repo: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    captured(repo)
    monkeypatch.chdir(repo / "bench")
    assert run("report", "fused", "--captures", "../aisp-captures", "--format", "html")[0] == 0
    assert run("report", "fused.py", "--captures", "../aisp-captures", "--format", "html")[0] == 0


@pytest.mark.parametrize("form", ["fused", "fused:four_streams"])
def test_captures_are_judged_where_the_module_cannot_be_imported(repo: Path, run: Run, form: str) -> None:
    """A build without PyTorch judges what a machine with a GPU captured."""
    captured(repo)
    (repo / "bench" / "fused.py").write_text(BROKEN)
    code, out, err = run("report", form, "--format", "html")
    assert code == 0, err
    assert "PROVEN" in out


def test_compare_history_and_roofline(repo: Path, run: Run) -> None:
    first, second = captured(repo), captured(repo, "2026-11-20T21:23:20Z")
    code, out, err = run("compare", "bench/fused.py", "--captures", "aisp-captures")
    assert code == 0, err
    assert "four_streams" in out
    code, out, err = run("history", "fused:four_streams", "--json")
    assert code == 0, err
    (row,) = json.loads(out)["rows"]
    assert [one["capture"] for one in row["captures"]] == [first, second]
    code, out, err = run("roofline", second)
    assert "Traceback" not in err
    assert code == 0, err


def test_without_a_capture_each_command_says_how_to_make_one(repo: Path, run: Run) -> None:
    code, _, err = run("report", "fused")
    assert code == 4
    assert "aisp-prof capture fused:four_streams" in err


def test_a_claim_that_cannot_be_read_is_found_before_a_gpu_is_asked_for(
    repo: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / "bench" / "fused.py").write_text(PAIR.replace("speedup >= 1.5", "sped up >= 1.5"))
    monkeypatch.setenv("AISP_NSYS", str(repo / "nothing"))
    for command in (["capture", "bench/fused.py"], ["check", "fused"], ["bench", "run", "--targets", "fused"]):
        code, out, err = run(*command)
        assert code == 2, command
        assert "'sped up >= 1.5'" in out + err
        assert "nsys" not in out + err
    code, out, err = run("list")
    assert (code, KEY in out) == (0, False)
    assert f"{KEY} is left out: claim 'sped up >= 1.5'" in err


def test_capture_says_what_the_machine_lacks(repo: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_NSYS", str(repo / "nothing"))
    code, _, err = run("capture", "bench/fused.py")
    assert code == 3
    assert "nsys" in err
    assert not list(repo.glob("aisp-captures/fused*"))


def test_two_pairs_of_one_name_are_both_named_and_neither_is_meant(repo: Path, run: Run) -> None:
    repository(repo, bench__other=PAIR.replace("@aisp_prof.pair(", '@aisp_prof.pair(group="fused", '))
    code, out, err = run("list")
    assert (code, KEY in out) == (0, False)
    told = (
        "several pairs are called fused.four_streams: FourStreams of bench/fused.py and FourStreams of bench/other.py"
    )
    assert told in err
    code, _, err = run("capture", "fused:four_streams")
    assert code == 2
    assert told in err
    assert '→ @aisp_prof.pair(name="another")' in err


def test_two_classes_of_one_file_may_not_be_called_alike_either(repo: Path, run: Run) -> None:
    twice = PAIR + PAIR.split("\n\n\n")[1].replace("class FourStreams", "class Other").replace(
        "pair(", 'pair(name="four_streams", '
    )
    (repo / "bench" / "fused.py").write_text(twice)
    code, out, err = run("check", "bench/fused.py")
    assert code == 2
    assert "FourStreams of bench/fused.py and Other of bench/fused.py" in out + err


def test_a_pair_that_is_called_as_a_chapters_is_refused(repo: Path, run: Run) -> None:
    named = PAIR.replace("@aisp_prof.pair(", '@aisp_prof.pair(group="ch11", name="streams", ')
    repository(repo, bench__clash=named)
    code, out, err = run("list")
    assert code == 0
    assert out.count("ch11.streams ") == 1
    assert "bench/clash.py is left out: ch11.streams: chapters are aisp-prof's own" in err
    assert run("report", "ch11:streams", "--format", "html")[0] == 0
    assert "Four streams" not in (repo / "ch11-streams.html").read_text("utf-8")
    assert run("capture", "bench/clash.py")[0] == 2


def test_an_unknown_name_says_what_comes_nearest_and_what_is_broken(repo: Path, run: Run) -> None:
    repository(repo, bench__broken=BROKEN)
    code, _, err = run("report", "fused:four_stream")
    assert code == 2
    assert "bench/broken.py is broken" in err
    assert "did you mean fused.four_streams" in err


# --- expectations -------------------------------------------------------------------------------------------------------------


def test_expectations_lie_in_the_users_repository(repo: Path, run: Run) -> None:
    captured(repo)
    assert run("report", "fused", "--format", "html")[0] == 0
    command = "aisp-prof expect update fused:four_streams --reason &#34;…&#34; --write"
    assert f"Nothing is expected of this pair on h200 yet → {command}" in (repo / "fused.html").read_text("utf-8")
    assert run("expect", "check", "fused")[0] == 5
    code, _, err = run("expect", "update", "fused:four_streams", "--reason", "the first", "--write")
    assert code == 0, err
    assert [path.relative_to(repo).as_posix() for path in repo.rglob("expectations/*/*.json")] == [
        "expectations/h200/fused.json"
    ]
    code, out, _ = run("expect", "check", "fused")
    assert (code, "MET" in out) == (0, True)
    run("report", "fused", "--format", "html")
    assert "Of what this pair must show on h200" in (repo / "fused.html").read_text("utf-8")


def test_a_regression_of_ones_own_pair_fails_the_check(repo: Path, run: Run) -> None:
    captured(repo)
    assert run("expect", "update", "fused", "--reason", "the first", "--write")[0] == 0
    captured(repo, "2026-11-20T21:23:20Z", optimized=serial)
    code, out, _ = run("expect", "check", "fused")
    assert code == 1
    assert "REFUTED" in out or "REGRESSED" in out


@pytest.mark.parametrize("way", ["option", "variable", "pyproject"])
def test_another_folder_of_expectations(repo: Path, run: Run, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    captured(repo)
    if way == "pyproject":
        (repo / "pyproject.toml").write_text('[tool.aisp-prof]\npairs = ["bench/*.py"]\nexpectations = "perf/kept"\n')
    elif way == "variable":
        monkeypatch.setenv("AISP_EXPECTATIONS", str(repo / "perf" / "kept"))
    more = ["--expectations", "perf/kept"] if way == "option" else []
    assert run("expect", "update", "fused", "--reason", "the first", "--write", *more)[0] == 0
    assert [path.relative_to(repo).as_posix() for path in repo.rglob("*/h200/*.json")] == ["perf/kept/h200/fused.json"]
    assert run("expect", "check", "fused", *more)[0] == 0
    assert run("report", "fused", "--format", "html", *more)[0] == 0
    assert "Of what this pair must show on h200" in (repo / "fused.html").read_text("utf-8")
    code, out, _ = run("compare", "fused", "--captures", "aisp-captures", "--json", *more)
    assert code == 0
    assert json.loads(out)["rows"][0]["claims"][0]["expected"] > 1.5
    if way == "pyproject":
        monkeypatch.chdir(repo / "bench")
        assert run("expect", "check", "fused", "--captures", "../aisp-captures")[0] == 0


def test_what_came_with_an_installed_package_is_never_written(
    repo: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`expect update ch11 --write` of an installed aisp-prof wrote into site-packages."""
    installed = tmp_path / "site-packages" / "aisp_prof" / "expectations"
    installed.mkdir(parents=True)
    monkeypatch.setattr(expectations, "_of_package", lambda: installed)
    asked = ["expect", "update", "ch11:streams", "--reason", "mine"]
    assert run(*asked)[0] == 0
    code, _, err = run(*asked, "--write")
    assert code == 2
    assert "expectations of your own belong into your repository" in err
    assert "--expectations expectations" in err
    assert list(installed.iterdir()) == []
    assert run(*asked, "--write", "--expectations", "expectations")[0] == 0
    assert (repo / "expectations" / "h200" / "ch11.json").is_file()


# --- bundles ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(repo: Path, run: Run) -> Path:
    captured(repo)
    code, _, err = run("report", "bench/fused.py", "--format", "html", "--bundle", "proof.zip")
    assert code == 0, err
    return repo / "proof.zip"


def test_verify_says_that_the_code_is_the_same(repo: Path, run: Run, bundle: Path) -> None:
    code, out, err = run("verify", bundle)
    assert code == 0, out + err
    assert "✓ sources      1 files that its pairs are made of are here as they were" in out
    assert "✓ declared     1 pairs claim and expect no less" in out


def test_verify_says_that_the_code_is_another(repo: Path, run: Run, bundle: Path) -> None:
    (repo / "bench" / "fused.py").write_text(f"{PAIR}\n# faster since\n")
    code, out, _ = run("verify", bundle)
    assert code == 4
    assert "? sources      made of other code than lies here" in out
    assert "sources: bench/fused.py" in out


def test_a_stranger_without_the_code_verifies_the_numbers(
    repo: Path, run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (repo / "pyproject.toml").unlink()
    code, out, err = run("verify", bundle)
    assert code == 0, out + err
    assert "– sources      none of the 1 files that its pairs are made of lies here" in out
    assert "– declared     no pair that this code knows" in out


def test_claims_of_the_bundle_are_held_against_those_of_the_pair_here(repo: Path, run: Run) -> None:
    captured(repo, claims=("speedup >= 0.5",))
    assert run("report", "fused", "--format", "html", "--bundle", "weak.zip")[0] == 0
    code, out, _ = run("verify", "weak.zip")
    assert code == 4
    assert "claims 'speedup >= 0.5', where this code claims 'speedup >= 1.5'" in out


def test_a_chapters_bundle_imports_nothing_of_the_users(repo: Path, run: Run) -> None:
    repository(repo, bench__ends=f"open({str(repo / 'imported')!r}, 'w')\n")
    assert run("report", "ch20:pipeline_sequential", "--format", "html", "--bundle", "b.zip")[0] == 0
    code, out, err = run("verify", "b.zip")
    assert code == 0, err
    assert "sources" not in out
    assert not (repo / "imported").exists()


# --- new and check ------------------------------------------------------------------------------------------------------------


def test_the_template_runs_as_it_is(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("new", "pair", "bench/fused.py")
    assert code == 0
    assert "aisp-prof capture bench/fused.py" in out
    code, out, err = run("check", "bench/fused.py", "--device", "cpu")
    assert code == 0, out + err
    assert "✓ fused.layer_norm  2 claims can be read" in out
    assert "outputs: valid" in out
    assert "permuted rejected" in out


def test_the_class_that_the_docs_show_runs(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = (Path(__file__).parents[2] / "docs" / "pairs.md").read_text("utf-8").split("```python\n")[1:]
    (shown,) = (block.partition("```")[0] for block in blocks if "class FusedNorm" in block)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fused.py").write_text(shown.replace("4096", "256"), "utf-8")
    code, out, err = run("check", "fused.py:FusedNorm", "--device", "cpu")
    assert code == 0, out + err
    assert "outputs: valid" in out


def test_check_finds_a_wrong_output(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("new", "pair", "fused.py")
    text = Path("fused.py").read_text("utf-8")
    Path("fused.py").write_text(text.replace("eps=1e-5)", "eps=0.5)"), "utf-8")
    code, out, _ = run("check", "fused.py", "--device", "cpu")
    assert code == 1
    assert "NOT VALID" in out
    Path("fused.py").write_text(text.replace("return torch.nn", "return 1 / 0, torch.nn"), "utf-8")
    code, out, _ = run("check", "fused.py", "--device", "cpu")
    assert code == 2
    assert "ZeroDivisionError" in out


@pytest.mark.parametrize("name", ["bench/fused.txt", "bench/my-bench.py", "bench/ch11.py", "bench"])
def test_a_template_needs_a_name_that_pairs_can_bear(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new", "pair", name)[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_template_overwrites_nothing(repo: Path, run: Run) -> None:
    code, _, err = run("new", "pair", "bench/fused.py")
    assert code == 2
    assert "is there already" in err
    assert (repo / "bench" / "fused.py").read_text() == PAIR


def test_check_without_a_name_is_of_all_ones_own(repo: Path, run: Run) -> None:
    code, out, _ = run("check", "--json")
    data = json.loads(out)
    assert (code, [row["pair"] for row in data["rows"]], data["broken"]) == (0, [KEY], [])
    repository(repo, bench__broken=BROKEN)
    code, out, _ = run("check")
    assert code == 2
    assert "✗ bench/broken.py  ModuleNotFoundError" in out


def test_without_any_pair_check_says_how_to_begin(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("check")
    assert (code, "aisp-prof new pair" in out) == (0, True)
