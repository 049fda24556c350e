"""`aisp-prof kernels`: emit a kernel from a spec, and judge a candidate at the gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .options import AsJson

if TYPE_CHECKING:
    from ..workloads.gate.task import Task

app = typer.Typer(
    help="Write kernels from small specs, and admit or refuse candidates (docs/kernel-gate.md).", no_args_is_help=True
)

ArtifactsFolder = Annotated[
    Path, typer.Option("--artifacts", metavar="FOLDER", help="Where everything is kept, named by its content.")
]


@app.command("emit")
def emit(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A TOML file, or the name of a spec that ships.")],
    out: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE.cu", help="Put a copy there.")] = None,
    artifacts: ArtifactsFolder = Path("artifacts"),
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="An OpenAI-compatible server that writes the kernel; none by default.")
    ] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="The model to ask there.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds that the server may take.")] = 120,
    arch: Annotated[
        str, typer.Option(help="Compile it into the cache for this target too, e.g. 90a: for a host without nvcc.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a CUDA kernel from a spec, by the templates or by a model. Needs no GPU."""
    from ..kernels.building.nvcc import cubin
    from ..kernels.emit.artifacts import Artifacts
    from ..kernels.emit.endpoint import Endpoint
    from ..kernels.emit.spec import read_spec
    from ..kernels.emit.writing import copy_to
    from ..kernels.emit.writing import emit as write

    if bool(endpoint) != bool(model):
        raise UsageError("--endpoint and --model belong together", "give both, or none")
    if out is not None and out.suffix != ".cu":
        raise UsageError(f"{out} is no .cu file", "-o FILE.cu")
    asked = Endpoint(endpoint, model, timeout) if endpoint else None
    done = write(read_spec(spec), Artifacts(artifacts), asked)
    if out is not None:
        copy_to(done, out)
    built = str(cubin(done.kernel, arch)) if arch else None
    files = {"kernel": str(done.kernel), "log": str(done.log), "output": str(out) if out else None, "cubin": built}
    lines = [f"{what:<7} {path}" for what, path in files.items() if path]
    _print({**files, "sha256": done.sha256}, as_json, lines)


@app.command("gate")
def gate(
    candidate: Annotated[
        str, typer.Argument(metavar="CANDIDATE", help="A .cu or .py file, or eager, or inductor (torch.compile).")
    ],
    spec: Annotated[str, typer.Option(help="A TOML file, or the name of a spec that ships.")] = "",
    reference: Annotated[
        Path | None, typer.Option(metavar="REF.py", help="Instead of a spec: what is right, in PyTorch; with --inputs.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="The tensors and sizes that candidate and reference get.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="The current best, as CANDIDATE; eager is the reference itself.")
    ] = "eager",
    feature: Annotated[str, typer.Option(help="The flag that must be on; candidate.NAME of a spec by default.")] = "",
    device: Annotated[str, typer.Option(help="cuda or cpu.")] = "cuda",
    artifacts: ArtifactsFolder = Path("artifacts"),
    timeout: Annotated[float, typer.Option(help="Seconds for each child process.")] = 300,
    memory: Annotated[float, typer.Option(metavar="GIB", help="What the candidate may take.")] = 4,
    iterations: Annotated[int, typer.Option(help="Timed runs of each, in rounds of A B B A; even.")] = 20,
    min_speedup: Annotated[float, typer.Option(help="Admit if the interval lies at or above this.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Of the inputs; fresh at random by default, and recorded.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a candidate in child processes: exit 0 admitted, 1 refused, 4 cannot tell (or its feature is off), 3 lacks."""
    import secrets

    from ..kernels.emit.artifacts import Artifacts
    from ..reports.terminal.progress import steps
    from ..workloads.gate.gate import Limits, Request
    from ..workloads.gate.gate import gate as judge
    from ..workloads.gate.runners import find_runner

    if device not in ("cuda", "cpu"):
        raise UsageError(f"no device is called {device!r}", "--device cuda or --device cpu")
    wanted = _task(spec, reference, inputs)
    request = Request(
        wanted,
        find_runner(candidate),
        find_runner(against),
        device,  # type: ignore[arg-type]
        secrets.randbits(31) if seed is None else seed,
        feature or wanted.feature,
        iterations,
        min_speedup,
        Limits(timeout, int(memory * 2**30)),
    )
    with steps() as progress:
        verdict, path = judge(request, Artifacts(artifacts), progress)
    data = {"candidate": candidate, "verdict": str(path), **verdict.to_json()}
    _print(data, as_json, [f"{candidate}  {verdict.status.upper()}  {verdict.reason}  ({path})"])
    raise typer.Exit(verdict.exit_code)


def _task(spec: str, reference: Path | None, inputs: Path | None) -> Task:
    """What the candidate is judged by: a spec, or a reference with its inputs.

    Raises:
        UsageError: both or neither are given, or as `read_spec` and `read_task`.
    """
    from ..kernels.emit.spec import read_spec
    from ..workloads.gate.own.task import read_task
    from ..workloads.gate.spec_task import SpecTask

    if reference is not None and inputs is not None and not spec:
        return read_task(reference, inputs)
    if not spec or reference is not None or inputs is not None:
        raise UsageError(
            "a candidate is judged by a spec, or by a reference with its inputs",
            "--spec SPEC, or --reference REF.py --inputs FILE.toml",
        )
    return SpecTask(read_spec(spec))


def _print(data: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    from ..reports.terminal.answers import print_data

    print_data(data, as_json, lines)
