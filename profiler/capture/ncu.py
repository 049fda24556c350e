"""Find a usable Nsight Compute, and drive it: version, command lines, and what its failures mean."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import AispError, EnvironmentLacks
from ...machine.child import Watch, run_child, tail
from ...machine.tools import candidates, first_usable, stated_version

MINIMUM = (2024, 1)
"""The version of CUDA 12.4. The metric names of this project were checked with 2025.3.1 on an H200, nothing older."""

INSTALL = "install the package nsight-compute of NVIDIA's CUDA repository, or set AISP_NCU to an ncu executable"

PLACES = (
    "opt/nvidia/nsight-compute/*/ncu",
    "usr/local/cuda*/bin/ncu",
    "usr/local/cuda*/nsight-compute-*/ncu",
    "usr/lib/nsight-compute/ncu",
    "usr/bin/ncu",
)
"""Where NVIDIA's and the distributions' installers put ncu, below the root folder."""

_UNLOCK = (
    "as root: echo 'options nvidia NVreg_RestrictProfilingToAdminUsers=0' > /etc/modprobe.d/nvidia-profiling.conf, "
    "then reboot; or run as root; in a container: docker run --cap-add SYS_ADMIN"
)
_ELSEWHERE = "run where the NVIDIA driver is the real one: on the host, or in a container that runc started"
_ALONE = "end other profilers on this GPU (a second ncu, nsys with GPU metrics, DCGM profiling), then try again"
_UPDATE = "install an Nsight Compute that is not older than the driver and knows this GPU"

_FAILURES = (
    (r"ERR_NVGPUCTRPERM", "the NVIDIA driver lets only root read hardware counters", _UNLOCK),
    (
        r"LibraryNotLoaded|Failed to initialize the profiler",
        "this sandbox hides the driver's profiling interface",
        _ELSEWHERE,
    ),
    (r"ResourceUnavailable|already in use|another profil", "somebody else holds the GPU's counters", _ALONE),
    (
        r"not supported on (this|the) (device|gpu|driver)|unsupported (gpu|driver)|device not supported",
        "it does not know this GPU or driver",
        _UPDATE,
    ),
    (r"unrecogni[sz]ed option|invalid option|unknown option", "it lacks an option that is needed", INSTALL),
    (r"no space left on device", "the disk is full", "free space in $TMPDIR (default /tmp) and in the captures folder"),
)
"""What a log says, what it means, and the mend."""

REPORT, CSV = "counters.ncu-rep", "counters.csv"
SECTIONS = "sections.ncu-rep"


@dataclass(frozen=True, slots=True)
class Ncu:
    """An ncu that answered: its executable and version, e.g. (2025, 3, 1, 0)."""

    executable: Path
    version: tuple[int, ...]

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))

    def profile_command(
        self, report: Path, metrics: Sequence[str], include: Sequence[str], command: Sequence[str]
    ) -> list[str]:
        """The command line that counts `metrics` of every kernel in the NVTX ranges `include`, and writes `report`.

        Without metrics it is the full set of sections. Clocks are left alone: ncu would lock them to the base clock, and all
        other figures are taken without that.
        """
        options = ["--clock-control", "none", "--target-processes", "all", "--nvtx"]
        for expression in include:
            options += ["--nvtx-include", expression]
        wanted = ["--metrics", ",".join(metrics)] if metrics else ["--set", "full"]
        output = ["--force-overwrite", "--export", str(report.with_suffix(""))]
        return [str(self.executable), *options, *wanted, *output, *command]

    def export_command(self, report: Path, csv: Path) -> list[str]:
        """Every metric of every kernel as CSV: one way to write a number, and names not shortened where ncu can be told so."""
        options = ["--page", "raw", "--csv", "--print-units", "base", "--log-file", str(csv)]
        options += ["--rename-kernels", "no"] if self.version >= (2025,) else []
        return ["env", "LC_ALL=C", str(self.executable), "--import", str(report), *options]


def measured_range(pair: str, variant: str) -> str:
    """The --nvtx-include expression of a variant's measured range: domain aisp, push/pop, with what is nested in it.

    Seen with ncu 2025.3.1: `domain@name/` is a push/pop range however deep below it a kernel is launched, `domain@name` a
    start/end range, `regex:` stands before the domain. Without the domain the expression means the default domain.
    """
    return f"aisp@{pair}.{variant}.measure/"


def measured_iterations(pair: str, variant: str) -> str:
    """The --nvtx-include expression of a variant's iterations alone: without the kernel that holds a queued pair back."""
    return measured_range(pair, variant) + "iter/"


def find_ncu(environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Ncu:
    """The ncu that AISP_NCU names, else the first usable one of PATH and the install folders below `root`.

    Raises:
        EnvironmentLacks: there is none, none that runs, or none of at least version `MINIMUM`.
    """
    environment = os.environ if environment is None else environment
    found = candidates("ncu", PLACES, environment, root)
    return first_usable(environment.get("AISP_NCU"), found, usable, "Nsight Compute (ncu)", INSTALL)


def usable(executable: Path) -> Ncu:
    """The ncu at a path.

    Raises:
        EnvironmentLacks: it does not run, or is older than `MINIMUM`.
    """
    version = stated_version(executable, r"^Version (\d{4}(?:\.\d+)+)", INSTALL)
    if version < MINIMUM:
        text, least = ".".join(map(str, version)), ".".join(map(str, MINIMUM))
        raise EnvironmentLacks(f"{executable} is version {text}; at least {least} is needed", INSTALL)
    return Ncu(executable, version)


def count(
    ncu: Ncu, work: Path, metrics: Sequence[str], include: Sequence[str], command: Sequence[str], watch: Watch
) -> Path:
    """Run `command` under ncu; leaves `REPORT` and `CSV` in the folder `work` and returns the CSV's path.

    Kernels are replayed one by one: times are nobody's but ncu's, counts are the kernel's own.

    Raises:
        EnvironmentLacks: no permission to read counters, a sandbox, an ncu that is too old for the GPU.
        AispError: it failed or ran too long, or not one kernel lies in the ranges.
    """
    report, csv = work / REPORT, work / CSV
    csv.unlink(missing_ok=True)
    _profile(ncu, report, metrics, include, command, watch)
    code = run_child(ncu.export_command(report, csv), watch)
    if code or not csv.is_file():
        said = csv.read_text(errors="replace")[-500:] if csv.is_file() else tail(watch.log)
        raise AispError(f"ncu --import ended with exit code {code} and wrote no CSV; it said:\n{said}")
    return csv


def keep_sections(ncu: Ncu, work: Path, include: Sequence[str], command: Sequence[str], watch: Watch) -> Path:
    """Run `command` under ncu with its full sections, for its own user interface; leaves `SECTIONS` in the folder `work`.

    Raises:
        EnvironmentLacks, AispError: as `count`.
    """
    return _profile(ncu, work / SECTIONS, (), include, command, watch)


def _profile(
    ncu: Ncu, report: Path, metrics: Sequence[str], include: Sequence[str], command: Sequence[str], watch: Watch
) -> Path:
    report.unlink(missing_ok=True)
    code = run_child(ncu.profile_command(report, metrics, include, command), watch)
    if code or not report.is_file():
        raise profile_failure(code, tail(watch.log))
    return report


def profile_failure(code: int, log: str) -> AispError:
    """Why ncu, which ended with `code`, left no report, from what it said."""
    for pattern, meaning, mend in _FAILURES:
        if found := re.search(f"^.*(?:{pattern}).*$", log, re.MULTILINE | re.IGNORECASE):
            return EnvironmentLacks(f"ncu failed: {meaning} ({found[0].strip()})", mend)
    if "No kernels were profiled" in log:
        return AispError(
            "ncu saw no kernel in the measured ranges", "is the workload annotated with NVTX (pip install nvtx)?"
        )
    return AispError(f"ncu ended with exit code {code} and wrote no report; it said:\n{log}")
