"""`aisp-prof verify`, and what `aisp-prof report` needs to make a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import EnvironmentLacks, UsageError
from .language import spoken
from .options import AsJson

if TYPE_CHECKING:
    from ..profiler.evidence import Evidence
    from ..profiler.expect.check import Checked
    from ..profiler.store.captures import Capture

Target = Annotated[
    Path | None,
    typer.Option(
        "--bundle", metavar="FILE.zip", help="Pack pages, scrubbed traces and every number into this file instead."
    ),
]
Key = Annotated[
    Path | None, typer.Option("--sign", metavar="KEY", help="Sign the bundle with this Ed25519 private key (PEM).")
]


def make(
    target: Path,
    key: Path | None,
    captures: Sequence[Capture],
    missing: Sequence[str],
    stage: str,
    lang: str,
    formats: Sequence[str],
    expectations: Path | None = None,
) -> tuple[list[Evidence], dict[str, Checked | None]]:
    """Write a bundle of these captures; return what was proven of them as packed, and how their expectations fared."""
    from ..profiler.expect.files import expectations_folder
    from ..reports.bundle.layout import Pages
    from ..reports.bundle.write import write_bundle
    from ..reports.page.write import checked_formats
    from ..reports.terminal.progress import steps

    checked_formats(formats)
    signer = None
    if key is not None:
        from ..reports.bundle.signing import private_key

        signer = private_key(key)
    pages = Pages(stage, lang, "pdf" in formats)
    try:
        kept = expectations_folder(expectations, captures[0].manifest.pair if captures else "")
        with steps(watched=True) as say:
            say(f"judging {len(captures)} captures and packing them")
            made = write_bundle(target, captures, missing, pages, kept, signer)
    except EnvironmentLacks as error:
        raise EnvironmentLacks(str(error), f"{error.mend}; or leave the PDF out: --format html") from error
    return list(made.evidences), dict(made.expected)


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE.zip", help="What `aisp-prof report --bundle` wrote.")],
    key: Annotated[
        Path | None, typer.Option(metavar="KEY", help="The Ed25519 public key (PEM) that must have signed it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every number of a bundle from its traces, make its pages again, and name whatever differs.

    Needs no GPU and none of NVIDIA's tools. Exit codes: 0 verified and proven, 1 something is wrong or a claim does not hold,
    2 no bundle, 4 it cannot be told.
    """
    from ..reports.bundle.console import verification_lines
    from ..reports.bundle.declared import Own
    from ..reports.bundle.verify import verify_bundle
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.progress import steps
    from .choosing import KnownDeclarations, project_folders

    with steps(watched=True) as say:
        say(f"verifying {bundle}")
        outcome = verify_bundle(bundle, key, Own(KnownDeclarations(), folders=project_folders()))
    print_data(outcome.to_json(), as_json, () if as_json else verification_lines(outcome, spoken()))
    raise typer.Exit(outcome.exit_code)


def refuse_sign_alone(target: Path | None, key: Path | None) -> None:
    """A key without a bundle would sign nothing."""
    if key is not None and target is None:
        raise UsageError("--sign signs a bundle", "add --bundle FILE.zip")


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(verify)
