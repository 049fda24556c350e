"""Which engine does the work, and what is said where it cannot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.profiler.core import library


def test_the_variable_chooses_numpy(monkeypatch):
    monkeypatch.setenv("AISP_ENGINE", "numpy")
    assert library.core() is None


def test_an_engine_that_there_is_not_is_refused(monkeypatch):
    monkeypatch.setenv("AISP_ENGINE", "rust")
    with pytest.raises(UsageError, match="no engine is called so"):
        library.core()


def test_the_core_is_asked_for_and_was_not_built(tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_ENGINE", "core")
    monkeypatch.setattr(library, "FILE", tmp_path / "nowhere.so")
    with pytest.raises(EnvironmentLacks, match="AISP_ENGINE is core") as error:
        library.core()
    assert "building.py" in str(error.value.mend)
    monkeypatch.setenv("AISP_ENGINE", "auto")
    assert library.core() is None


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler: no library can be made to be refused")
@pytest.mark.parametrize("functions", [[], [*library._FUNCTIONS]])
def test_a_library_of_other_sources_is_not_used(tmp_path: Path, functions: list[str]):
    (tmp_path / "other.c").write_text(
        "\n".join(f'const char *{name}(void) {{ return "of others"; }}' for name in functions)
    )
    subprocess.run(["cc", "-shared", "-fPIC", "other.c", "-o", "other.so"], cwd=tmp_path, check=True)
    assert library._loaded(tmp_path / "other.so") is None


def test_a_file_that_is_no_library_is_not_used(tmp_path: Path):
    (tmp_path / "text.so").write_text("no library")
    assert library._loaded(tmp_path / "text.so") is None
