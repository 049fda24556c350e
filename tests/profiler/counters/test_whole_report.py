"""A report of three kernels, cut at every length: ncu_report reads its beginning without a word, and this refuses it."""

from __future__ import annotations

import importlib
import lzma
import warnings
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.counters.report import read_report
from aisp_prof.profiler.counters.whole_report import refuse_cut_report

WHOLE = lzma.decompress(Path(__file__).with_name("three-kernels.ncu-rep.xz").read_bytes())
BETWEEN = [140, 7175, 30577, 39047, 39113, 39177, 39292, 39338, 39521, 39734, 39822, 53582, 53669]
"""Where one block ends and the next begins: cut there, it is a whole report of fewer kernels."""


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        refuse_cut_report(path)
    return str(error.value)


def test_the_whole_report_states_its_results(tmp_path: Path) -> None:
    (tmp_path / "x.ncu-rep").write_bytes(WHOLE)
    assert refuse_cut_report(tmp_path / "x.ncu-rep") == 3


def test_every_cut_is_found(tmp_path: Path) -> None:
    """All lengths near the ends of blocks and of headers, and every 97th of the others."""
    near = {end + step for end in [4, 12, *BETWEEN, len(WHOLE)] for step in range(-9, 10)}
    lengths = sorted({*near, *range(4, len(WHOLE), 97)} - {*BETWEEN, len(WHOLE)})
    tried = [length for length in lengths if 4 <= length < len(WHOLE)]
    assert len(tried) > 900
    for length in tried:
        assert "cut or damaged" in refused(tmp_path / "x.ncu-rep", WHOLE[:length]), length


@pytest.mark.parametrize("more", [b"\0", b"\0\0\0", b"\x05\0\0\0abc", b"\xff\xff\xff\xff"])
def test_what_is_too_much_is_found(tmp_path: Path, more: bytes) -> None:
    assert "cut or damaged" in refused(tmp_path / "x.ncu-rep", WHOLE + more)


@pytest.mark.parametrize("at", [4, 8, 11, 14, 15, 130, 136, 141, 145, 7176, 30580])
def test_damaged_lengths_end_in_a_refusal_or_in_another_count(tmp_path: Path, at: int) -> None:
    """Whatever is flipped in a length or a header: no crash, no endless loop."""
    for value in (0, 0x7F, 0x80, 0xFF):
        content = bytearray(WHOLE)
        content[at] = value
        (tmp_path / "x.ncu-rep").write_bytes(content)
        said = ""
        try:
            assert refuse_cut_report(tmp_path / "x.ncu-rep") >= 0
        except UsageError as error:
            said = str(error)
        assert not said or "cut or damaged" in said


def package() -> None:
    """ncu_report, which is optional."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("ncu_report")


def test_kernels_of_the_report_itself(tmp_path: Path) -> None:
    package()
    (tmp_path / "x.ncu-rep").write_bytes(WHOLE)
    assert [(one.name, one.grid, one.block) for one in read_report(tmp_path / "x.ncu-rep")] == [
        ("first(float *)", (1, 1, 1), (32, 1, 1)),
        ("second(float *)", (2, 1, 1), (64, 1, 1)),
        ("third(float *)", (3, 1, 1), (96, 1, 1)),
    ]


@pytest.mark.parametrize("length", [30_000, 39_150, 45_000, 53_728, 67_000])
def test_no_kernel_without_a_name(tmp_path: Path, length: int) -> None:
    package()
    (tmp_path / "x.ncu-rep").write_bytes(WHOLE[:length])
    with pytest.raises(UsageError, match="cut or damaged"):
        read_report(tmp_path / "x.ncu-rep")


def test_a_package_that_finds_fewer_than_are_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package()
    (tmp_path / "x.ncu-rep").write_bytes(WHOLE)
    monkeypatch.setattr(importlib.import_module("ncu_report"), "load_report", lambda path: [[]])
    with pytest.raises(UsageError, match="states 3 results, and ncu_report finds 0"):
        read_report(tmp_path / "x.ncu-rep")
