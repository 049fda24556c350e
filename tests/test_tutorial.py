"""docs/tutorial.md as a reader types it: the wheel installed, an empty folder outside the clone, no GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
END = "@@@ end of block"
_BLOCK = re.compile(r"^```sh\n(.*?)^```\n((?:\n(?:    [^\n]*\n)+)?)", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, list[str]]]:
    """Each block of commands, and the lines that the page shows after it."""
    return [(found[1], found[2].split("\n")) for found in _BLOCK.finditer(PAGE.read_text("utf-8"))]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, whose requirements are this one's: nothing is asked of an index."""
    folder = tmp_path_factory.mktemp("wheel")
    unbuilt = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "aisp-captures", "tests")
    shutil.copytree(ROOT, folder / "source", ignore=unbuilt)
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(folder / "source"),
    ]
    subprocess.run(build, check=True, capture_output=True, env={**os.environ, "AISP_PURE": "1"})
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env")
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    (own / "requirements.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "env" / "bin"


@pytest.mark.timeout(900)
def test_every_command_does_what_the_page_shows(installed: Path, tmp_path: Path) -> None:
    script = "".join(f"{commands}\necho '{END}'\n" for commands, _ in blocks())
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "AISP_CACHE", "OMP_NUM_THREADS") if name in os.environ}
    environment = {**kept, "PATH": f"{installed}:/usr/bin:/bin", "COLUMNS": "100", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"exec 2>&1\n{script}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    said = done.stdout.replace("\u00a0", " ").split(f"{END}\n")
    assert len(said) == len(blocks()) + 1
    for (commands, shown), output in zip(blocks(), said, strict=False):
        place = 0
        for line in shown:
            found = output.find(line.strip(), place)
            assert found >= 0, f"{commands}\nshows no {line.strip()!r} after its {place}th letter:\n{output}"
            place = found + len(line.strip())
    made = tmp_path / "mymodel"
    assert (made / "trace-fused_adamw.pdf").read_bytes().startswith(b"%PDF")
    assert "### main.sqlite.xz: refuted" in (made / "summary.md").read_text("utf-8")
    from_wheel = "import aisp_prof, sys; sys.exit(not aisp_prof.__file__.startswith(sys.prefix))"
    subprocess.run([str(installed / "python"), "-c", from_wheel], cwd=tmp_path, env=environment, check=True)


def test_the_page_runs_a_red_build_and_makes_a_pdf() -> None:
    """So that it stays what it says it is, whatever is edited."""
    commands = "\n".join(text for text, _ in blocks())
    shown = [line.strip() for _, lines in blocks() for line in lines]
    assert len(blocks()) >= 10
    assert "git init" in commands
    assert {"exit code 1", "wrote trace-fused_adamw.pdf"} <= set(shown)
