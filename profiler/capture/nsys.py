"""Find a usable Nsight Systems, and drive it: version, command lines, and what its failures mean."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import AispError, EnvironmentLacks
from ...machine.child import Watch, ask, run_child, tail
from ...machine.tools import ANSWER_S, candidates, first_usable, stated_version
from .nsight_compute import completed

MINIMUM = (2024, 1)
"""Exports before 2024.1 have no DIAGNOSTIC_EVENT table: nothing in the trace could attest that it is complete."""

BLOBS = (2025, 3)
"""Since this version, if not before, an export can hold NVTX's extended payloads: NCCL says in them whose collectives its kernels are."""

INSTALL = "install the package nsight-systems of NVIDIA's CUDA repository, or set AISP_NSYS to an nsys executable"

PLACES = (
    "opt/nvidia/nsight-systems/*/bin/nsys",
    "opt/nvidia/nsight-systems/*/target-linux-*/nsys",
    "opt/nvidia/nsight-systems-cli/*/bin/nsys",
    "opt/nvidia/nsight-systems-cli/*/target-linux-*/nsys",
    "usr/local/cuda*/bin/nsys",
    "usr/local/cuda*/nsight-systems-*/target-linux-*/nsys",
    "usr/lib/nsight-systems/bin/nsys",
    "usr/lib/nsight-systems/target-linux-*/nsys",
    "opt/nvidia/nsight-compute/*/host/target-linux-*/nsys",
    "usr/local/cuda*/nsight-compute-*/host/target-linux-*/nsys",
    "usr/lib/nsight-compute/host/target-linux-*/nsys",
)
"""Where NVIDIA's installers put nsys, below the root folder; within one place the newest version first."""

_PROFILE = (
    "profile",
    "--trace=cuda,nvtx",
    "--sample=none",
    "--cpuctxsw=none",
    "--cuda-graph-trace=node",  # the default, graph, hides every kernel inside a graph
    "--force-overwrite=true",
)

_UNLOCK = (
    "as root: echo 'options nvidia NVreg_RestrictProfilingToAdminUsers=0' > /etc/modprobe.d/nvidia-profiling.conf, "
    "then reboot; or run as root"
)
_OWN_FOLDER = (
    "nsys keeps its session under $TMPDIR/nvidia (default /tmp/nvidia), which may belong to another user: "
    "set TMPDIR to a folder of your own"
)
_FREE_SPACE = "free space in $TMPDIR (default /tmp) and in the captures folder"

_FAILURES = (
    (r"NVGPUCTRPERM|CUPTI_ERROR_INSUFFICIENT_PRIVILEGES", "the NVIDIA driver lets only root profile", _UNLOCK),
    (r"permission denied|access (is )?denied|operation not permitted", "a file or a folder was refused", _OWN_FOLDER),
    (r"no space left on device", "the disk is full", _FREE_SPACE),
    (r"unrecogni[sz]ed option|illegal --\S+ argument|unknown option", "it lacks an option that is needed", INSTALL),
)
"""What a log says, what it means, and the mend."""


@dataclass(frozen=True, slots=True)
class Nsys:
    """An nsys that answered: its executable and version, e.g. (2025, 3, 2, 0)."""

    executable: Path
    version: tuple[int, ...]

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))

    def profile_command(self, report: Path, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` under nsys and writes `report` (….nsys-rep)."""
        return [str(self.executable), *_PROFILE, "-o", str(report.with_suffix("")), *command]

    def export_command(self, report: Path, sqlite: Path) -> list[str]:
        blobs = ["--include-blobs=true"] if self.version >= BLOBS else []
        options = ["export", "--type", "sqlite", "--force-overwrite=true", *blobs, "--output", str(sqlite)]
        return [str(self.executable), *options, str(report)]


def find_nsys(
    environment: Mapping[str, str] | None = None, root: Path = Path("/"), least: tuple[int, ...] = MINIMUM
) -> Nsys:
    """The nsys that AISP_NSYS names, else the first usable one of PATH and NVIDIA's install folders below `root`.

    Raises:
        EnvironmentLacks: there is none, none that runs, or none of at least version `least`.
    """
    environment = os.environ if environment is None else environment
    found, accepted = candidates("nsys", PLACES, environment, root), partial(usable, least=least)
    return first_usable(environment.get("AISP_NSYS"), found, accepted, "Nsight Systems (nsys)", INSTALL)


def find_exporter(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Nsys:
    """An nsys that exports a report: what `find_nsys` finds, else an older one. What it exports is read as its .sqlite would
    be, unattested where it states no count; nsys itself says when a report is newer than it is.

    Raises:
        EnvironmentLacks: there is none, or none that runs.
    """
    try:
        return find_nsys(environment, root)
    except EnvironmentLacks:
        return find_nsys(environment, root, least=())


def usable(executable: Path, least: tuple[int, ...] = MINIMUM) -> Nsys:
    """The nsys at a path, completed when it is the one inside Nsight Compute.

    Raises:
        EnvironmentLacks: it does not run, or is older than `least`.
    """
    executable = completed(executable)
    version = stated_version(executable, r"\b(\d{4}(?:\.\d+)+)", INSTALL)
    if version < least:
        text, wanted = ".".join(map(str, version)), ".".join(map(str, least))
        raise EnvironmentLacks(
            f"{executable} is version {text}; at least {wanted} is needed, because older exports cannot attest "
            "that they are complete",
            INSTALL,
        )
    return Nsys(executable, version)


def profile_failure(nsys: Nsys, report: Path, code: int, log: str) -> AispError:
    """Why there is no `report` after `nsys profile` ended with `code`, from what it left and what it said."""
    collected = sorted(report.parent.glob("*.qdstrm"))
    if told := None if collected else _told_by(log):
        return told
    if collected or ".qdstrm" in log:  # nsys collects into TMPDIR and names the file in its output
        return _import_failure(nsys, log)
    return AispError(f"nsys profile ended with exit code {code} and wrote no report; it said:\n{log}")


def export(nsys: Nsys, report: Path, sqlite: Path, watch: Watch) -> None:
    """Have nsys write a report as SQLite.

    Raises:
        EnvironmentLacks, AispError: it made none; the message says why, or ends with its output.
    """
    code = run_child(nsys.export_command(report.absolute(), sqlite), watch)
    if code or not sqlite.is_file():
        raise export_failure(code, tail(watch.log))


def export_failure(code: int, log: str) -> AispError:
    """Why `nsys export` wrote no SQLite."""
    return _told_by(log) or AispError(f"nsys export ended with exit code {code} and wrote no SQLite; it said:\n{log}")


def _told_by(log: str) -> EnvironmentLacks | None:
    for pattern, meaning, mend in _FAILURES:
        if found := re.search(f"^.*(?:{pattern}).*$", log, re.MULTILINE | re.IGNORECASE):
            return EnvironmentLacks(f"nsys failed: {meaning} ({found[0].strip()})", mend)
    return None


def _import_failure(nsys: Nsys, log: str) -> EnvironmentLacks:
    """nsys collected (.qdstrm) but made no report (.nsys-rep): its importer is absent, or does not load."""
    did = "nsys collected events (.qdstrm) but made no report (.nsys-rep): its importer did not run"
    folder = nsys.executable.resolve().parents[1]
    importers = sorted(folder.glob("host-linux-*/QdstrmImporter"))
    if not importers:
        return EnvironmentLacks(f"{did}; there is no host-linux-*/QdstrmImporter in {folder}", INSTALL)
    told = re.findall(r"(\S+\.so[.\d]*): cannot open shared object file", log)
    lacking = sorted({*missing_libraries(importers[0]), *told})
    if not lacking:
        return EnvironmentLacks(f"{did}; it said:\n{log}", f"run {importers[0]} --help by hand: it says what it lacks")
    packages = sorted({LIBRARY_PACKAGES.get(name.split(".so")[0], "") for name in lacking} - {""})
    mend = f"apt-get install {' '.join(packages)}" if packages else "install the packages that hold these libraries"
    return EnvironmentLacks(f"{did}; it lacks {', '.join(lacking)}", mend)


LIBRARY_PACKAGES = {
    "libdw": "libdw1",
    "libelf": "libelf1",
    "liblzma": "liblzma5",
    "libbz2": "libbz2-1.0",
    "libz": "zlib1g",
    "libglib-2.0": "libglib2.0-0",
    "libdbus-1": "libdbus-1-3",
    "libxkbcommon": "libxkbcommon0",
    "libEGL": "libegl1",
    "libGL": "libgl1",
    "libOpenGL": "libopengl0",
}
"""Debian's and Ubuntu's packages of the libraries that the importer was seen to lack on bare machines."""


def missing_libraries(executable: Path) -> list[str]:
    """Names of the shared libraries that the loader does not find for `executable`; none where there is no ldd."""
    try:
        answer = ask(["ldd", str(executable)], ANSWER_S)
    except AispError:
        return []
    return sorted(set(re.findall(r"^\s*(\S+) => not found", answer.out, re.MULTILINE)))
