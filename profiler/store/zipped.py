"""A bundle's zip: written in one form only, and read as what it may be, a stranger's file that means harm."""

from __future__ import annotations

import hashlib
import lzma
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...errors import UsageError
from ...machine.files import whole_file
from ..trace.source.unpack import put

MAX_ENTRIES = 1_000
MAX_NAME = 200
"""Characters of an entry's name, folders included."""
MAX_FILE_BYTES = 1 << 30
MAX_TOTAL_BYTES = (1 << 31) - (1 << 20)
"""Of a whole zip: below 2 GiB, so that ZIP64 and its second set of sizes are never needed, nor accepted."""

MAX_UNPACKED_BYTES = 8 << 30
"""Of a packed trace."""
MAX_RATIO, FREE_UNPACKED_BYTES = 200, 64 << 20
"""A packed trace may grow by this factor (scrubbed ones grow by 5 to 10), and to 64 MiB in any case."""
MAX_UNPACKING_MEMORY = 256 << 20

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
_LOCAL_HEADER = 30
_CENTRAL_HEADER = 46
_END, _END_BYTES = b"PK\x05\x06", 22
_ZIP64, _ZIP64_BYTES = b"PK\x06\x07", 20
_REGULAR_FILE = 0o100644 << 16
_ENCRYPTED = 0x1
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Unzipped:
    """The files of a zip in a fresh folder: name -> sha256 of what lies there, in the order of the zip."""

    folder: Path
    sha256: Mapping[str, str]


def write_zip(target: Path, files: Mapping[str, Path]) -> None:
    """Write files into a zip, whole or not at all, however the process ends; what a killed one left goes with the next.

    The bytes depend on names and contents alone: sorted, dated 1980-01-01, of one kind and permission, and stored rather than
    deflated, because deflating gives other bytes with another zlib (what is large in a bundle is packed already).

    Raises:
        UsageError: more or larger files than `unzipped` accepts, or a name that it refuses.
        OSError: the target cannot be written.
    """
    _check_names(list(files))
    _check_sizes({name: path.stat().st_size for name, path in files.items()})
    with whole_file(target) as file:
        _pack(file, files)


def _pack(target: IO[bytes], files: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # dated 1980-01-01 00:00:00 when nothing is said
            entry.create_system, entry.external_attr = 3, _REGULAR_FILE
            entry.file_size = files[name].stat().st_size
            with archive.open(entry, "w") as inside, files[name].open("rb") as source:
                while block := source.read(_STEP):
                    inside.write(block)


@contextmanager
def unzipped(path: Path) -> Iterator[Unzipped]:
    """The files of a zip, copied into a temporary folder that goes with the context. Nothing is written anywhere else.

    Raises:
        UsageError: it is no zip, or one that `write_zip` would never write: entries with absolute paths, `..`, odd characters,
            links, folders, duplicates (also by case alone), encryption, compression, overlaps, a size above the limits.
    """
    entries = _entries(path)
    with tempfile.TemporaryDirectory(prefix="aisp-bundle-") as scratch, path.open("rb") as file:
        folder = Path(scratch)
        yield Unzipped(folder, {entry.filename: _copy(file, entry, folder) for entry in entries})


def _copy(file: IO[bytes], entry: zipfile.ZipInfo, folder: Path) -> str:
    """Copy the entry's bytes, as many as were announced and checked; their sha256.

    Damage is not looked for here: a wrong byte is found by the hashes, which can say in which file.
    """
    target = folder / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    file.seek(entry.header_offset + _LOCAL_HEADER + len(entry.filename))
    digest, left = hashlib.sha256(), entry.file_size
    with target.open("xb") as out:
        while left and (block := file.read(min(_STEP, left))):
            digest.update(block)
            out.write(block)
            left -= len(block)
    return digest.hexdigest()


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: no bundle: not a file")
    try:
        with path.open("rb") as file:
            _check_end(file, path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UsageError(f"{path}: no bundle: {error}") from error
    try:
        _check_entries(entries)
    except UsageError as error:
        raise UsageError(f"{path}: no bundle: {error}", error.mend) from error
    return entries


def _check_end(file: IO[bytes], size: int) -> None:
    """Look at the zip's last record before anything reads its list: a list of millions is refused unread."""
    if size > MAX_TOTAL_BYTES:
        raise ValueError(f"{size} bytes, at most {MAX_TOTAL_BYTES} are accepted")
    file.seek(max(0, size - _END_BYTES - _ZIP64_BYTES))
    before, end = (tail := file.read())[:-_END_BYTES], tail[-_END_BYTES:]
    if not end.startswith(_END) or not end.endswith(b"\0\0") or before.startswith(_ZIP64):
        raise ValueError("it does not end as a zip without a comment does")
    count, listed = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if count > MAX_ENTRIES or listed > MAX_ENTRIES * (_CENTRAL_HEADER + MAX_NAME):
        raise ValueError(f"{count} entries listed in {listed} bytes, at most {MAX_ENTRIES} entries are accepted")


def _check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    _check_names([entry.orig_filename for entry in entries])
    _check_sizes({entry.filename: entry.file_size for entry in entries})
    at = 0
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise UsageError(f"{entry.filename} is encrypted")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise UsageError(f"{entry.filename} is compressed: a bundle's entries are stored")
        if entry.external_attr != _REGULAR_FILE:
            raise UsageError(f"{entry.filename} is a link, a folder, or another kind of file than a bundle holds")
        if entry.extra or entry.comment:
            raise UsageError(f"{entry.filename} carries further data")
        if entry.header_offset != at:
            raise UsageError(
                f"{entry.filename} begins at byte {entry.header_offset}, not at {at}: overlapping or hidden"
            )
        at += _LOCAL_HEADER + len(entry.filename) + entry.file_size


def _check_names(names: Sequence[str]) -> None:
    """Refuse whatever would not become one file of its own below the folder, on any file system."""
    if len(names) > MAX_ENTRIES:
        raise UsageError(f"{len(names)} entries, at most {MAX_ENTRIES} are accepted")
    for name in names:
        if len(name) > MAX_NAME or not _NAME.fullmatch(name):
            raise UsageError(
                f"an entry is called {name[:MAX_NAME]!r}: an absolute path, '..', or characters that no bundle has"
            )
    folded = [name.casefold() for name in names]
    taken: set[str] = set()
    for name in sorted(folded):
        if name in taken:
            raise UsageError(f"{name} is there twice")
        taken.add(name)
    for name in folded:
        parts = name.split("/")
        if any("/".join(parts[:depth]) in taken for depth in range(1, len(parts))):
            raise UsageError(f"{name} lies in what is a file")


def _check_sizes(sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        if size > MAX_FILE_BYTES:
            raise UsageError(f"{name}: {size} bytes, at most {MAX_FILE_BYTES} are accepted")
    total = sum(sizes.values()) + sum(_LOCAL_HEADER + _CENTRAL_HEADER + 2 * len(name) for name in sizes) + _END_BYTES
    if total > MAX_TOTAL_BYTES:
        raise UsageError(f"{total} bytes in all, at most {MAX_TOTAL_BYTES} are accepted")


def first_difference(path: Path, found: Unzipped) -> str:
    """Where the zip is not what `write_zip` makes of its files, in words; "" where it is, byte for byte."""
    with tempfile.TemporaryFile() as again, path.open("rb") as file:
        _pack(again, {name: found.folder / name for name in found.sha256})
        again.seek(0)
        at = 0
        while True:
            ours, theirs = again.read(_STEP), file.read(_STEP)
            if ours != theirs:
                at += first_unequal(ours, theirs)
                return f"byte {at}, {_place(found, at)}"
            if not ours:
                return ""
            at += len(ours)


def first_unequal(one: bytes, two: bytes) -> int:
    """The place of the first byte that differs; where one ends before that, its length. Found by halves: a loop takes a second."""
    low, high = 0, min(len(one), len(two))
    if one[:high] == two[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _place(found: Unzipped, byte: int) -> str:
    at = 0
    for name in sorted(found.sha256):
        begin = at + _LOCAL_HEADER + len(name)
        at = begin + (found.folder / name).stat().st_size
        if byte < begin:
            return f"in the header of {name}"
        if byte < at:
            return f"in {name}"
    return "in the list of entries at the end"


def check_packed(path: Path, out: IO[bytes] | None = None) -> None:
    """Unpack an `.xz` file, into nothing or into `out`, to see that it is one stream of a size that its reader may be given.

    Raises:
        UsageError: it is damaged, larger than the limits, needs more memory, or goes on behind its end.
    """
    unpacked, packed = 0, path.stat().st_size
    most = min(MAX_UNPACKED_BYTES, max(FREE_UNPACKED_BYTES, packed * MAX_RATIO))
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_UNPACKING_MEMORY)
    try:
        with path.open("rb") as file:
            while not decompressor.eof:
                block = file.read(_STEP) if decompressor.needs_input else b""
                if decompressor.needs_input and not block:
                    raise UsageError("it ends too early")
                part = decompressor.decompress(block, _STEP)
                unpacked += len(part)
                if unpacked > most:
                    raise UsageError(f"more than {most} bytes, unpacked from {packed}: more than is accepted")
                if out is not None:
                    put(out, part)
            if decompressor.unused_data or file.read(1):
                raise UsageError("it goes on behind its end")
    except lzma.LZMAError as error:
        raise UsageError(f"cannot be unpacked: {error}") from error
