"""Compiles the C of the package, the core and the tracer: for a wheel where setuptools finds a C compiler, and by hand in a checkout.

    python profiler/core/building.py

The libraries know no Python header, so that one wheel serves every Python of a platform. Where nothing compiles, the wheel is
the pure one, which installs everywhere. This file runs alone, before the package can be imported.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess  # noqa: TID251  runs before the package does
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from setuptools.command.bdist_wheel import bdist_wheel
    from setuptools.command.build_py import build_py
except ImportError:  # whoever only compiles needs no setuptools
    bdist_wheel = build_py = object

HERE = Path(__file__).parent
NAME = "_core.so"
FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=default", "-Wall", "-Wextra")
SKIP = "AISP_PURE"
"""Set to anything, it leaves the libraries out: the pure wheel."""
TRACER, TRACER_NAME = HERE.parent / "tracer", "_tracer.so"
TRACER_FLAGS = (
    "-std=gnu11",
    "-O2",
    "-fPIC",
    "-shared",
    "-pthread",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wl,--no-as-needed",
    "-ldl",
)
LIBRARIES = (("core", HERE, NAME, FLAGS), ("tracer", TRACER, TRACER_NAME, TRACER_FLAGS))
"""Room, folder of its sources, what it is called there, how it is compiled."""


def compiler() -> list[str] | None:
    """The C compiler's command, by $CC, else what is there."""
    named = shlex.split(os.environ.get("CC", ""))
    found = next((name for name in (*named[:1], "cc", "gcc", "clang") if shutil.which(name)), None)
    return None if found is None else [found, *(named[1:] if named and found == named[0] else [])]


def source(folder: Path = HERE) -> str:
    """The SHA-256 of the sources, which the library tells: `library.py` uses none that was made of others."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.c"), *folder.glob("*.h")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def build(target: Path, folder: Path = HERE, flags: Sequence[str] = FLAGS) -> str:
    """Compile the sources of a folder into `target`; why they could not be, or "" where they were."""
    command = compiler()
    if os.name != "posix" or command is None or os.environ.get(SKIP):
        return "no C compiler" if command is None else "left out"
    part = target.with_name(f".{target.name}.{os.getpid()}")
    sources = sorted(str(path) for path in folder.glob("*.c"))
    try:
        told = f'-DAISP_SOURCE="{source(folder)}"'
        done = subprocess.run(
            [*command, *flags, told, *sources, "-o", str(part)],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode:
        part.unlink(missing_ok=True)
        return done.stderr[-2000:] or f"{command[0]} ended with {done.returncode}"
    part.replace(target)
    return ""


class BuildWithCore(build_py):  # type: ignore[misc]
    """Puts the libraries beside their modules, where they compile."""

    def run(self) -> None:
        super().run()
        for room, folder, name, flags in LIBRARIES:
            target = Path(self.build_lib, "aisp_prof", "profiler", room, name)
            if not self.editable_mode and target.parent.is_dir() and (why := build(target, folder, flags)):
                target.unlink(missing_ok=True)  # of an earlier build in the same folder, which the wheel would hold
                self.announce(f"the compiled {room} is left out: {why}", 3)


class WheelOfPlatform(bdist_wheel):  # type: ignore[misc]
    """A wheel with a library is one of its platform, for every Python 3; one without is pure."""

    def get_tag(self) -> tuple[str, str, str]:
        rooms = Path(self.bdist_dir or "", "aisp_prof", "profiler")
        python, abi, platform = super().get_tag()
        if not any((rooms / room / name).is_file() for room, _, name, _ in LIBRARIES):
            return python, abi, platform
        from sysconfig import get_platform

        # only now: files stand in the wheel's root either way, and WHEEL is written after this
        self.root_is_pure = False
        return "py3", "none", get_platform().replace("-", "_").replace(".", "_")


def up_to_date(target: Path, folder: Path = HERE) -> bool:
    """Whether the library was made of these sources, which it names."""
    return target.is_file() and source(folder).encode() in target.read_bytes()


if __name__ == "__main__":
    failures = [build(f / n, f, flags) for _, f, n, flags in LIBRARIES if not up_to_date(f / n, f)]
    sys.exit("\n".join(filter(None, failures)) or 0)
