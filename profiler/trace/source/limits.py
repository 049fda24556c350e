"""How much a trace may demand of the machine that reads it. Traces are untrusted: docs/threat-model.md lists the limits."""

from __future__ import annotations

import os
from pathlib import Path

from ....errors import TraceError, UsageError

UNPACK_VARIABLE = "AISP_UNPACK_LIMIT_GIB"
UNPACKED_GIB = 16
"""How large a packed trace may become, in GiB, unless the variable or `aisp-prof --unpack-limit` says otherwise."""
UNPACK_MEMORY_BYTES = 256 << 20
"""Memory that unpacking may take: `xz -9` takes 65 MiB, and a header can ask for 4 GiB."""
VALUE_BYTES = 512 << 20
"""The longest value of a trace's table, and the longest row: StringIds may hold a whole program's output."""
TABLES = 2_000
"""Tables of a trace; nsys knows fewer than 200."""
PROCESSES = 1_024
"""Processes with GPU work, API calls or ranges; each of them is looked at individually."""
DEVICES = 1_024
"""GPUs of a trace; without uuids, pairs of a process and a CUDA device."""
ROW_BYTES = 4
"""The least that a row takes in a file: a pointer, two lengths, a header. A file with more rows than that allows has a
loop of pages."""

OUTPUT_LEAST, OUTPUT_RATIO = 256 << 20, 256
"""Bytes of text that may be made of any trace, and as a multiple of its file's size: a name of megabytes repeated in
every row exceeds both."""


def output_bytes(trace: Path) -> int:
    """How many bytes of text (CSV, JSON) may be made of a trace."""
    files = trace.iterdir() if trace.is_dir() else [trace]
    return max(OUTPUT_LEAST, OUTPUT_RATIO * sum(file.stat().st_size for file in files if file.is_file()))


def too_much_output(trace: Path) -> UsageError:
    """The error when it would be more than that."""
    return UsageError(
        f"{trace}: as text it would be more than {output_bytes(trace):,} bytes: names far longer than nsys writes",
        "choose fewer rows, or write Parquet, which holds each name once",
    )


def refuse_absurd_counts(path: Path, processes: int, devices: int) -> None:
    """Bound what every command iterates over.

    Raises:
        TraceError: there are more than any one machine has.
    """
    for count, most, what in ((processes, PROCESSES, "processes"), (devices, DEVICES, "GPUs")):
        if count > most:
            raise TraceError(f"{path}: {count:,} {what}, at most {most:,} are read: no one machine has so many")


def unpacked_bytes() -> int:
    """How many bytes a packed trace may become.

    Raises:
        UsageError: the variable is not a number.
    """
    text = os.environ.get(UNPACK_VARIABLE) or str(UNPACKED_GIB)
    try:
        limit = float(text)
    except ValueError as error:
        raise UsageError(f"{UNPACK_VARIABLE} is {text!r}, no number of GiB") from error
    if not 0 < limit < 1 << 20:
        raise UsageError(f"{UNPACK_VARIABLE} is {text}: a limit is above 0 and below a million GiB")
    return int(limit * (1 << 30))
