"""People are told things in their language; programs are told the same in all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aisp_prof.cli import app
from aisp_prof.cli.language import chosen, spoken
from aisp_prof.cli.translated import change_each, korean
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.reports.bundle.console import verification_lines
from aisp_prof.reports.bundle.verification import Verification
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.terminal.colour import coloured
from typer.main import get_command
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
TYPERS = {"Arguments", "Options", "Commands", "Show this message and exit."}
KOREAN, ENGLISH = {"LC_ALL": "ko_KR.UTF-8"}, {"LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LANG": "kok_IN"}, "en"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": ""}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "AISP_LANG": "en"}, "en"),
    ],
)
def test_the_language_is_the_localizations(environment: dict[str, str], language: str) -> None:
    assert spoken(environment) == language


def test_an_option_before_the_command_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_LANG", "en")
    for words in (["--lang", "ko", "list", "-h"], ["--lang=ko", "list", "-h"]):
        assert chosen(words) == ["list", "-h"]
        assert os.environ["AISP_LANG"] == "ko"
    for words in ([], ["--lang"], ["list", "--lang", "ko"]):
        assert chosen(words) == words


def test_every_sentence_of_the_help_has_its_korean_and_none_is_left_over() -> None:
    said = set(TYPERS)

    def note(text: str) -> str:
        said.add(text)
        return text

    change_each(get_command(app), note)
    assert said - set(korean()) == set()
    assert set(korean()) - said == set()
    options = re.compile(r"--[a-z-]+|\$[A-Z_]+|docs/[a-z-]+\.md")
    assert {
        text: told for text, told in korean().items() if sorted(options.findall(text)) != sorted(options.findall(told))
    } == {}


@pytest.mark.parametrize("words", [["--lang", "ko", "-h"], ["report", "ch11", "-h"]])
def test_help_is_in_korean_and_no_syllable_is_cut(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aisp_prof", *words],
        env={**os.environ, **(ENGLISH if "--lang" in words else KOREAN), "PYTHONPATH": str(ROOT / ".pythonpath")},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if "CHAPTER" not in line]
    assert "판정" in done.stdout
    assert "예: aisp-prof report ch11" in done.stdout if "report" in words else "4 증명 안 됨" in done.stdout
    assert [line for line in lines if "…" in line] == []


def test_the_console_is_in_korean_and_what_programs_read_is_not(tmp_path: Path) -> None:
    trace = next(str(one.trace_path) for one in shipped_store().captures("ch11.streams"))
    asked = ["assert", trace, "hidden(h2d, d2h) >= 100%", "--range", "ch11.streams.optimized.measure"]
    made = []
    for language in (KOREAN, ENGLISH):
        runner = CliRunner(env=language)
        files = [str(tmp_path / f"{language['LC_ALL']}.{kind}") for kind in ("xml", "sarif", "md")]
        told = runner.invoke(app, [*asked, "--junit", files[0], "--sarif", files[1], "--summary", files[2]])
        assert told.exit_code == 1
        listed = runner.invoke(app, ["list", "ch20"])
        read = [runner.invoke(app, [*words, "--json"]).output for words in (asked, ["list", "ch20"])]
        made.append(
            (
                told.output,
                listed.output,
                [*read, *(re.sub(r'time="[^"]*"', "", Path(file).read_text("utf-8")) for file in files)],
            )
        )
    (in_korean, korean_list, one), (in_english, english_list, other) = made
    assert one == other
    assert "가장 나쁜 반복은" in in_korean
    assert in_korean.startswith("반증됨  판정한 인스턴스:")
    assert in_english.startswith("REFUTED  instances judged:")
    assert korean_list.split()[:2] == ["쌍", "필요"]
    assert "MLP 블록 하나, 일곱 단계" in korean_list
    assert "One MLP block, seven steps" in english_list


def test_a_language_that_nothing_is_said_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_LANG", "")
    done = CliRunner().invoke(app, ["--lang", "fr", "list"])
    assert done.exit_code != 0
    assert "no page in language 'fr'" in str(done.exception)


def test_a_bundles_verdict_is_in_korean() -> None:
    empty = Verification("b.zip", (), (), ("ch11.streams",))
    assert list(verification_lines(empty, "ko")) == [
        "b.zip  검증됨  다시 계산할 수 있는 주장이 없습니다",
        "ch11.streams  ? 증명 안 됨  번들에 캡처가 없습니다",
    ]
    assert next(verification_lines(empty)) == "b.zip  VERIFIED  no claim could be recomputed"


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_verdict_has_its_colour_in_each_language(verdict: Verdict, lang: str) -> None:
    word = catalog(lang)(f"verdict.{verdict}").upper()
    assert f"m{word}\x1b[0m" in coloured(f"ch11.streams  {word}  2.20×")
