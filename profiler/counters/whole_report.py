"""Whether an Nsight Compute report is complete: ncu_report silently reads the first part of a truncated one.

The format is NVIDIA's own (`extras/FileFormat/ProfilerReport.proto` of Nsight Compute): "NVR" and a zero byte; the length of
a file header, and it; then blocks up to the end of the file, each the length of a block header, that header, and as many
bytes as it states. Lengths are 32 bits, little endian; headers are protocol buffers. A file that was cut between two blocks
is a whole file of fewer kernels: that cannot be told.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ...errors import UsageError

_MAGIC = b"NVR"
_START = 4
_PAYLOAD = 5
_RESULTS = (2, 7, 8, 9)
"""Numbers of the block header's fields for results of kernels, ranges, command lists and graphs; `_PAYLOAD` is its size."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MEND = "copy the report again, or take it again: ncu --export FILE.ncu-rep"


def refuse_cut_report(path: Path) -> int:
    """How many results a report states, once every part that it states has been found.

    Raises:
        UsageError: it is not a report, or ends in the middle of a part.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:  # load_report would return an empty report
            raise UsageError(f"{path} is no Nsight Compute report: it does not begin with NVR")
        at, results, number = _START, 0, 0
        while at < size:
            file.seek(at)
            length = _length(file.read(4))
            header = b"" if length is None or at + 4 + length > size else file.read(length)
            fields = None if length is None or len(header) < length else _numbers(header)
            payload = 0 if fields is None or not number else fields.get(_PAYLOAD, 0)
            at += 4 + (length or 0) + payload
            if fields is None or at > size:
                part = (
                    f"part {number} of it goes on to byte {at:,}"
                    if length and at > size
                    else f"part {number} is damaged"
                )
                raise UsageError(f"{path} is cut or damaged: it has {size:,} bytes, and {part}", _MEND)
            results += sum(fields.get(one, 0) for one in _RESULTS) if number else 0
            number += 1
    if number < 2:
        raise UsageError(f"{path} is cut or damaged: it ends after {size:,} bytes, before its first part", _MEND)
    return results


def _length(raw: bytes) -> int | None:
    return int(struct.unpack("<I", raw)[0]) if len(raw) == 4 else None


def _numbers(message: bytes) -> dict[int, int] | None:
    """The integers of a protocol buffer by field number; None if it is not a protocol buffer."""
    fields = list(_fields(message))
    return None if None in fields else dict(field for field in fields if field is not None)


def _fields(message: bytes) -> Iterator[tuple[int, int] | None]:
    """Each field's number with its value, or with its length if it is not an integer; ends with None if this is not a
    message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        value, at = _varint(message, at) if kind in (_VARINT, _BYTES) else (0, at)
        at += {_VARINT: 0, _BYTES: value, _FIXED64: 8, _FIXED32: 4}.get(kind, len(message) + 1)
        if at > len(message):
            yield None
            return
        if kind == _VARINT:
            yield key >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits per byte, and where it ends: past the message's end if it is unterminated."""
    value = shift = 0
    for place in range(at, min(at + 10, len(message))):
        value |= (message[place] & 0x7F) << shift
        shift += 7
        if message[place] < 0x80:
            return value, place + 1
    return value, len(message) + 1
