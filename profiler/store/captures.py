"""Find captures: the folders are the truth, and each manifest is read anew.

There is no index. One beside the captures comes with them, in a tar or a clone, and whatever it spares reading it is believed in;
parsing 1,000 manifests of 130 kB takes 2 s.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CannotTell, UsageError
from .manifest import FILE_NAME, Manifest, decode, file_facts, read_bounded


class Damaged(CannotTell):
    """The newest capture of a pair cannot be read."""


DEFAULT_FOLDER = Path("aisp-captures")
TRACE_NAMES = ("trace.sqlite", "trace.sqlite.xz")


@dataclass(frozen=True, slots=True)
class Capture:
    """One published capture; `shipped` when it came with the package."""

    folder: Path
    manifest: Manifest
    shipped: bool = False

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def trace_path(self) -> Path | None:
        """trace.sqlite or trace.sqlite.xz; None when the outputs were invalid before anything was traced."""
        named = [name for name in TRACE_NAMES if name in self.manifest.files]
        return self.folder / named[0] if named else None

    def verify_files(self) -> tuple[str, ...]:
        """What differs from the manifest, one sentence a file; empty when every file is as it was captured."""
        return tuple(
            problem for name, facts in self.manifest.files.items() if (problem := _differs(self.folder / name, facts))
        )


def _differs(path: Path, facts: Any) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return f"{path.name}: no regular file"
        found = file_facts(path)
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    return "" if found == facts else f"{path.name}: sha256 {found['sha256'][:12]}…, not {facts['sha256'][:12]}…"


@dataclass(frozen=True, slots=True)
class Store:
    """The captures below one folder; `shipped` are those that came with the package."""

    folder: Path
    shipped: bool = False

    def captures(self, pair: str | None = None) -> list[Capture]:
        """All readable captures (of one pair), newest first: by what the capturing machine's clock said, `created_utc`.

        Not by the files' times, which copying changes. `capture` refuses to begin where its clock is behind a capture.
        """
        read = ((folder, _readable(folder, pair)) for folder in self._folders())
        wanted = [Capture(folder, one, self.shipped) for folder, one in read if isinstance(one, Manifest)]
        return sorted(wanted, key=lambda one: (one.manifest.created_utc.removesuffix("Z"), one.id), reverse=True)

    def newest(self, pair: str) -> Capture | None:
        return next(iter(self.captures(pair)), None)

    def get(self, name: str) -> Capture:
        """The capture with this id, or whose id alone starts with it.

        Raises:
            UsageError: there is none, or several begin so.
        """
        captures = self.captures()
        found = [one for one in captures if one.id == name] or [one for one in captures if one.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{name} begins several captures: {', '.join(one.id for one in found)}")
        raise UsageError(f"no capture {name} in {self.folder}", "aisp-prof list shows the captures")

    def unreadable(self, pair: str | None = None, after: str = "") -> list[str]:
        """Why folders that look like captures are none, one message each: all, or those of a pair, made after a capture."""
        folders = [one for one in self._folders() if pair is None or one.name.startswith(f"{pair}-")]
        read = [_readable(folder) for folder in folders if folder.name > after]
        return [why for why in read if isinstance(why, str)]

    def _folders(self) -> list[Path]:
        """Every folder with a manifest, unfinished ones left out."""
        found = sorted(path.parent for path in self.folder.glob(f"*/{FILE_NAME}"))
        return [folder for folder in found if not folder.name.startswith(".")]


def _readable(folder: Path, pair: str | None = None) -> Manifest | str | None:
    """A folder's manifest, or why it is none; None where it is of another pair than the one wanted."""
    path = folder / FILE_NAME
    try:
        data = read_bounded(path)
        return None if pair and _of_another(data, pair) else _of_pair(decode(data, str(path)), pair)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    except UsageError as error:
        return str(error)


def _of_pair(manifest: Manifest, pair: str | None) -> Manifest | None:
    return manifest if pair in (None, manifest.pair) else None


def _of_another(data: bytes, pair: str) -> bool:
    """Whether a manifest is of another pair, told nine times faster than by reading all of it."""
    try:
        declaration = json.loads(data)["declaration"]
        return f"{declaration['chapter']}.{declaration['name']}" != pair
    except (KeyError, RecursionError, TypeError, ValueError):
        return False  # whoever reads it says what is wrong with it


def captures_folder(option: Path | None = None) -> Path:
    """The folder of captures: the option, else AISP_CAPTURES, else ./aisp-captures."""
    return option or Path(os.environ.get("AISP_CAPTURES") or DEFAULT_FOLDER)


def with_shipped(option: Path | None) -> bool:
    """Whether captures that came with the package may stand in for missing ones: not where somebody said where captures are,
    by the option or AISP_CAPTURES, or a build whose own captures never arrived would be proven by ours."""
    return option is None and not os.environ.get("AISP_CAPTURES")


def shipped_store() -> Store:
    """The captures that came with the package."""
    return Store(Path(__file__).parents[2] / "captures", shipped=True)


def resolve(pair: str, captures: Path, shipped: bool = True) -> Capture:
    """The newest capture of a pair below `captures`, else, if `shipped`, the newest that came with the package.

    Raises:
        CannotTell: there is none.
        Damaged: one that is newer cannot be read; another in its place would answer for it.
    """
    local = Store(captures)
    mine = local.newest(pair)
    if damaged := local.unreadable(pair, after=mine.folder.name if mine else ""):
        raise Damaged(
            f"the newest capture of {pair} cannot be read: {damaged[-1]}",
            "restore it, or move its folder away; --capture ID names another",
        )
    if found := mine or (shipped_store().newest(pair) if shipped else None):
        return found
    ignored = "".join(f"\nignored: {message}" for message in local.unreadable())
    raise CannotTell(
        f"no capture of {pair} in {captures}{', and none came with aisp-prof' if shipped else ''}{ignored}",
        f"on a machine with an NVIDIA GPU: aisp-prof capture {pair.split('.')[0]}",
    )


def select(
    pairs: Sequence[str], captures: Path, chosen: str = "", shipped: bool = True
) -> tuple[list[Capture], list[str]]:
    """The capture to judge for each pair: the one named by an id or its beginning, else the newest, as `resolve` finds it.

    Returns:
        the captures, and the pairs that have none.

    Raises:
        CannotTell: no pair has one.
        UsageError: no capture, or several, begin with `chosen`, or it is of none of these pairs.
    """
    if chosen:
        return [_chosen(pairs, captures, chosen)], []
    found: list[Capture] = []
    missing: list[str] = []
    for pair in pairs:
        try:
            found.append(resolve(pair, captures, shipped))
        except CannotTell:
            missing.append(pair)
    if pairs and not found:
        resolve(pairs[0], captures, shipped)  # says where it looked, and what to do
    return found, missing


def _chosen(pairs: Sequence[str], captures: Path, chosen: str) -> Capture:
    stores = (Store(captures), shipped_store())
    named = (store.get(chosen) for store in stores if any(c.id.startswith(chosen) for c in store.captures()))
    found = next(named, None)
    if found is None:
        raise UsageError(f"no capture begins with {chosen!r} in {captures}", "aisp-prof list --json names them")
    if found.manifest.pair not in pairs:
        raise UsageError(f"{found.id} is a capture of {found.manifest.pair}, not of {', '.join(pairs)}")
    return found
