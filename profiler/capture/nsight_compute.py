"""Make the Nsight Systems that ships inside Nsight Compute runnable."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from ...errors import EnvironmentLacks
from ...machine.files import cache_folder, remove_abandoned, scratch_folder


def completed(executable: Path) -> Path:
    """The executable itself, or for the one inside Nsight Compute a copy that stands where nsys expects to stand.

    Nsight Compute splits Nsight Systems over host/target-linux-x64 and host/linux-desktop-*; nsys looks for its importer in
    a folder host-linux-x64 beside its own, and writes only a .qdstrm without. The install may be read-only, so the two are
    put side by side in the cache folder. nsys finds itself through /proc/self/exe: its own folder must be a copy, not a link.

    Raises:
        EnvironmentLacks: the copy cannot be written.
    """
    target = executable.resolve().parent
    desktops = sorted(target.parent.glob("linux-desktop-*"))
    if not target.name.startswith("target-linux-") or not desktops or any(target.parent.glob("host-linux-*")):
        return executable
    return _side_by_side(target, desktops[-1]) / target.name / executable.resolve().name


def _side_by_side(target: Path, desktop: Path) -> Path:
    stamp = f"{target} {target.stat().st_mtime_ns} {desktop}"  # a new install at the same path is copied anew
    folder = cache_folder() / f"nsys-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent)
        with scratch_folder(folder.parent) as work:
            shutil.copytree(target, work / target.name, symlinks=True)
            (work / target.name.replace("target-", "host-")).symlink_to(desktop)
            _publish(work, folder)
    except OSError as error:
        raise EnvironmentLacks(
            f"the nsys of Nsight Compute cannot be set up in {folder}: {error}",
            "set AISP_CACHE to a folder of your own with 1 GB free, or install nsight-systems",
        ) from error
    return folder


def _publish(new: Path, folder: Path) -> None:
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, with the same content
            raise
