"""`aisp-prof check`: what can be known to be wrong of a pair before time on a GPU is paid for it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import EnvironmentLacks, UsageError
from .choosing import every_pair, fault_of
from .options import AsJson, Timeout

if TYPE_CHECKING:
    from ..workloads.pair import Pair
    from ..workloads.place import Broken


def check(
    selector: Annotated[
        str,
        typer.Argument(metavar="[PAIR]", help="As capture takes it, e.g. bench/fused.py; all of your own by default."),
    ] = "",
    device: Annotated[
        str,
        typer.Option(
            metavar="cpu|cuda", help="Run every variant there once, and compare its output with the reference."
        ),
    ] = "",
    size: Annotated[str, typer.Option(help="A size key of the pair; small on a CPU by default, where it has it.")] = "",
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Check that pairs can be imported, that their claims can be read and, with --device, that their outputs are right.

    Nothing is measured. Exit codes: 0 all is well, 1 an output is wrong, 2 a pair is broken or claims what cannot be read, 3 the
    machine lacks something.
    """
    from ..reports.hostile import visible
    from ..reports.terminal.answers import print_data

    if device not in ("", "cpu", "cuda"):
        raise UsageError(f"no device is called {device!r}", "--device cpu or --device cuda")
    usable, broken = _chosen(selector)
    rows = [_checked(pair, device, size, timeout) for pair in usable]
    lines = [visible(line) for row in rows for line in _lines(row)]
    lines += [visible(line) for one in broken for line in (f"✗ {one.place}  {one.why}", *_mend(one.mend))]
    data = {"rows": rows, "broken": [asdict(one) for one in broken]}
    print_data(
        data, as_json, lines or ["no pair of your own is known here: aisp-prof new pair bench/fused.py writes one"]
    )
    raise typer.Exit(max([2 if broken else 0, *(row["exit_code"] for row in rows)]))


def _chosen(selector: str) -> tuple[list[Pair], list[Broken]]:
    from ..workloads.registry import find

    if not selector:
        every = every_pair()
        return [pair for pair in every.pairs if pair.place], list(every.broken)
    pairs = find(selector, several_gpus=True)
    faults = {pair.key: fault for pair in pairs if (fault := fault_of(pair))}
    return [pair for pair in pairs if pair.key not in faults], list(faults.values())


def _checked(pair: Pair, device: str, size: str, timeout_s: float) -> dict[str, Any]:
    """One pair as a row: its claims can be read; where a device is named, what its program said of the outputs."""
    from ..machine.child import ask, child_environment, new_mark

    row = {
        "pair": pair.key,
        "place": pair.place.named if pair.place else "",
        "claims": list(pair.declaration.claims),
        "device": device,
        "exit_code": 0,
        "said": "",
    }
    if not device:
        return row
    options = ["--validate", "--device", device, *(["--size", size] if size else [])]
    answer = ask([sys.executable, "-P", "-m", *pair.program, *options], timeout_s, child_environment(new_mark()))
    code = answer.code if answer.code in (0, 1, UsageError.exit_code, EnvironmentLacks.exit_code) else 2
    crashed = code == 1 and "outputs:" not in answer.out
    return {**row, "exit_code": 2 if crashed else code, "said": (answer.out or answer.err).strip()}


def _lines(row: dict[str, Any]) -> list[str]:
    count = len(row["claims"])
    claims = f"{count} claim{'' if count == 1 else 's'} can be read"
    mark = "✓" if row["exit_code"] == 0 else "✗"
    return [f"{mark} {row['pair']}  {claims}", *(f"  {line}" for line in row["said"].splitlines())]


def _mend(mend: str) -> list[str]:
    return [f"  → {mend}"] if mend else []


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(check)
