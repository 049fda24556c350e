"""The ncu wrapper: which one is found, the command lines, and what its failures are said to mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.machine.child import Watch
from aisp_prof.profiler.capture.ncu import Ncu, count, find_ncu, measured_range, profile_failure, usable

FIXTURE = Path(__file__).parents[1] / "counters" / "h200-gemms.csv"


def tool(path, version="2025.3.1.0", body=""):
    """A shell script that answers --version like ncu, and else does what `body` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    says = f"NVIDIA (R) Nsight Compute Command Line Profiler\\nCopyright (c) 2018-2025\\nVersion {version} (build 1)\\n"
    path.write_text(f'#!/bin/sh\ncase "$*" in --version) printf "{says}"; exit 0;; esac\n{body}\n')
    path.chmod(0o755)
    return path


def test_the_newest_installed_one_is_found(tmp_path):
    for version in ("2025.9.0", "2025.10.0", "2024.3.0"):
        tool(tmp_path / f"opt/nvidia/nsight-compute/{version}/ncu", f"{version}.0")
    assert find_ncu({"PATH": ""}, tmp_path).version == (2025, 10, 0, 0)


def test_aisp_ncu_goes_first(tmp_path):
    named = tool(tmp_path / "mine")
    found = find_ncu({"AISP_NCU": str(named), "PATH": ""}, tmp_path)
    assert (found.executable, found.version_text) == (named, "2025.3.1.0")


def test_none_is_said_with_the_mend(tmp_path):
    with pytest.raises(EnvironmentLacks, match="none was found") as error:
        find_ncu({"PATH": ""}, tmp_path)
    assert "nsight-compute" in error.value.mend


def test_too_old(tmp_path):
    with pytest.raises(EnvironmentLacks, match=r"2022\.4\.0\.0; at least 2024\.1"):
        usable(tool(tmp_path / "ncu", "2022.4.0.0"))


def test_one_that_does_not_run(tmp_path):
    with pytest.raises(EnvironmentLacks, match="cannot be run"):
        usable(tmp_path / "nothing")


def test_the_command_line():
    ncu = Ncu(Path("/x/ncu"), (2025, 3))
    line = ncu.profile_command(
        Path("w/c.ncu-rep"), ("a.sum", "b.sum"), (measured_range("ch11.streams", "baseline"),), ["p"]
    )
    assert " ".join(line) == (
        "/x/ncu --clock-control none --target-processes all --nvtx --nvtx-include aisp@ch11.streams.baseline.measure/ "
        "--metrics a.sum,b.sum --force-overwrite --export w/c p"
    )


def test_names_are_left_as_they_are_where_ncu_can_be_told_so():
    report, csv = Path("c.ncu-rep"), Path("c.csv")
    assert Ncu(Path("/x/ncu"), (2025, 3)).export_command(report, csv)[:4] == ["env", "LC_ALL=C", "/x/ncu", "--import"]
    assert Ncu(Path("/x/ncu"), (2025, 3)).export_command(report, csv)[-2:] == ["--rename-kernels", "no"]
    assert "--rename-kernels" not in Ncu(Path("/x/ncu"), (2024, 3)).export_command(report, csv)


@pytest.mark.parametrize(
    ("log", "says", "mend"),
    [
        ("==ERROR== ERR_NVGPUCTRPERM - The user does not have permission", "only root", "RestrictProfiling"),
        ("==ERROR== Failed to initialize the profiler: LibraryNotLoaded", "sandbox", "runc"),
        ("==ERROR== unrecognised option '--nvtx'. Use --help", "lacks an option", "nsight-compute"),
        ("==ERROR== Profiling is not supported on this device", "does not know this GPU", "not older"),
    ],
)
def test_what_the_environment_lacks(log, says, mend):
    error = profile_failure(1, f"line\n{log}\nline")
    assert isinstance(error, EnvironmentLacks)
    assert says in str(error)
    assert log in str(error)
    assert mend in error.mend


def test_no_kernel_in_the_range():
    error = profile_failure(0, "==WARNING== No kernels were profiled.\n")
    assert "no kernel" in str(error)
    assert "nvtx" in error.mend


def test_any_other_failure_is_quoted():
    error = profile_failure(9, "something else")
    assert (type(error), "something else" in str(error)) == (AispError, True)


def watch(tmp_path):
    return Watch(tmp_path / "log", 20, "mark")


def test_counting_leaves_the_report_and_its_csv(tmp_path):
    body = f"""out=; log=
while [ $# -gt 0 ]; do case "$1" in --export) out=$2;; --log-file) log=$2;; esac; shift; done
if [ -n "$log" ]; then cp {FIXTURE} "$log"; else printf NVR > "$out.ncu-rep"; fi"""
    ncu = usable(tool(tmp_path / "ncu", body=body))
    csv = count(ncu, tmp_path, ("a.sum",), ("aisp@x/",), ["true"], watch(tmp_path))
    assert csv.read_text() == FIXTURE.read_text()
    assert (tmp_path / "counters.ncu-rep").is_file()


def test_counting_without_permission(tmp_path):
    ncu = usable(tool(tmp_path / "ncu", body='echo "==ERROR== ERR_NVGPUCTRPERM"; exit 1'))
    with pytest.raises(EnvironmentLacks, match="only root"):
        count(ncu, tmp_path, ("a.sum",), (), ["true"], watch(tmp_path))
