"""The raw page of an ncu report as CSV, read and written: a header, a row of units, then a row for every kernel launch."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ...errors import UsageError
from ...machine.files import read_whole
from .kernel_counters import Dim, KernelCounters, NvtxRange
from .quantities import AmbiguousError, base, decimal_mark, factor, number, uncertainty
from .totals import exact_totals

PUSH_POP = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
START_END = "Id:Domain:Start/Stop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
_NEEDED = ("ID", "Kernel Name")
_DIMS = {"Grid Size": "launch__grid_dim_x", "Block Size": "launch__block_dim_x"}
"""Where ncu before 2023 keeps the grid and the block: in metrics, one per axis."""
_TEXTS = {
    *_NEEDED,
    *_DIMS,
    "Device",
    "CC",
    "Kernel Time",
    "Process ID",
    "Process Name",
    "Host Name",
    "Context",
    "Stream",
    PUSH_POP,
    START_END,
}

MOST_BYTES = 128 << 20
"""The largest raw page that is read: some 10,000 launches with every metric. It is untrusted."""
LARGEST = 1e18
"""The largest count, rate or size that is accepted as measured."""

EXPORT = "LC_ALL=C ncu --import FILE.ncu-rep --page raw --csv --print-units base > FILE.csv"
"""Options of every version; `--rename-kernels no`, which keeps names whole, is refused by those before 2025."""

# A name may hold colons; what follows it is recognised by its shape. The last two fields are none:none, or a type and
# the message.
_RANGE = re.compile(
    r"(?P<domain>[^:]*):(?P<name>.*?):\w+:[^:]*:\w+:(?:none|0x[0-9a-fA-F]+):(?:none:none|(?!none:)\w+:.*)", re.DOTALL
)


def read_raw_csv(path: Path) -> list[KernelCounters]:
    """Every kernel launch of the file, in its order; counts are exact, other numbers have the digits that ncu printed.

    Raises:
        UsageError: it cannot be read, or is not a raw page of ncu with its row of units.
    """
    header, units, *launches = _rows(path)
    column = {name: i for i, name in enumerate(header)}
    needed = [*_NEEDED, *(name for name, metric in _DIMS.items() if metric not in column)]
    if missing := [name for name in needed if name not in column]:
        raise UsageError(f"{path} is no raw page of ncu: it has no column {missing[0]}", EXPORT)
    if units[column["ID"]].strip():
        raise UsageError(f"{path}: row 2 holds no units", EXPORT)
    metrics = [(i, name, units[i]) for i, name in enumerate(header) if name not in _TEXTS]
    mark = decimal_mark(row[i] for row in launches for i, _, _ in metrics)
    page = _Page(path, column, metrics, mark)
    return [page.launch(i + 3, row) for i, row in enumerate(launches)]


def write_raw_csv(launches: Sequence[KernelCounters], metrics: Collection[str], path: Path) -> None:
    """Write what `read_raw_csv` can read back: names, grids, ranges, and those metrics that are in `metrics`; nothing else.

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
            rows.writerow([*told, *(_written(one.metrics.get(name)) for name in shown)])


def _written(value: float | None) -> str:
    """The number as text that cannot be misread as thousands: never with three decimals."""
    text = "n/a" if value is None else str(value)
    return f"{text}0" if re.fullmatch(r"-?\d+\.\d{3}", text) else text


def _cell(one: NvtxRange, number: str = "") -> str:
    """A range as ncu writes it, without payload, colour and message."""
    return f'"{number}{one.domain}:{one.name}{":none" * 6}"'


def private_names(path: Path) -> list[str]:
    """The host names that a raw page of ncu holds."""
    header, _, *launches = _rows(path)
    hosts = {row[header.index("Host Name")] for row in launches} if "Host Name" in header else set()
    return sorted(hosts)


def _rows(path: Path) -> list[list[str]]:
    """Header, units and launches; whatever ncu or the program printed before the header is skipped."""
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


@dataclass(frozen=True, slots=True)
class _Page:
    """What all launches of a page share: `column` finds cells by name, `metrics` are column, name and unit, `mark` is
    its decimal mark."""

    path: Path
    column: Mapping[str, int]
    metrics: Sequence[tuple[int, str, str]]
    mark: str

    def launch(self, line: int, row: Sequence[str]) -> KernelCounters:
        def text(name: str) -> str:
            return row[self.column[name]] if name in self.column else ""

        where = f"{self.path}, row {line}"
        metrics, unsure = self._numbers(row, where)
        return KernelCounters(
            index=_integer(text("ID"), f"{where}: ID"),
            name=text("Kernel Name"),
            grid=_dim(text("Grid Size"), metrics, "grid", f"{where}: Grid Size"),
            block=_dim(text("Block Size"), metrics, "block", f"{where}: Block Size"),
            device=_integer(text("Device"), f"{where}: Device")
            if "Device" in self.column
            else int(metrics.get("launch__device_id", 0)),
            compute_capability=text("CC") or capability(metrics),
            metrics=metrics,
            nvtx=(*_ranges(text(PUSH_POP)), *_ranges(text(START_END), numbered=True)),
            derived=exact_totals(metrics, unsure),
        )

    def _numbers(self, row: Sequence[str], where: str) -> tuple[dict[str, float], dict[str, float]]:
        """The metrics in base units, and how far rounding in print may have moved each."""
        values: dict[str, float] = {}
        unsure: dict[str, float] = {}
        for i, name, unit in self.metrics:
            try:
                value = number(row[i], self.mark)
            except AmbiguousError as error:
                told = f"{name[:60]!r} is {row[i][:60]!r}, thousands or decimals by the locale that ncu ran in"
                raise UsageError(f"{where}: {told}, and no other number tells", EXPORT) from error
            if value is None:
                continue
            if not -LARGEST < value < LARGEST:
                raise UsageError(f"{where}: {name[:60]!r} is no measured number", EXPORT)
            values[name] = base(value, unit)
            if half := uncertainty(row[i], self.mark):
                unsure[name] = half * factor(unit)
        return values, unsure


def capability(metrics: Mapping[str, float]) -> str:
    """The compute capability that a device's attributes state, "" where they do not."""
    parts = [metrics.get(f"device__attribute_compute_capability_{part}") for part in ("major", "minor")]
    return ".".join(str(int(part)) for part in parts if part is not None)


def _integer(text: str, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise UsageError(f"{where} is no number: {text[:60]!r}", EXPORT)
    return int(text)


def _dim(text: str, metrics: Mapping[str, float], what: str, where: str) -> Dim:
    """ "(384, 1, 1)", or, on a page without that column, from `launch__grid_dim_x` and its like."""
    extents = re.fullmatch(r"\(([0-9]{1,18}), *([0-9]{1,18}), *([0-9]{1,18})\)", text.strip())
    if extents:
        return int(extents[1]), int(extents[2]), int(extents[3])
    told = [metrics.get(f"launch__{what}_dim_{axis}", 1 if axis != "x" else None) for axis in "xyz"]
    size = metrics.get(f"launch__{what}_size")
    if text or None in told or (size is not None and size != prod(side for side in told if side)):
        raise UsageError(f"{where} is not like (x, y, z): {text[:60]!r}", EXPORT)
    x, y, z = (int(side or 0) for side in told)
    return x, y, z


def _ranges(cell: str, numbered: bool = False) -> Iterator[NvtxRange]:
    """The ranges of a cell: each in quotes, start/end ranges preceded by their number."""
    for item in re.findall(r'"([^"]*)"', cell):
        told = _RANGE.fullmatch(item.partition(":")[2] if numbered else item)
        if told:
            yield NvtxRange(told["domain"], told["name"], "start_end" if numbered else "push_pop")
