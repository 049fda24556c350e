"""The user's files that a pair is made of, by their hashes: so that whoever reads a proof can say whether the code is the same."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """A file, by its name below the project's root with `/`, and the hash of what it held when it was imported."""

    file: str
    sha256: str


class Sources:
    """The files below `root` whose modules this process has imported, each with the hash of when it was first seen.

    What is installed below the root, an environment of Python's, is not the user's own.
    """

    def __init__(self, root: Path, files: Iterable[Path] = ()) -> None:
        self._root = root.resolve()
        self._files = [file.resolve() for file in files]
        installed = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {sys.prefix}
        self._not = [Path(one).resolve() for one in installed if not self._root.is_relative_to(Path(one).resolve())]
        self._seen: dict[str, str] = {}

    def look(self) -> None:
        """Hash what was imported since the last look."""
        for file in self._imported():
            name = file.relative_to(self._root).as_posix()
            if name not in self._seen:
                self._seen[name] = hashlib.sha256(file.read_bytes()).hexdigest()

    def found(self) -> tuple[Source, ...]:
        self.look()
        return tuple(Source(name, self._seen[name]) for name in sorted(self._seen))

    def _imported(self) -> list[Path]:
        named = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        every = [*(Path(name).resolve() for name in named if isinstance(name, str)), *self._files]
        own = [one for one in every if one.is_relative_to(self._root) and not any(map(one.is_relative_to, self._not))]
        return [one for one in own if one.is_file()]
