"""One report of an H200, printed by ncu 2025.3.1 in five locales and both scales, reads as in locale C; what is unclear is refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.counters.kernel_counters import KernelCounters
from aisp_prof.profiler.counters.quantities import AmbiguousError, decimal_mark, number, uncertainty
from aisp_prof.profiler.counters.raw_csv import read_raw_csv, write_raw_csv
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(__file__).parent
LOCALES = HERE / "locales"
SPACE = "\u202f"
STYLES = {
    # group, how many digits a group has before the last three, decimal mark
    "en_US": (",", 3, "."),
    "de_DE": (".", 3, ","),
    "fr_FR": (SPACE, 3, ","),
    "de_CH": ("'", 3, "."),
    "en_IN": (",", 2, "."),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in LOCALES.glob("??_??*.csv")))
def test_every_locale_reads_as_c(name: str) -> None:
    reference = "h200-set-roofline-scaled.csv" if name.endswith("-scaled") else "h200-set-roofline.csv"
    found, expected = read_raw_csv(LOCALES / f"{name}.csv"), read_raw_csv(HERE / reference)
    assert [one.metrics for one in found] == [one.metrics for one in expected]
    assert [one.derived for one in found] == [one.derived for one in expected]
    assert len(expected) == 8


def test_ncu_2024_in_german() -> None:
    """A scaled unit's number has a "." and six decimals, every other one the locale's marks, in one file."""
    (reference,) = read_raw_csv(LOCALES / "ncu-C-base.csv")
    (scaled,) = read_raw_csv(LOCALES / "ncu-de_DE-auto.csv")
    (whole,) = read_raw_csv(LOCALES / "ncu-de_DE-base-whole-numbers-only.csv")
    assert scaled.metrics == reference.metrics
    assert reference.metrics["gpu__time_duration.sum"] == 628_032
    assert whole.metrics == {name: reference.metrics[name] for name in whole.metrics}
    assert len(whole.metrics) == 3


def test_one_mark_before_three_digits_is_refused_where_no_number_tells(tmp_path: Path) -> None:
    lines = (LOCALES / "ncu-de_DE-base-whole-numbers-only.csv").read_text().replace("4.196.352", "512")
    path = tmp_path / "unclear.csv"
    path.write_text(lines)
    with pytest.raises(UsageError, match=r"row 3: 'dram__bytes_write.sum' is '35.456'") as error:
        read_raw_csv(path)
    assert error.value.mend.startswith("LC_ALL=C ncu --import")


def test_numbers_that_contradict_each_other_decide_nothing() -> None:
    assert decimal_mark(["12,19", "0.04"]) == ""
    with pytest.raises(AmbiguousError):
        number("628.032", decimal_mark(["12,19", "0.04"]))


@pytest.mark.parametrize("text", ["4.196352", "628.032000", "16'896", "1 980 000", "512", "n/a", "1.2.3", "1.5e+06"])
def test_what_says_nothing_of_the_locale(text: str) -> None:
    assert decimal_mark([text]) == ""


def printed(value: int, decimals: str, style: str) -> str:
    """A number as a C++ stream of that locale prints it: written here, and not by the code under test."""
    group, size, mark = STYLES[style]
    digits = str(value)
    parts = [digits[-3:]]
    digits = digits[:-3]
    while digits:
        parts.insert(0, digits[-size:])
        digits = digits[:-size]
    return group.join(parts) + (f"{mark}{decimals}" if decimals else "")


@given(
    st.sampled_from(sorted(STYLES)),
    st.lists(st.tuples(st.integers(0, 10**15), st.sampled_from(["", "04", "50", "99"])), min_size=1, max_size=8),
    st.lists(st.decimals("0", "999", places=6, allow_nan=False), max_size=3),
)
def test_any_page_of_any_locale_is_read_or_refused_and_never_wrong(style, numbers, scaled) -> None:
    cells = [printed(value, decimals, style) for value, decimals in numbers]
    truth = [float(f"{value}.{decimals}") if decimals else value for value, decimals in numbers]
    cells += [f"{value:.6f}" for value in scaled]
    truth += [float(value) for value in scaled]
    mark = decimal_mark(cells)
    assert mark in ("", STYLES[style][2])
    for cell, value in zip(cells, truth, strict=True):
        try:
            assert number(cell, mark) == value
        except AmbiguousError:
            assert not mark


def test_half_of_the_last_decimal_is_unsure() -> None:
    assert [uncertainty(text) for text in ("12", "12,345,678", "0.04", "4.196352", "1.5e+06", "n/a")] == [
        *(0, 0, 0.005, 5e-7, 5e4, 0)
    ]


def test_a_page_that_was_written_here_is_clear(tmp_path: Path) -> None:
    """Three decimals alone would be read as thousands, or not at all."""
    metrics = {"gpu__time_duration.sum": 12.345, "dram__bytes.sum": 7, "lts__t_bytes.sum": -1.125}
    launch = KernelCounters(0, "k", (1, 1, 1), (32, 1, 1), 0, "9.0", metrics, ())
    write_raw_csv([launch], metrics, tmp_path / "x.csv")
    assert read_raw_csv(tmp_path / "x.csv")[0].metrics == metrics


def test_a_locale_that_is_no_utf8(tmp_path: Path) -> None:
    text = re.sub(r"(?<=\d) (?=\d{3})", "\xa0", (LOCALES / "fr_FR.csv").read_text("utf-8"))
    assert "137\xa0438\xa0953\xa0472" in text
    path = tmp_path / "latin.csv"
    path.write_bytes(text.encode("latin-1"))
    assert [one.metrics for one in read_raw_csv(path)] == [
        one.metrics for one in read_raw_csv(HERE / "h200-set-roofline.csv")
    ]


def test_a_page_of_ncu_2022_has_grid_and_block_in_metrics() -> None:
    (launch,) = read_raw_csv(LOCALES / "ncu-2022.3-raw-page.csv")
    assert (launch.grid, launch.block, launch.device, launch.compute_capability) == ((12_288, 1, 1), (256, 1, 1), 0, "")
    assert launch.metrics["dram__bytes_read.sum"] == 25_170_048
    assert launch.metrics["gpu__time_duration.sum"] == 239_008


def old_page(path: Path, **cells: str) -> Path:
    columns = {"ID": "0", "Kernel Name": "k(int)", **cells}
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([[*columns], [""] * len(columns), [*columns.values()]])
    return path


GRID = {"launch__grid_dim_x": "4", "launch__grid_dim_y": "3", "launch__grid_dim_z": "2", "launch__block_dim_x": "64"}


def test_all_three_axes_and_the_device_of_an_old_page(tmp_path: Path) -> None:
    more = {"launch__grid_size": "24", "launch__device_id": "1"}
    chip = {"device__attribute_compute_capability_major": "8", "device__attribute_compute_capability_minor": "0"}
    (launch,) = read_raw_csv(old_page(tmp_path / "x.csv", **GRID, **more, **chip))
    assert (launch.grid, launch.block, launch.device, launch.compute_capability) == ((4, 3, 2), (64, 1, 1), 1, "8.0")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({**GRID, "launch__grid_size": "99"}, "Grid Size is not like"),  # an axis is lacking, or wrong
        ({**GRID, "launch__block_dim_x": "n/a"}, "Block Size is not like"),
        ({"launch__grid_dim_x": "4"}, "no column Block Size"),
        ({**GRID, "Grid Size": "4 blocks"}, "Grid Size is not like"),
    ],
)
def test_a_grid_that_is_not_told_is_not_invented(tmp_path: Path, cells: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        read_raw_csv(old_page(tmp_path / "x.csv", **cells))
    assert "--rename-kernels" not in error.value.mend  # ncu before 2025 refuses it
