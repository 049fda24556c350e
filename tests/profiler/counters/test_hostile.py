"""A raw page of ncu is somebody else's file: cells that are no number, too long or too large are refused by their place."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.counters import raw_csv
from aisp_prof.profiler.counters.raw_csv import read_raw_csv

FIXTURE = Path(__file__).with_name("h200-gemms.csv")


def changed(tmp_path: Path, column: str, value: str) -> Path:
    """The fixture with another value in its first launch."""
    rows = list(csv.reader(FIXTURE.read_text("utf-8").splitlines(keepends=True)))
    rows[2][rows[0].index(column)] = value
    path = tmp_path / "c.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return path


COUNT = "dram__bytes_read.sum"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("ID", "²", "ID is no number"),
        ("ID", "9" * 6_000, "ID is no number"),
        ("Device", "٣", "Device is no number"),
        ("Grid Size", f"({'9' * 6_000}, 1, 1)", "not like"),
        ("Grid Size", "(٣, 1, 1)", "not like"),
        ("Kernel Name", "x" * 200_000, "field larger than"),
        (COUNT, "1e999", "no measured number"),
        (COUNT, "9" * 400, "no measured number"),
        (COUNT, f"-{'9' * 30}", "no measured number"),
    ],
    ids=lambda value: value[:12],
)
def test_cells_that_are_a_trick(tmp_path: Path, column: str, value: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_raw_csv(changed(tmp_path, column, value))


def test_the_fixture_itself_is_read(tmp_path: Path) -> None:
    assert read_raw_csv(changed(tmp_path, COUNT, "1e17"))[0].metrics[COUNT] > 1e16


@pytest.mark.timeout(20)
def test_a_pipe_and_a_flood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="no regular file"):
        read_raw_csv(tmp_path / "pipe.csv")
    monkeypatch.setattr(raw_csv, "MOST_BYTES", 1000)
    with pytest.raises(UsageError, match="more than 1,000 bytes"):
        read_raw_csv(FIXTURE)
