"""Compiling and caching cubins, with nvcc and without."""

from __future__ import annotations

import ctypes
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.kernels.building import nvcc as build
from aisp_prof.kernels.building.nvcc import architecture, code_of_library, cubin, library
from aisp_prof.machine import child
from aisp_prof.machine.child import marked, new_mark
from aisp_prof.machine.files import cache_folder

FAKE = """#!/bin/sh
if [ "$1" = --version ]; then echo "{version}"; exit; fi
echo "$@" >>"{log}"
for source; do :; done
if grep -q broken "$source"; then echo "$source(1): error: it is broken" >&2; exit 1; fi
while [ "$1" != -o ]; do shift; done
echo compiled >"$2"
"""


class Nvcc:
    """A stand-in that writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.path, self.log = folder / "nvcc", folder / "log"
        self.set_version("13.0")

    def set_version(self, version: str) -> None:
        self.path.write_text(FAKE.format(version=version, log=self.log))
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)
        build._version.cache_clear()

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nvcc:
    found = Nvcc(tmp_path)
    monkeypatch.setattr(build, "find_nvcc", lambda: str(found.path))
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "kernels" / "thing.cu"
    path.parent.mkdir()
    path.write_text("// a kernel\n")
    return path


@pytest.mark.parametrize(("capability", "target"), [((9, 0), "90a"), ((10, 0), "100a"), ((8, 6), "86"), ((7, 5), "75")])
def test_targets(capability: tuple[int, int], target: str) -> None:
    assert architecture(*capability) == target


def test_a_cubin_is_compiled_once(nvcc: Nvcc, source: Path) -> None:
    first = cubin(source, "90a")
    assert first.read_text() == "compiled\n"
    assert first.parent == cache_folder() / "cubins"
    assert cubin(source, "90a") == first
    (call,) = nvcc.calls
    assert "-gencode=arch=compute_90a,code=sm_90a" in call
    assert "-lineinfo" in call
    assert [path.name for path in first.parent.iterdir()] == [first.name], "something was left over"


def test_whatever_changes_the_code_compiles_anew(nvcc: Nvcc, source: Path) -> None:
    seen = {cubin(source, "90a"), cubin(source, "86")}
    source.write_text("// another kernel\n")
    seen.add(cubin(source, "90a"))
    source.with_name("part.cuh").write_text("// a header\n")
    seen.add(cubin(source, "90a"))
    nvcc.set_version("13.1")
    seen.add(cubin(source, "90a"))
    assert len(seen) == len(nvcc.calls) == 5


def test_a_refusal_names_the_file_and_shows_nvccs_words(nvcc: Nvcc, source: Path) -> None:
    source.write_text("broken\n")
    with pytest.raises(AispError, match=r"thing\.cu for sm_90a:\n.*it is broken"):
        cubin(source, "90a")
    assert not list((cache_folder() / "cubins").iterdir())


def test_without_nvcc_a_carried_cubin_serves(nvcc: Nvcc, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cubin(source, "90a")
    monkeypatch.setattr(build, "find_nvcc", lambda: None)
    assert cubin(source, "90a") == made
    source.write_text("// another kernel\n")
    with pytest.raises(EnvironmentLacks, match=r"thing\.cu must be compiled") as caught:
        cubin(source, "90a")
    assert "CUDA_HOME" in caught.value.mend


def test_a_cache_that_cannot_be_written_is_said(
    nvcc: Nvcc, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("AISP_CACHE", str(blocked))
    with pytest.raises(EnvironmentLacks, match="cannot write cubins"):
        cubin(source, "90a")


def test_nvcc_is_found_below_cuda_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    found = Nvcc(tmp_path / "bin")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert build.find_nvcc() == str(found.path)


def test_nvcc_is_ended_with_what_it_runs(nvcc: Nvcc, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = new_mark()
    monkeypatch.setattr(child, "new_mark", lambda: mark)
    monkeypatch.setattr(build, "TIMEOUT_S", 1)
    monkeypatch.setattr(build, "_version", lambda nvcc: b"13.0")
    nvcc.path.write_text("#!/bin/sh\nsetsid sleep 60 &\nsleep 60\n")
    with pytest.raises(AispError, match="ran longer than 1 s"):
        cubin(source, "90a")
    assert marked(mark) == []
    assert not list((cache_folder() / "cubins").iterdir())


def test_what_a_killed_build_left_is_removed(nvcc: Nvcc, source: Path) -> None:
    folder = cache_folder() / "cubins"
    code = (
        "import os; from pathlib import Path; from aisp_prof.machine.files import scratch_folder\n"
        f"with scratch_folder(Path({str(folder)!r})): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], env=child.child_environment("m"), check=False)
    assert len(list(folder.iterdir())) == 2
    assert list(folder.iterdir()) != [cubin(source, "90a")]
    assert len(list(folder.iterdir())) == 1


def test_a_shared_header_is_part_of_the_key(
    nvcc: Nvcc, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = tmp_path / "include"
    (include / "ptx").mkdir(parents=True)
    monkeypatch.setattr(build, "INCLUDE", include)
    seen = {cubin(source, "90a")}
    assert f"-I{include}" in nvcc.calls[0]
    header = include / "ptx" / "wgmma.cuh"
    for content in ("// one\n", "// two\n"):
        header.write_text(content)
        seen.add(cubin(source, "90a"))
    header.rename(include / "wgmma.cuh")
    seen.add(cubin(source, "90a"))
    assert len(seen) == len(nvcc.calls) == 4
    elsewhere = tmp_path / "elsewhere"
    include.rename(elsewhere)
    monkeypatch.setattr(build, "INCLUDE", elsewhere)
    assert cubin(source, "90a") in seen, "the same headers in another folder make the same code"


def test_what_nvcc_says_is_kept(nvcc: Nvcc, source: Path) -> None:
    quiet = cubin(source, "90a")
    assert build.said(quiet) == ""
    nvcc.path.write_text(nvcc.path.read_text() + 'echo "warning (C7510)" >&2\n')
    source.write_text("// talked about\n")
    assert build.said(cubin(source, "90a")) == "warning (C7510)\n"


def test_folders_of_headers_are_part_of_the_key_and_of_the_call(nvcc: Nvcc, source: Path, tmp_path: Path) -> None:
    folder, other = tmp_path / "cutlass", tmp_path / "util"
    for one in (folder, other):
        one.mkdir()
        (one / "gemm.hpp").write_text("// the same\n")
    seen = [cubin(source, "90a"), cubin(source, "90a", [folder]), cubin(source, "90a", [folder, other])]
    assert f"-I{folder} -I{other}" in nvcc.calls[-1]
    assert cubin(source, "90a", [other]) == seen[1], "the same headers elsewhere make the same code"
    (folder / "gemm.hpp").write_text("// another\n")
    seen.append(cubin(source, "90a", [folder]))
    (folder / "README.md").write_text("not a header\n")
    assert cubin(source, "90a", [folder]) == seen[-1]
    assert len(set(seen)) == len(nvcc.calls) == 4


def test_a_library_is_another_product_of_the_same_source(
    nvcc: Nvcc, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = library(source, "90a"), cubin(source, "90a")
    assert (made.suffix, other.suffix) == (".so", ".cubin")
    first, second = nvcc.calls
    assert "-shared" in first
    assert "-DNDEBUG" in first
    assert "-shared" not in second
    assert library(source, "90a") == made
    looked_at = code_of_library(source, "90a")
    assert looked_at.suffix == ".cubin"
    assert looked_at != other
    assert "-DNDEBUG" in nvcc.calls[-1]
    assert "-shared" not in nvcc.calls[-1]
    monkeypatch.setattr(build, "find_nvcc", lambda: None)
    assert library(source, "90a") == made


def test_a_library_has_no_headers_of_ours(
    nvcc: Nvcc, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = library(source, "90a", [tmp_path])
    assert str(build.INCLUDE) not in nvcc.calls[-1]
    monkeypatch.setattr(build, "INCLUDE", tmp_path / "changed")
    assert library(source, "90a", [tmp_path]) == made


@pytest.mark.skipif(build.find_nvcc() is None, reason="nvcc is not on PATH, below CUDA_HOME or /usr/local/cuda")
def test_a_library_opens_by_ctypes_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes" / "sizes.hpp").write_text("constexpr int ROWS = 7;\n")
    path = tmp_path / "told.cu"
    path.write_text(
        '#include <sizes.hpp>\n__global__ void k(int* out) { *out = ROWS; }\nextern "C" int rows() { return ROWS * 6; }\n'
    )
    assert ctypes.CDLL(str(library(path, "90a", [tmp_path / "sizes"]))).rows() == 42
