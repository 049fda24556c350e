from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.profiler.capture.nsys import Nsys, export_failure, find_exporter, find_nsys, profile_failure, usable

FakeNsys = Callable[..., Path]


def install(root: Path, where: str, source: Path, version: str) -> Path:
    path = root / where
    path.parent.mkdir(parents=True)
    path.write_text(source.read_text().replace("2025.3.2.474-253236389321v0", version))
    path.chmod(0o755)
    return path


def test_named_by_the_environment(fake_nsys: FakeNsys) -> None:
    executable = fake_nsys()
    nsys = find_nsys({"AISP_NSYS": str(executable)})
    assert nsys == Nsys(executable, (2025, 3, 2, 474))
    assert nsys.version_text == "2025.3.2.474"


def test_path_before_install_folders_and_the_newest_of_these(tmp_path: Path, fake_nsys: FakeNsys) -> None:
    root, source = tmp_path / "root", fake_nsys()
    install(root, "opt/nvidia/nsight-systems/2025.9.1/bin/nsys", source, "2025.9.1")
    newest = install(root, "opt/nvidia/nsight-systems/2025.10.1/bin/nsys", source, "2025.10.1")
    assert find_nsys({"PATH": str(source.parent)}, root).executable == source
    assert find_nsys({"PATH": "/nowhere"}, root).executable == newest


def test_an_old_one_on_the_path_does_not_hide_a_usable_one(tmp_path: Path, fake_nsys: FakeNsys) -> None:
    root, old = tmp_path / "root", fake_nsys(version="2023.4.4.54")
    good = install(root, "usr/lib/nsight-systems/bin/nsys", Path(old), "")
    good.write_text(good.read_text().replace("2023.4.4.54", "2024.1.1"))
    assert find_nsys({"PATH": str(old.parent)}, root).executable == good


def test_an_old_one_exports_its_own_reports(tmp_path: Path, fake_nsys: FakeNsys) -> None:
    """What it exports is read as its .sqlite would be; a newer one is preferred, and capturing still asks for it."""
    root, old = tmp_path / "root", fake_nsys(version="2022.4.2.1")
    assert find_exporter({"PATH": str(old.parent)}, root).executable == old
    assert find_exporter({"AISP_NSYS": str(old)}, root).version == (2022, 4, 2, 1)
    with pytest.raises(EnvironmentLacks, match=r"at least 2024\.1"):
        find_nsys({"AISP_NSYS": str(old)}, root)
    good = install(root, "usr/lib/nsight-systems/bin/nsys", old, "")
    good.write_text(good.read_text().replace("2022.4.2.1", "2024.1.1"))
    assert find_exporter({"PATH": str(old.parent)}, root).executable == good
    with pytest.raises(EnvironmentLacks, match="none was found"):
        find_exporter({"PATH": "/nowhere"}, tmp_path / "empty")


def test_none_and_too_old_say_what_was_found(tmp_path: Path, fake_nsys: FakeNsys) -> None:
    with pytest.raises(EnvironmentLacks, match="none was found") as caught:
        find_nsys({"PATH": "/nowhere"}, tmp_path)
    assert "nsight-systems" in caught.value.mend
    old = fake_nsys(version="2023.4.4.54")
    with pytest.raises(EnvironmentLacks, match=r"version 2023\.4\.4\.54; at least 2024\.1"):
        find_nsys({"PATH": str(old.parent)}, tmp_path)


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "no program"])
def test_one_that_does_not_answer(tmp_path: Path, text: str) -> None:
    executable = tmp_path / "nsys"
    executable.write_text(text)
    executable.chmod(0o755)
    with pytest.raises(EnvironmentLacks, match="nsys"):
        usable(executable)


def test_the_one_inside_nsight_compute_is_put_side_by_side(
    tmp_path: Path, fake_nsys: FakeNsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "root"
    host = root / "opt/nvidia/nsight-compute/2025.3.1/host"
    split = install(root, "opt/nvidia/nsight-compute/2025.3.1/host/target-linux-x64/nsys", fake_nsys(), "2025.3.1")
    (host / "linux-desktop-glibc_2_11_3-x64").mkdir()
    (host / "linux-desktop-glibc_2_11_3-x64" / "QdstrmImporter").touch()
    for path in (split.parent, host):
        path.chmod(0o555)
    first, second = find_nsys({"PATH": "/nowhere"}, root), find_nsys({"PATH": "/nowhere"}, root)
    assert first == second
    assert first.executable.is_relative_to(tmp_path / "cache")
    assert not first.executable.is_symlink()
    assert (first.executable.parents[1] / "host-linux-x64" / "QdstrmImporter").exists()
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for path in (host, split.parent):
        path.chmod(0o755)


def test_command_lines(tmp_path: Path) -> None:
    nsys = Nsys(Path("/n/nsys"), (2025, 3))
    profile = nsys.profile_command(tmp_path / "report.nsys-rep", ["python", "-m", "x"])
    assert profile[:2] == ["/n/nsys", "profile"]
    assert {"--trace=cuda,nvtx", "--sample=none", "--cpuctxsw=none", "--cuda-graph-trace=node"} < set(profile)
    assert profile[-5:] == ["-o", str(tmp_path / "report"), "python", "-m", "x"]
    export = nsys.export_command(tmp_path / "report.nsys-rep", tmp_path / "trace.sqlite")
    assert export[-2:] == [str(tmp_path / "trace.sqlite"), str(tmp_path / "report.nsys-rep")]
    assert "--include-blobs=true" in export  # NCCL's payloads
    older = Nsys(Path("/n/nsys"), (2024, 1)).export_command(tmp_path / "report.nsys-rep", tmp_path / "trace.sqlite")
    assert not any("blobs" in option for option in older)


@pytest.fixture
def nsys(tmp_path: Path) -> Nsys:
    return Nsys(tmp_path / "target-linux-x64" / "nsys", (2025, 3))


def test_stream_without_report_names_the_libraries(tmp_path: Path, nsys: Nsys) -> None:
    (tmp_path / "report.qdstrm").touch()
    (tmp_path / "host-linux-x64").mkdir()
    (tmp_path / "host-linux-x64" / "QdstrmImporter").touch()
    log = "error while loading shared libraries: libdw.so.1: cannot open shared object file"
    error = profile_failure(nsys, tmp_path / "report.nsys-rep", 1, log)
    assert isinstance(error, EnvironmentLacks)
    assert "libdw.so.1" in str(error)
    assert error.mend == "apt-get install libdw1"


def test_stream_without_host_folder(tmp_path: Path, nsys: Nsys) -> None:
    error = profile_failure(nsys, tmp_path / "report.nsys-rep", 1, "Generated:\n  /x/nsys-report-5f60.qdstrm")
    assert isinstance(error, EnvironmentLacks)
    assert "no host-linux-*/QdstrmImporter" in str(error)


def test_refusals_are_told_with_their_mend(tmp_path: Path, nsys: Nsys) -> None:
    said = "Generating x.qdstrm\nFailed to create '/x/nvidia/nsight_systems': Permission denied"
    error = profile_failure(nsys, tmp_path / "report.nsys-rep", 1, said)
    assert isinstance(error, EnvironmentLacks)
    assert "TMPDIR" in error.mend
    error = export_failure(1, "CUPTI: ERR_NVGPUCTRPERM")
    assert "NVreg_RestrictProfilingToAdminUsers=0" in error.mend


def test_an_unknown_failure_shows_what_was_said(tmp_path: Path, nsys: Nsys) -> None:
    error = profile_failure(nsys, tmp_path / "report.nsys-rep", 9, "something odd")
    assert type(error) is AispError
    assert "exit code 9" in str(error)
    assert "something odd" in str(error)
