"""Unpack a trace that somebody else packed: never more bytes, and never more memory, than allowed."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from ....errors import AispError, EnvironmentLacks, TraceError
from .limits import UNPACK_MEMORY_BYTES, UNPACK_VARIABLE, unpacked_bytes

_AT_ONCE = 1 << 20
_PACKED = 1 << 14
"""How much of an .xz is read at once: every stream copies the rest of it, and 500 empty ones fit in."""


def unpack(path: Path, to: Path) -> None:
    """Unpack an .xz, .gz or .zst (`SUFFIXES`) into a new file.

    Raises:
        TraceError: it is damaged, grows beyond `limits.unpacked_bytes()`, or asks for more memory than the limit.
        EnvironmentLacks: what the format needs is not installed.
        AispError: there is no room for it.
    """
    left = unpacked_bytes()
    parts = SUFFIXES[path.suffix](path)
    try:
        with to.open("wb") as out:
            for part in parts:
                left -= len(part)
                if left < 0:
                    raise TraceError(
                        f"{path}: unpacked, it is more than {unpacked_bytes() / (1 << 30):g} GiB",
                        f"if you trust it: aisp-prof --unpack-limit GIB …, or {UNPACK_VARIABLE}",
                    )
                put(out, part)
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: cannot be unpacked: {error}") from error
    except Exception as error:
        if type(error).__name__ not in ("ZstdError", "ZstdDecompressionError"):
            raise
        raise TraceError(f"{path}: cannot be unpacked: {error}") from error


def put(out: IO[bytes], part: bytes) -> None:
    """Write a part of an unpacked trace.

    Raises:
        AispError: there is no room for it.
    """
    try:
        out.write(part)
    except OSError as error:
        raise AispError(
            f"no room to unpack a trace in {Path(out.name).parent}: {error.strerror}", "name another folder: TMPDIR=…"
        ) from error


def _zstd(path: Path) -> Iterator[bytes]:
    """Python's own since 3.14, before that the `zstandard` package; both refuse windows above 128 MiB on their own."""
    try:
        from compression import zstd
    except ImportError:
        try:
            import zstandard
        except ImportError as error:
            raise EnvironmentLacks(
                f"{path}: reading .zst needs the zstandard package", "pip install 'aisp-prof[zst]'"
            ) from error
        return _pieces(cast(IO[bytes], zstandard.open(path, "rb")))
    return _pieces(cast(IO[bytes], zstd.open(path, "rb")))


def _gz(path: Path) -> Iterator[bytes]:
    return _pieces(cast(IO[bytes], gzip.GzipFile(path)))


def _pieces(packed: IO[bytes]) -> Iterator[bytes]:
    with packed:
        while part := packed.read(_AT_ONCE):
            yield part


def _xz(path: Path) -> Iterator[bytes]:
    """Stream after stream; lzma.LZMAFile has no memory limit."""
    with path.open("rb") as file:
        packed = file.read(_PACKED)
        while packed:
            stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=UNPACK_MEMORY_BYTES)
            while not stream.eof:
                if stream.needs_input and not packed:
                    raise EOFError("the file ends before the end of its stream")
                yield stream.decompress(packed, _AT_ONCE)
                packed = file.read(_PACKED) if stream.needs_input else b""
            packed = stream.unused_data.lstrip(b"\0") or file.read(_PACKED).lstrip(b"\0")


SUFFIXES: Mapping[str, Callable[[Path], Iterator[bytes]]] = {".xz": _xz, ".gz": _gz, ".zst": _zstd}
