"""`aisp-prof bench`: what `list`, `capture` and `report` do, in the chapters' own terms: listing targets and running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import scaling
from .choosing import every_pair, name_broken, to_run
from .options import AsJson, Iterations, Timeout

app = typer.Typer(
    help="Capture and judge pairs in one command, by the names that the book's own tools use.", no_args_is_help=True
)

app.command("scaling")(scaling.scaling)


@app.command("list-targets")
def list_targets(
    chapter: Annotated[str, typer.Option(metavar="CHAPTER", help="E.g. ch11; all by default.")] = "",
    as_json: AsJson = False,
) -> None:
    """One pair a line, as `bench run` takes it."""
    from ..reports.terminal.answers import print_data
    from ..workloads.registry import find

    if chapter:
        chosen = find(chapter, several_gpus=True)
    else:
        chosen = (every := every_pair()).pairs
        name_broken(every.broken)
    targets = [{"target": pair.key.replace(".", ":"), "title": pair.declaration.title["en"]} for pair in chosen]
    print_data({"rows": targets}, as_json, [target["target"] for target in targets])


@app.command("run")
def run(
    targets: Annotated[
        list[str], typer.Option("--pairs", "--targets", metavar="CHAPTER[:PAIR]", help="Repeated, or with commas.")
    ],
    profile: Annotated[
        str, typer.Option(help="none, minimal, roofline or deep (deep_dive), as `aisp-prof capture` takes it.")
    ] = "",
    iterations: Iterations = 20,
    size: Annotated[str, typer.Option(help="A size key of the pair; this GPU's own by default.")] = "",
    timeout: Timeout = 600,
    captures: Annotated[Path | None, typer.Option(help="The folder of captures; else $AISP_CAPTURES.")] = None,
    as_json: AsJson = False,
) -> None:
    """Capture pairs and judge each capture; the exit code is the worst verdict's. Needs an NVIDIA GPU."""
    from ..profiler.evidence import Verdict
    from ..profiler.proof.prove import prove_capture
    from ..profiler.store.captures import captures_folder
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.console import summary
    from .capturing import capture_pairs

    chosen = {pair.key: pair for group in targets for name in group.split(",") for pair in to_run(name.strip())}
    known = {"deep_dive": "deep"}.get(profile, profile)
    done = capture_pairs(list(chosen.values()), captures_folder(captures), known, iterations, size, timeout)
    evidences = [prove_capture(one) for one in done]
    proofs = [one.to_json() for one in evidences]
    print_data({"proofs": proofs}, as_json, [line for one in evidences for line in summary(one)])
    raise typer.Exit(Verdict.worst([one.verdict for one in evidences]).exit_code)
