"""The raw page of an ncu report as CSV, read and written: a header, a row of units, then a row for every kernel launch."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ...errors import UsageError
from ..untrusted import read_whole
from .model import Dim, KernelCounters, NvtxRange
from .quantities import base, decimal_mark, number

PUSH_POP = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
START_END = "Id:Domain:Start/Stop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
_NEEDED = ("ID", "Kernel Name", "Block Size", "Grid Size", "Device", "CC")
_TEXTS = {*_NEEDED, "Process ID", "Process Name", "Host Name", "Context", "Stream", PUSH_POP, START_END}

MOST_BYTES = 128 << 20
"""The largest raw page that is read: some 10,000 launches with every metric. It is written by others: untrusted."""
LARGEST = 1e18
"""The largest count, rate or size that is taken for a measured one."""

EXPORT = "ncu --import FILE.ncu-rep --page raw --csv --print-units base --rename-kernels no > FILE.csv"

# A name may hold colons; what follows it is told by its shape. The last two fields are none:none, or a type and the message.
_RANGE = re.compile(
    r"(?P<domain>[^:]*):(?P<name>.*?):\w+:[^:]*:\w+:(?:none|0x[0-9a-fA-F]+):(?:none:none|(?!none:)\w+:.*)", re.DOTALL
)


def read_raw_csv(path: Path) -> list[KernelCounters]:
    """Every kernel launch of the file, in its order; counts are exact, other numbers have the digits that ncu printed.

    Raises:
        UsageError: it cannot be read, or is not ncu's raw page with its row of units.
    """
    rows = _rows(path)
    header, units, launches = rows[0], rows[1], rows[2:]
    column = {name: i for i, name in enumerate(header)}
    if missing := [name for name in _NEEDED if name not in column]:
        raise UsageError(f"{path} is no raw page of ncu: it has no column {missing[0]}", EXPORT)
    if units[column["ID"]].strip():
        raise UsageError(f"{path}: row 2 holds no units", EXPORT)
    metrics = [(i, name, units[i]) for i, name in enumerate(header) if name not in _TEXTS]
    mark = decimal_mark(row[i] for row in launches for i, _, _ in metrics)
    return [_launch(path, i + 3, row, column, metrics, mark) for i, row in enumerate(launches)]


def write_raw_csv(launches: Sequence[KernelCounters], metrics: Collection[str], path: Path) -> None:
    """Write what `read_raw_csv` reads again: names, grids, ranges and, of the metrics, those in `metrics`; nothing else.

    Numbers are in base units, so the row of units is empty.
    """
    shown = sorted({name for launch in launches for name in launch.metrics} & set(metrics))
    header = ["ID", PUSH_POP, START_END, "Kernel Name", "Block Size", "Grid Size", "Device", "CC", *shown]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        rows.writerow(header)
        rows.writerow([""] * len(header))
        for one in launches:
            pushed = " ".join(_cell(r) for r in one.nvtx if r.kind == "push_pop")
            started = " ".join(_cell(r, "1:") for r in one.nvtx if r.kind == "start_end")
            told = [one.index, pushed, started, one.name, one.block, one.grid, one.device, one.compute_capability]
            rows.writerow([*told, *(one.metrics.get(name, "n/a") for name in shown)])


def _cell(one: NvtxRange, number: str = "") -> str:
    """A range as ncu writes it, without payload, colour and message."""
    return f'"{number}{one.domain}:{one.name}{":none" * 6}"'


def private_names(path: Path) -> list[str]:
    """Names of hosts that a raw page of ncu holds."""
    header, _, *launches = _rows(path)
    found = {row[header.index("Host Name")] for row in launches} if "Host Name" in header else set()
    return sorted(found)


def _rows(path: Path) -> list[list[str]]:
    """Header, units and launches; what ncu or a program printed before the header is skipped."""
    try:
        lines = read_whole(path, MOST_BYTES).decode("utf-8", "replace").splitlines(keepends=True)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    begin = next((i for i, line in enumerate(lines) if line.lstrip("\ufeff").startswith(('"ID"', "ID,"))), None)
    if begin is None:
        raise UsageError(f"{path} is no raw page of ncu: no line of it begins with the column ID", EXPORT)
    lines[begin] = lines[begin].lstrip("\ufeff")
    try:
        rows = [row for row in csv.reader(lines[begin:]) if row]
    except csv.Error as error:
        raise UsageError(f"{path} is no raw page of ncu: {error}", EXPORT) from error
    rows = [row for row in rows if len(row) == len(rows[0])]
    if len(rows) < 2:
        raise UsageError(f"{path} ends before the row of units", EXPORT)
    return rows


def _launch(
    path: Path,
    line: int,
    row: Sequence[str],
    column: dict[str, int],
    metrics: Sequence[tuple[int, str, str]],
    mark: str,
) -> KernelCounters:
    def text(name: str) -> str:
        return row[column[name]] if name in column else ""

    found = [(name, number(row[i], mark), unit) for i, name, unit in metrics]
    for name, value, _ in found:
        if value is not None and not -LARGEST < value < LARGEST:
            raise UsageError(f"{path}, row {line}: {name[:60]!r} is no measured number", EXPORT)
    return KernelCounters(
        index=_integer(text("ID"), f"{path}, row {line}: ID"),
        name=text("Kernel Name"),
        grid=_dim(text("Grid Size"), f"{path}, row {line}: Grid Size"),
        block=_dim(text("Block Size"), f"{path}, row {line}: Block Size"),
        device=_integer(text("Device"), f"{path}, row {line}: Device"),
        compute_capability=text("CC"),
        metrics={name: base(value, unit) for name, value, unit in found if value is not None},
        nvtx=(*_ranges(text(PUSH_POP)), *_ranges(text(START_END), numbered=True)),
    )


def _integer(text: str, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise UsageError(f"{where} is no number: {text[:60]!r}", EXPORT)
    return int(text)


def _dim(text: str, where: str) -> Dim:
    """ "(384, 1, 1)" """
    found = re.fullmatch(r"\(([0-9]{1,18}), *([0-9]{1,18}), *([0-9]{1,18})\)", text.strip())
    if not found:
        raise UsageError(f"{where} is not like (x, y, z): {text[:60]!r}", EXPORT)
    return int(found[1]), int(found[2]), int(found[3])


def _ranges(cell: str, numbered: bool = False) -> Iterator[NvtxRange]:
    """The ranges of a cell: each in quotes, a start/end range with its number in front."""
    for item in re.findall(r'"([^"]*)"', cell):
        found = _RANGE.fullmatch(item.partition(":")[2] if numbered else item)
        if found:
            yield NvtxRange(found["domain"], found["name"], "start_end" if numbered else "push_pop")
