"""Find captures: the folders are the truth, and each manifest is read anew.

There is no index. One beside the captures comes with them, in a tar or a clone, and whatever it spares reading it is believed in;
to learn which pair a manifest of 130 kB is of takes 0.2 ms, to read and check all of it below 10 ms.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...declaration import is_chapter
from ...errors import CannotTell, UsageError
from ..manifest import FILE_NAME, File, Manifest
from .manifest import decode, file_facts, read_bounded, stated_pair


class Damaged(CannotTell):
    """The newest capture of a pair cannot be read."""


DEFAULT_FOLDER = Path("aisp-captures")
TRACE_NAMES = ("trace.sqlite", "trace.sqlite.xz")
SECOND_NAMES = ("trace-optimized.sqlite", "trace-optimized.sqlite.xz")
"""Of two runs the trace of the optimized variant; that of the baseline is called as the one trace of others."""


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
        return next(iter(self._named(TRACE_NAMES)), None)

    @property
    def trace_paths(self) -> tuple[Path, ...]:
        """Its trace; of two runs the baseline's and the optimized variant's; none where there is none."""
        first, second = self._named(TRACE_NAMES), self._named(SECOND_NAMES)
        if self.manifest.origin is None or not self.manifest.origin.apart:
            return tuple(first)
        return (*first, *second) if first and second else ()

    def _named(self, names: Sequence[str]) -> list[Path]:
        return [self.folder / name for name in names if name in self.manifest.files][:1]

    def verify_files(self, spared: Collection[str] = ()) -> tuple[str, ...]:
        """What differs from the manifest, one sentence a file that is not `spared`; empty when each is as it was captured."""
        files = {name: facts for name, facts in self.manifest.files.items() if name not in spared}
        return tuple(problem for name, facts in files.items() if (problem := _differs(self.folder / name, facts)))


def _differs(path: Path, facts: File) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return f"{path.name}: no regular file"
        found = file_facts(path)
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    return "" if found == facts else f"{path.name}: sha256 {found.sha256[:12]}…, not {facts.sha256[:12]}…"


@dataclass(frozen=True, slots=True)
class Store:
    """The captures below one folder; `shipped` are those that came with the package. Each question looks anew: whoever has
    several takes one `scan`."""

    folder: Path
    shipped: bool = False

    def scan(self) -> Scan:
        """The folders that hold a capture now, unfinished ones left out, none of them read yet."""
        found = sorted(path.parent for path in self.folder.glob(f"*/{FILE_NAME}"))
        return Scan(self, tuple(_Stored(folder) for folder in found if not folder.name.startswith(".")))

    def captures(self, pair: str | None = None) -> list[Capture]:
        """As `Scan.captures`."""
        return self.scan().captures(pair)

    def newest(self, pair: str) -> Capture | None:
        return self.scan().newest(pair)

    def get(self, name: str) -> Capture:
        """As `Scan.get`."""
        return self.scan().get(name)

    def unreadable(self, pair: str | None = None, after: str = "") -> list[str]:
        """As `Scan.unreadable`."""
        return self.scan().unreadable(pair, after)


class _Stored:
    """A folder with a manifest, which is read when somebody asks, and once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, pair: str | None) -> Manifest | None:
        """The manifest, where there is one and it is of this pair. One of another pair is not read through."""
        if pair and self._pair not in (None, pair):
            return None
        found = self.manifest
        return found if isinstance(found, Manifest) and pair in (None, found.pair) else None

    @cached_property
    def _pair(self) -> str | None:
        """The pair that a manifest claims to be of; None where it does not say: whoever reads it says what is wrong."""
        try:
            return stated_pair(read_bounded(self.folder / FILE_NAME))
        except OSError:
            return None

    @cached_property
    def manifest(self) -> Manifest | str:
        """The manifest, or why it is none."""
        path = self.folder / FILE_NAME
        try:
            return decode(read_bounded(path), str(path))
        except OSError as error:
            return f"{path}: {error.strerror or error}"
        except UsageError as error:
            return str(error)


@dataclass(frozen=True, slots=True)
class Scan:
    """A store as it was at one moment; what is read of a capture is read once."""

    store: Store
    _stored: tuple[_Stored, ...]

    def captures(self, pair: str | None = None) -> list[Capture]:
        """All readable captures (of one pair), newest first: by what the capturing machine's clock said, `created_utc`.

        Not by the files' times, which copying changes. `capture` refuses to begin where its clock is behind a capture.
        """
        read = ((one.folder, one.of(pair)) for one in self._stored)
        wanted = [Capture(folder, manifest, self.store.shipped) for folder, manifest in read if manifest]
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
        raise UsageError(f"no capture {name} in {self.store.folder}", "aisp-prof list shows the captures")

    def unreadable(self, pair: str | None = None, after: str = "") -> list[str]:
        """Why folders that look like captures are none, one message each: all, or those of a pair, made after a capture."""
        stored = [one for one in self._stored if pair is None or one.folder.name.startswith(f"{pair}-")]
        read = [one.manifest for one in stored if one.folder.name > after]
        return [why for why in read if isinstance(why, str)]


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


class Stores:
    """Where one command looks for captures: a folder and, if `shipped`, what came with the package, each scanned once."""

    def __init__(self, captures: Path, shipped: bool = True) -> None:
        self.folder = captures
        self.shipped = shipped

    @cached_property
    def _local(self) -> Scan:
        return Store(self.folder).scan()

    @cached_property
    def _with_package(self) -> Scan:
        return shipped_store().scan()

    def captures(self, pair: str) -> list[Capture]:
        """The pair's captures in the folder, then those shipped, each newest first."""
        return [*self._local.captures(pair), *(self._with_package.captures(pair) if self.shipped else ())]

    def local(self) -> dict[str, list[Capture]]:
        """What the folder itself holds, by the pair's or program's key, each newest first."""
        found: dict[str, list[Capture]] = {}
        for one in self._local.captures():
            found.setdefault(one.manifest.pair, []).append(one)
        return dict(sorted(found.items()))

    def resolve(self, pair: str) -> Capture:
        """The newest capture of a pair in the folder, else, if `shipped`, the newest that came with the package.

        Raises:
            CannotTell: there is none.
            Damaged: one that is newer cannot be read; another in its place would answer for it.
        """
        mine = self._local.newest(pair)
        if damaged := self._local.unreadable(pair, after=mine.folder.name if mine else ""):
            raise Damaged(
                f"the newest capture of {pair} cannot be read: {damaged[-1]}",
                "restore it, or move its folder away; --capture ID names another",
            )
        if found := mine or (self._with_package.newest(pair) if self.shipped else None):
            return found
        ignored = "".join(f"\nignored: {message}" for message in self._local.unreadable())
        raise CannotTell(
            f"no capture of {pair} in {self.folder}{', and none came with aisp-prof' if self.shipped else ''}{ignored}",
            f"on a machine with an NVIDIA GPU: aisp-prof capture {_to_capture(pair)}",
        )

    def select(self, pairs: Sequence[str], chosen: str = "") -> tuple[list[Capture], list[str]]:
        """The capture to judge for each pair: the one named by an id or its beginning, else the newest, as `resolve` finds it.

        Returns:
            the captures, and the pairs that have none.

        Raises:
            CannotTell: no pair has one.
            UsageError: no capture, or several, begin with `chosen`, or it is of none of these pairs.
        """
        if chosen:
            return [self._chosen(pairs, chosen)], []
        found, missing = self.each(pairs)
        if pairs and not found:
            self.resolve(pairs[0])  # says where it looked, and what to do
        return found, missing

    def each(self, pairs: Sequence[str]) -> tuple[list[Capture], list[str]]:
        """The newest capture of each pair, and the pairs that have none."""
        found: list[Capture] = []
        missing: list[str] = []
        for pair in pairs:
            try:
                found.append(self.resolve(pair))
            except CannotTell:
                missing.append(pair)
        return found, missing

    def named(self, name: str) -> Capture:
        """The capture with this id, or whose id alone begins so: in the folder, else, if `shipped`, of those that came with the
        package.

        Raises:
            UsageError: there is none, or several begin so.
        """
        if self.shipped and not any(one.id.startswith(name) for one in self._local.captures()):
            return self._with_package.get(name)
        return self._local.get(name)

    def _chosen(self, pairs: Sequence[str], chosen: str) -> Capture:
        scans = (self._local, self._with_package)
        named = (scan.get(chosen) for scan in scans if any(c.id.startswith(chosen) for c in scan.captures()))
        found = next(named, None)
        if found is None:
            raise UsageError(f"no capture begins with {chosen!r} in {self.folder}", "aisp-prof list --json names them")
        if found.manifest.pair not in pairs:
            raise UsageError(f"{found.id} is a capture of {found.manifest.pair}, not of {', '.join(pairs)}")
        return found


def _to_capture(pair: str) -> str:
    """What is captured: a chapter as a whole, of the user's own the pair alone."""
    chapter, _, name = pair.partition(".")
    return chapter if is_chapter(chapter) else f"{chapter}:{name}"


def resolve(pair: str, captures: Path, shipped: bool = True) -> Capture:
    """As `Stores.resolve`."""
    return Stores(captures, shipped).resolve(pair)


def select(
    pairs: Sequence[str], captures: Path, chosen: str = "", shipped: bool = True
) -> tuple[list[Capture], list[str]]:
    """As `Stores.select`."""
    return Stores(captures, shipped).select(pairs, chosen)
