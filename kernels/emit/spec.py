"""The spec of a kernel: a chain of steps over rows, its inputs, dtype and shapes; read from TOML (docs/kernel-gate.md)."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .ops import OPS

VERSION = 1
"""The version of the language. A spec that states another is refused, and the version is part of its hash."""

DTYPES: Mapping[str, int] = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Name -> bytes."""

TOLERANCES: Mapping[str, float] = {"fp32": 1e-5, "bf16": 4e-3, "fp16": 1e-3}
"""By the output's dtype: rounding alone costs half an ulp, 2^-9 of a bf16 and 2^-11 of an fp16; the rest is for fp32 sums."""

LAYOUTS = ("tensor", "column", "row")
"""An input's shape for rows x columns: the whole, one entry per column, or one per row."""

SHIPPED = Path(__file__).parents[1] / "specs"
RESERVED = frozenset({"out", "rows", "columns", "elements"})
"""Names of the kernel's other arguments."""
MAX_STEPS = 32

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FIELDS = {
    "version",
    "name",
    "dtype",
    "output",
    "shape",
    "inputs",
    "steps",
    "edges",
    "tolerance",
    "aligned",
    "magnitudes",
}


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor that the kernel reads; `layout` is one of LAYOUTS."""

    name: str
    layout: str


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain: an op of `ops.OPS`, its parameters (complete), and its operand's name if it takes one."""

    op: str
    parameters: tuple[tuple[str, float], ...]
    operand: str | None


@dataclass(frozen=True, slots=True)
class Spec:
    """What a kernel computes: the first input goes through `steps`, in fp32, and is rounded to `output` once.

    shape      (rows, columns) that the kernel is tuned for and timed at; (1, n) for a chain over n elements
    edges      further shapes that it must be right at
    magnitudes factors by which the first input, N(0, 1), is multiplied in further checks
    tolerance  largest accepted error of an element, relative to the sum of its magnitude and the root mean square of all
    aligned    callers promise 16-byte aligned pointers; otherwise the kernel must accept any
    """

    name: str
    dtype: str
    output: str
    shape: tuple[int, int]
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    edges: tuple[tuple[int, int], ...]
    magnitudes: tuple[float, ...]
    tolerance: float
    aligned: bool

    @property
    def entry(self) -> str:
        """The kernel's name in the source."""
        return f"aisp_{self.name}"

    @property
    def reduces(self) -> bool:
        """Whether the output has one value per row."""
        return any(OPS[step.op].shape == "reduce" for step in self.steps)

    @property
    def flat(self) -> bool:
        """Whether rows do not matter: every element by itself, and no input but whole tensors."""
        return all(OPS[step.op].shape == "element" for step in self.steps) and all(
            one.layout == "tensor" for one in self.inputs
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The kernel's parameters in order: pointers to inputs and output, then sizes as int64."""
        sizes = ("elements",) if self.flat else ("rows", "columns")
        return (*(one.name for one in self.inputs), "out", *sizes)

    @property
    def digest(self) -> str:
        """SHA-256 of the meaning: comments and the order of keys in the file do not change it."""
        text = json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def input_shape(self, layout: str, shape: tuple[int, int]) -> tuple[int, ...]:
        rows, columns = shape
        return {"tensor": (rows, columns), "column": (columns,), "row": (rows,)}[layout]

    def output_shape(self, shape: tuple[int, int]) -> tuple[int, ...]:
        return shape[:1] if self.reduces else shape


def read_spec(path_or_name: str | Path) -> Spec:
    """The spec in a TOML file, or a shipped one by its name (`l2norm`).

    Raises:
        UsageError: there is no such spec, or it is malformed; the message names the field.
    """
    path = Path(path_or_name)
    if not path.is_file() and _NAME.fullmatch(str(path_or_name)):
        path = SHIPPED / f"{path_or_name}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(sorted(one.stem for one in SHIPPED.glob("*.toml")))
        raise UsageError(
            f"there is no readable spec {path_or_name}", f"name a TOML file, or one of: {names}"
        ) from error
    return parse_spec(text, str(path_or_name))


def parse_spec(text: str, where: str) -> Spec:
    """As `read_spec`, of a text; `where` begins the messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error
    return _Parser(where).spec(data)


@dataclass(frozen=True, slots=True)
class _Parser:
    where: str

    def spec(self, data: Mapping[str, Any]) -> Spec:
        if data.get("version") != VERSION:
            raise self._wrong("version", f"is {data.get('version')!r}", f"version = {VERSION}")
        self._known("the spec", data, _FIELDS)
        dtype = self._choice("dtype", data.get("dtype"), DTYPES)
        output = self._choice("output", data.get("output", dtype), DTYPES)
        inputs = self._inputs(data.get("inputs", {"x": "tensor"}))
        spec = Spec(
            name=self._name("name", data.get("name")),
            dtype=dtype,
            output=output,
            shape=self._shape("shape", data.get("shape")),
            inputs=inputs,
            steps=self._steps(data.get("steps"), inputs),
            edges=tuple(self._shape("edges", one) for one in self._list("edges", data.get("edges", []))),
            magnitudes=tuple(
                self._number("magnitudes", one) for one in self._list("magnitudes", data.get("magnitudes", []))
            ),
            tolerance=self._number("tolerance", data.get("tolerance", TOLERANCES[output])),
            aligned=self._flag("aligned", data.get("aligned", False)),
        )
        self._check(spec)
        return spec

    def _check(self, spec: Spec) -> None:
        if not 0 < spec.tolerance < 1:
            raise self._wrong("tolerance", f"is {spec.tolerance:g}", "a number between 0 and 1")
        used = {step.operand for step in spec.steps} | {spec.inputs[0].name}
        unused = [one.name for one in spec.inputs if one.name not in used]
        if unused:
            raise self._wrong("inputs", f"{unused[0]} is used by no step", "delete it, or name it as a step's input")

    def _inputs(self, data: Any) -> tuple[Input, ...]:
        if not isinstance(data, Mapping) or not data:
            raise self._wrong("inputs", "is no table of names and layouts", '[inputs]\nx = "tensor"')
        inputs = tuple(
            Input(self._name(f"inputs.{name}", name), self._choice(f"inputs.{name}", layout, LAYOUTS))
            for name, layout in data.items()
        )
        if inputs[0].layout != "tensor":
            raise self._wrong(
                f"inputs.{inputs[0].name}", "comes first and is no tensor", "put the chain's tensor first"
            )
        return inputs

    def _steps(self, data: Any, inputs: tuple[Input, ...]) -> tuple[Step, ...]:
        listed = self._list("steps", data)
        if not 1 <= len(listed) <= MAX_STEPS:
            raise self._wrong("steps", f"has {len(listed)} entries", f"1 to {MAX_STEPS} tables [[steps]]")
        steps: list[Step] = []
        for number, one in enumerate(listed, start=1):
            step = self._step(f"steps[{number}]", one, inputs)
            if any(OPS[before.op].shape == "reduce" for before in steps):
                self._after_reduction(f"steps[{number}]", step, inputs)
            steps.append(step)
        return tuple(steps)

    def _after_reduction(self, where: str, step: Step, inputs: tuple[Input, ...]) -> None:
        layouts = {one.name: one.layout for one in inputs}
        if OPS[step.op].shape != "element" or (step.operand is not None and layouts[step.operand] != "row"):
            mend = "after a reduction only elementwise steps, with inputs of one entry a row"
            raise self._wrong(where, f"{step.op} follows a reduction, which leaves one value a row", mend)

    def _step(self, where: str, data: Any, inputs: tuple[Input, ...]) -> Step:
        if not isinstance(data, Mapping):
            raise self._wrong(where, "is no table", '[[steps]]\nop = "relu"')
        name = self._choice(f"{where}.op", data.get("op"), OPS)
        op = OPS[name]
        self._known(where, data, {"op", *op.parameters, *(("input",) if op.operand else ())})
        operand = None
        if op.operand:
            operand = self._choice(f"{where}.input", data.get("input"), [one.name for one in inputs])
        values = {key: data.get(key, default) for key, default in op.parameters.items()}
        parameters = {key: self._number(f"{where}.{key}", value) for key, value in values.items()}
        if "eps" in parameters and not 1e-30 <= parameters["eps"] <= 1:
            raise self._wrong(f"{where}.eps", f"is {parameters['eps']:g}", "from 1e-30 to 1")
        if name == "clamp" and parameters["min"] > parameters["max"]:
            raise self._wrong(where, "has min above max", "exchange them")
        return Step(name, tuple(sorted(parameters.items())), operand)

    def _shape(self, where: str, value: Any) -> tuple[int, int]:
        sizes = self._list(where, value)
        whole = all(isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 2**40 for size in sizes)
        if len(sizes) not in (1, 2) or not whole or math.prod(sizes) > 2**40 or (len(sizes) == 2 and sizes[0] >= 2**31):
            raise self._wrong(where, f"is {value!r}", "[rows, columns] or [elements], each at least 1")
        return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])

    def _name(self, where: str, value: Any) -> str:
        if not isinstance(value, str) or not _NAME.fullmatch(value) or value in RESERVED:
            raise self._wrong(
                where, f"is {value!r}", "lower-case letters, digits and _; no out, rows, columns, elements"
            )
        return value

    def _number(self, where: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 3e38:
            raise self._wrong(where, "is missing" if value is None else f"is {value!r}", "a finite number of fp32")
        return float(value)

    def _flag(self, where: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._wrong(where, f"is {value!r}", "true or false")
        return value

    def _list(self, where: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self._wrong(where, "is missing" if value is None else f"is {value!r}", "a list")
        return value

    def _choice(self, where: str, value: Any, known: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise self._wrong(where, "is missing" if value is None else f"is {value!r}", f"one of: {', '.join(known)}")
        return value

    def _known(self, where: str, data: Mapping[str, Any], fields: set[str]) -> None:
        odd = sorted(set(data) - fields)
        if odd:
            raise self._wrong(where, f"has no field {odd[0]!r}", f"one of: {', '.join(sorted(fields))}")

    def _wrong(self, field: str, what: str, mend: str) -> UsageError:
        return UsageError(f"{self.where}: {field} {what}", mend)
