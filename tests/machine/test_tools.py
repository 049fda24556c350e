"""Where tools are found, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.machine import tools
from aisp_prof.machine.tools import candidates, of_cuda, stated_version


def made(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_path_first_then_the_newest_of_each_place_and_none_twice(tmp_path: Path) -> None:
    on_path = made(tmp_path / "bin" / "tool")
    old, new = (made(tmp_path / "opt" / version / "tool") for version in ("2025.9", "2025.10"))
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr" / "tool").symlink_to(new)
    found = candidates("tool", ("opt/*/tool", "usr/tool"), {"PATH": str(on_path.parent)}, tmp_path)
    assert list(found) == [on_path, new, old]


def test_cudas_tools_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "CUDA_PLACES", tuple(str(tmp_path / place)[1:] for place in ("cuda/bin", "cuda-*/bin")))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CUDA_HOME", raising=False)
    assert of_cuda("tool") is None
    for place in ("cuda-12.9/bin", "cuda-13.0/bin", "cuda/bin"):
        tool = made(tmp_path / place / "tool")
        assert of_cuda("tool") == str(tool)
    for variable, value, folder in (("CUDA_HOME", "home", "home/bin"), ("PATH", "path", "path")):
        tool = made(tmp_path / folder / "tool")
        monkeypatch.setenv(variable, str(tmp_path / value))
        assert of_cuda("tool") == str(tool)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\necho broken >&2; exit 3\n", r"--version failed \(exit 3\): broken"),
        ("#!/bin/sh\necho nothing\n", r"--version failed \(exit 0\): nothing"),
        ("no program", "cannot be run: .* cannot be started: Exec format error"),
    ],
)
def test_a_tool_that_states_no_version(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(EnvironmentLacks, match=said) as caught:
        stated_version(made(tmp_path / "tool", text), r"^Version ([\d.]+)", "install it")
    assert caught.value.mend == "install it"


def test_a_version_in_integers(tmp_path: Path) -> None:
    tool = made(tmp_path / "tool", "#!/bin/sh\necho The tool; echo Version 2025.10.1\n")
    assert stated_version(tool, r"^Version ([\d.]+)", "") == (2025, 10, 1)
