"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md) instead of text.")]
CapturesFolder = Annotated[
    Path | None,
    typer.Option("--captures", help="The folder of captures; else $AISP_CAPTURES, else ./aisp-captures."),
]
ExpectationsFolder = Annotated[
    Path | None,
    typer.Option(
        "--expectations",
        help="The folder of expectations; else $AISP_EXPECTATIONS, else `expectations` of tool.aisp-prof in pyproject.toml; else "
        "of your own pairs ./expectations of the project, of the chapters' the package's.",
    ),
]
Iterations = Annotated[int, typer.Option(help="Measured iterations of each variant; an even number.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one run may take.")]
TracerChoice = Annotated[
    str,
    typer.Option(
        "--tracer",
        metavar="auto|nsys|cupti",
        help="What records it: Nsight Systems; or the package's own tracer by CUPTI, which comes with PyTorch; auto takes Nsight "
        "Systems where it is found.",
    ),
]
