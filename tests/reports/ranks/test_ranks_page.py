"""The page of many ranks: what it says in both languages, its picture against plain loops, and thousands of ranks on it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.ranks.grid import COLLECTIVES, STEPS, grid
from aisp_prof.profiler.ranks.question import Question
from aisp_prof.profiler.ranks.rank_files import RankFiles
from aisp_prof.profiler.ranks.record import Failure, packed
from aisp_prof.profiler.ranks.run import Run
from aisp_prof.profiler.ranks.summary import summary
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.pdf import print_html
from aisp_prof.reports.ranks.document import check_page, render_ranks, write_page
from aisp_prof.reports.ranks.picture import ROWS, picture
from msgspec.structs import replace
from pypdf import PdfReader
from ranks_made import made, records

TRACES = Path(__file__).parents[2] / "traces" / "ranks"
SLOW = str(TRACES / "slow-rank*.sqlite.xz")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))


def run(ranks: int, count: int, slow: int | None = None, failures: int = 0) -> Run:
    found = records(made(3, ranks, count, slow=slow))
    lost = [Failure(f"cut{i}.sqlite", "TraceError", "<b>cut</b>", "copy it again", 2) for i in range(failures)]
    return Run(tuple(map(str, range(ranks + failures))), (*((one,) for one in found), *lost))


def slow() -> Run:
    return RankFiles.named(SLOW, Question(steps="step", attribution="process")).run


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "Rank 1 held the others up, by 22.01 ms at least."), ("ko", "22.01 ms 지연")]
)
def test_the_page_names_the_slow_rank(lang: str, said: str) -> None:
    html = render_ranks(slow(), [SLOW], lang)
    assert said in re.sub("\u00a0", " ", re.sub("<[^>]+>", "", html))
    assert f'<html lang="{lang}">' in html
    assert "default-src &#39;none&#39;" in html
    assert "http" not in re.sub(r"data:font[^)]*", "", html).replace("http-equiv", "")


def test_what_was_left_out_is_told_and_harmless() -> None:
    html = render_ranks(run(3, 20, failures=1), ["x' onload='alert(1)"], "en")
    assert "cut0.sqlite gave no record" in html
    assert "<b>cut" not in html
    assert "Not every rank can be judged" in html
    assert "onload='" not in html


def test_a_thousand_ranks_stay_small_and_the_one_that_differs_is_seen() -> None:
    of = run(1024, 60, slow=700)
    assert (summary(of).latest, summary(of).latest_proven) == ("rank 700", False)
    html = render_ranks(of, ["traces"], "en")
    assert len(html) < 400_000
    assert "Rank 700 likely held the others up" in html
    cells = grid(of.joined, ROWS, 60)
    assert len(cells.rank) == ROWS
    assert 700 in cells.rank.tolist()
    assert "8 ranks" in html


def test_cells_are_sums_over_collectives_one_by_one() -> None:
    of = run(5, 40)
    joined = of.joined
    cells = grid(joined, 5, 10)
    assert (cells.of, cells.columns, cells.rank.tolist()) == (COLLECTIVES, 40, [0, 1, 2, 3, 4])
    waited = np.zeros((5, 10), np.int64)
    late = np.zeros((5, 10), np.int64)
    (block,) = joined.blocks
    for k in range(40):
        lasted = [int(block.end[r, k] - block.start[r, k]) for r in range(5)]
        for r in range(5):
            waited[r, k * 10 // 40] += lasted[r] - min(lasted)
        if joined.collectives.proven[k]:
            late[int(joined.collectives.last[k]), k * 10 // 40] += int(joined.collectives.late[k])
    assert np.array_equal(cells.waited, waited)
    assert np.array_equal(cells.late, late)
    assert cells.late.sum(axis=1).tolist() == joined.late_low.tolist()


def test_cells_of_steps_hold_what_began_in_them() -> None:
    of = run(3, 40)
    starts = [np.asarray(np.frombuffer(one.communication.start, np.int64)) for one in of.ranks]
    steps = [np.stack([s[::4] - 1, *[s[::4]] * 7], axis=1) for s in starts]
    mapped = tuple((replace(one, steps=packed(table)),) for one, table in zip(of.ranks, steps, strict=True))
    cells = grid(Run(of.files, mapped).joined, 3, 100)
    assert (cells.of, cells.columns, cells.waited.shape) == (STEPS, 10, (3, 10))
    (block,) = of.joined.blocks
    lasted = block.end - block.start
    assert np.array_equal(cells.waited, (lasted - lasted.min(axis=0)).reshape(3, 10, 4).sum(axis=2))


def test_the_real_picture_is_of_ten_steps() -> None:
    of = slow()
    cells = grid(of.joined, 2, 168)
    assert (cells.of, cells.columns) == (STEPS, 10)
    assert (cells.late[1, 2:] > 1_000_000).all()  # slowed from the third step on
    assert (cells.late[0, 2:] < 1_000_000).all()
    drawn = picture(of, catalog("en"))
    assert drawn is not None
    assert [label.text for label in drawn.labels] == ["rank 0", "rank 1"]
    assert {shade.colour for shade in drawn.shades} == {"kernel", "fails"}


def test_nobody_to_draw() -> None:
    assert picture(Run((), ()), catalog("en")) is None
    assert "Of no rank it can be told" in render_ranks(Run((), ()), ["x"], "en")


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_on_paper(lang: str) -> None:
    reader = PdfReader(io.BytesIO(print_html(render_ranks(slow(), [SLOW], lang)).data))
    text = re.sub(r"\s+", " ", reader.pages[0].extract_text())
    assert "22.01 ms" in text
    assert len(reader.pages) == 1


def test_a_page_is_written_as_its_name_says(tmp_path: Path) -> None:
    html = render_ranks(run(2, 10), ["x"], "en")
    write_page(html, tmp_path / "a.html")
    write_page(html, tmp_path / "a.pdf")
    assert (tmp_path / "a.html").read_text() == html
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    for path, lang in ((tmp_path / "a.svg", "en"), (tmp_path / "a.html", "fr")):
        with pytest.raises(UsageError):
            check_page(path, lang)
