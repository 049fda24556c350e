"""`aisp-prof compare`: pairs of a chapter side by side, run here or from their newest captures."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from . import judging
from .choosing import keys_of, to_run
from .options import AsJson, ExpectationsFolder, Iterations, Timeout

if TYPE_CHECKING:
    from ..profiler.store.captures import Capture
    from ..workloads.pair import Pair


def compare(
    selector: Annotated[str, typer.Argument(metavar="CHAPTER[:PAIR]", help="What to compare, e.g. ch09.")],
    only: Annotated[
        list[str] | None, typer.Option("--pairs", metavar="NAME", help="Only these pairs; repeated, or with commas.")
    ] = None,
    examples: Annotated[list[str] | None, typer.Option(hidden=True, help="An older word for --pairs.")] = None,
    profile: Annotated[
        str,
        typer.Option(
            help="Run the pairs here: none (the default with a GPU: bare, nothing is kept), minimal, roofline or deep."
        ),
    ] = "",
    iterations: Iterations = 20,
    timeout: Timeout = 600,
    captures: Annotated[
        Path | None,
        typer.Option(
            "--captures", help="Compare from the newest captures of this folder; with --profile, store there."
        ),
    ] = None,
    expectations: ExpectationsFolder = None,
    as_json: AsJson = False,
) -> None:
    """A table a pair: times, speedup, validity, and each claim with what was expected and measured.

    With a GPU the pairs are run; without one, or with --captures, their newest captures are compared, and named. The exit code
    is the worst verdict's.
    """
    from ..profiler.expect.check import expected_for
    from ..profiler.expect.files import expectations_folder
    from ..profiler.proof.prove import prove_capture
    from ..profiler.store.captures import Stores, captures_folder, with_shipped
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.comparison import comparison_data, comparison_lines

    named = [*(only or ()), *(examples or ())]
    missing: list[str] = []
    refused: dict[str, str] = {}
    with ExitStack() as stack:
        if profile or (captures is None and _has_gpu()):
            pairs = {pair.key: pair for pair in to_run(selector)}
            done = _run(
                [pairs[key] for key in _named(selector, list(pairs), named)],
                profile or "none",
                iterations,
                timeout,
                captures,
                stack,
            )
        else:
            stores = Stores(captures_folder(captures), with_shipped(captures))
            keys = _named(selector, keys_of(selector, captures_folder(captures)), named)
            done, missing = stores.select(keys)
            refused |= judging.unreadable(missing, stores)
        proven, more = judging.judge_each(done, prove_capture)
        evidences = [one for _, one in proven]
        refused |= more
        by_capture = {
            capture.id: expected_for(capture, one, expectations_folder(expectations, capture.manifest.pair))
            for capture, one in proven
        }
    expected = {name: one for name, one in by_capture.items() if one is not None}
    lines = [] if as_json else [*comparison_lines(evidences, expected), *judging.lines(missing, refused)]
    print_data({**comparison_data(evidences, missing, expected), "refused": refused}, as_json, lines)
    raise typer.Exit(judging.exit_code(evidences, missing, refused))


def _named(selector: str, keys: Sequence[str], named: Sequence[str]) -> list[str]:
    """Those of these pairs that `named` names; all of them where it is empty.

    Raises:
        UsageError: one of them is none of these.
    """
    known = {key.rpartition(".")[2]: key for key in keys}
    wanted = [name.strip() for group in named for name in group.split(",") if name.strip()] or list(known)
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, 1)
            mend = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise UsageError(f"{selector} has no pair {name!r}", mend)
    return [known[name] for name in dict.fromkeys(wanted)]


def _has_gpu() -> bool:
    from ..profiler.capture.conditions import open_gpu

    with open_gpu() as gpu:
        return gpu is not None


def _run(
    pairs: Sequence[Pair], profile: str, iterations: int, timeout_s: float, captures: Path | None, stack: ExitStack
) -> list[Capture]:
    """Capture the pairs. A bare run without a folder of its own is not kept: as the newest capture it would take
    precedence over one with a trace, and prove less."""
    from ..profiler.store.captures import captures_folder
    from .capturing import capture_pairs

    passing = profile == "none" and captures is None
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if passing else captures_folder(captures)
    return capture_pairs(pairs, folder, profile, iterations, "", timeout_s)


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(compare)
