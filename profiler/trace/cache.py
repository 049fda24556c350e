"""Traces that were read before, kept as columns in the project's own cache folder. Safe to delete at any time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from .blocks import workers
from .fingerprint import fingerprint, reader_fingerprint
from .model import Trace
from .packed import pack, unpack

LEAST = 32 << 20
"""Smaller files are read as fast as they are looked up."""
LIMIT = 8 << 30
"""Bytes that the cache may hold; the traces that were used longest ago go first."""
_INFO = "trace.json"


def cache_folder() -> Path:
    """$AISP_CACHE, else $XDG_CACHE_HOME/aisp-prof, else ~/.cache/aisp-prof."""
    if own := os.environ.get("AISP_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aisp-prof"


class TraceCache:
    """A folder of traces by what they are: the content of the file, the reader's own code, and the patterns asked for."""

    def __init__(self, folder: Path | None = None, least: int = LEAST, limit: int = LIMIT) -> None:
        self._folder = (folder or cache_folder()) / "traces"
        self._least = least
        self._limit = limit

    def key(self, path: Path, patterns: Iterable[str]) -> str | None:
        """The name of a trace in the cache, None for what is not cached: folders and small files."""
        if not path.is_file() or path.stat().st_size < self._least:
            return None
        parts = (fingerprint(path), reader_fingerprint(), *patterns)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def get(self, key: str, path: Path) -> Trace | None:
        """The cached trace under the path that it has now; None where there is none, or none that can be read."""
        folder = self._folder / key
        try:
            info = json.loads((folder / _INFO).read_text("utf-8"))
            found = unpack(info, folder, path)
            os.utime(folder)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found

    def put(self, key: str, trace: Trace) -> None:
        """Keep a trace. It appears whole or not at all; a full or read-only disk is no error."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
            try:
                with ThreadPoolExecutor(workers()) as pool:
                    info = pack(trace, new, pool)
                (new / _INFO).write_text(json.dumps(info), "utf-8")
                new.rename(self._folder / key)
            finally:
                shutil.rmtree(new, ignore_errors=True)
            self._shrink()

    def _shrink(self) -> None:
        """Remove what was used longest ago until the rest fits."""
        entries = sorted(
            (e for e in self._folder.iterdir() if e.is_dir()), key=lambda e: e.stat().st_mtime, reverse=True
        )
        total = 0
        for entry in entries:
            total += sum(file.stat().st_size for file in entry.iterdir())
            if total > self._limit:
                shutil.rmtree(entry, ignore_errors=True)
