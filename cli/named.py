"""What `report` and `capture` are given of one's own: traces and programs, their ranges, and what is claimed of them."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from os.path import isdir, isfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..declaration import ATTRIBUTIONS, VARIANTS
from ..errors import CannotTell, TraceError, UsageError
from .trace import is_slow

if TYPE_CHECKING:
    from ..profiler.capture.asked import Asked
    from ..profiler.capture.given import Made
    from ..profiler.store.captures import Capture, Stores

PROGRAM = "program"
PANEL = "Ranges of your own"
"""Of the help: options that pairs do not take."""

Ranges = Annotated[
    list[str] | None,
    typer.Option(
        "--range",
        metavar="[VARIANT=]GLOB",
        help="Of one's own trace or programs: the ranges of a variant, e.g. baseline='old step*' and optimized='new step*'; of two "
        "traces or programs one GLOB for both. A name, a path (epoch/step), or domain:name.",
        rich_help_panel=PANEL,
    ),
]
Claims = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="CLAIM",
        help="What is claimed of them; repeatable. By default: speedup > 1.",
        rich_help_panel=PANEL,
    ),
]
ClaimsFile = Annotated[
    Path | None,
    typer.Option("--claims", metavar="FILE", help="The same as a claims.toml (docs/ci.md).", rich_help_panel=PANEL),
]
Title = Annotated[str, typer.Option(help="The title of their page.", rich_help_panel=PANEL)]
Domain = Annotated[
    str | None, typer.Option(help="Their NVTX domain, or a glob; all by default.", rich_help_panel=PANEL)
]
Attribution = Annotated[
    str | None,
    typer.Option(
        metavar="thread|process",
        help="Whose launches they count; their own thread's by default.",
        rich_help_panel=PANEL,
    ),
]

_TRACE = re.compile(r"\.(?:sqlite|nsys-rep|json)(?:\.(?:xz|gz|zst))?$")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Words:
    """What was typed about ranges of one's own; `given` says whether anything was."""

    ranges: Sequence[str]
    claims: Sequence[str]
    file: Path | None
    title: str
    domain: str | None
    attribution: str | None

    @property
    def given(self) -> bool:
        return bool(self.ranges or self.claims or self.file or self.title or self.domain or self.attribution)

    def asked(self, several: bool, commands: Mapping[str, tuple[str, ...]] | None = None) -> Asked:
        """The question; `several` where each variant has a trace or a program of its own, so that one range may stand for both.

        Raises:
            UsageError: a slip in any of it.
        """
        from ..profiler.assertions.check import Question, claims_on_a_trace
        from ..profiler.assertions.claims_file import read_claims
        from ..profiler.capture.asked import Asked

        known = read_claims(self.file) if self.file else Question((), {})
        if known.ceilings is not None:
            raise UsageError(
                f"{self.file}: a page holds no claim against ceilings", "judge these with: aisp-prof assert"
            )
        if known.communication:
            raise UsageError(
                f"{self.file}: a page knows communication by the names that all know, which whoever verifies it has too",
                "judge claims on kernels of your own with: aisp-prof assert; or by name: hidden(kernel:my_ring*, compute)",
            )
        attribution = self.attribution or known.attribution
        if attribution not in ATTRIBUTIONS:
            raise UsageError(f"no attribution is called {attribution!r}", f"there are: {', '.join(ATTRIBUTIONS)}")
        found = Asked(
            ranges={**known.ranges, **_by_variant(self.ranges, several)},
            claims=(*known.claims, *self.claims),
            title=self.title,
            domain=known.domain if self.domain is None else self.domain,
            attribution=attribution,
            commands=commands or {},
        )
        claims_on_a_trace(found.claims, tuple(found.named()), VARIANTS[1])  # before anything is read or run
        return found


def _by_variant(texts: Sequence[str], several: bool) -> dict[str, str]:
    """`baseline=old*` and `optimized=new*`; of several traces or programs one glob, under "", for both."""
    found: dict[str, str] = {}
    for text in texts:
        name, parted, glob = text.partition("=")
        variant = name.strip()
        if several and len(texts) == 1 and (not parted or variant not in VARIANTS):
            return {"": text}
        if not parted or not _WORD.fullmatch(variant):
            raise UsageError(
                f"--range {text!r}: of which variant?",
                "name it: --range baseline='old step*' --range optimized='new step*'",
            )
        if variant in found:
            raise UsageError(f"two ranges are called {variant!r}", "a glob names several: --range baseline='old*'")
        found[variant] = glob
    return found


def is_trace(text: str) -> bool:
    """Whether a target of `report` is a trace rather than pairs: a file, a name that only a trace has, or a folder of Parquet files. A
    claim may stand here too, of any length, which `Path.is_file` does not take."""
    return (
        bool(_TRACE.search(text))
        or (isfile(text) and Path(text).suffix != ".py")
        or (isdir(text) and any(Path(text).glob("*.parquet")))
    )


def is_program(text: str) -> bool:
    return text.partition(":")[0].partition(".")[0] == PROGRAM


@contextmanager
def of_traces(targets: Sequence[str], words: Words) -> Iterator[Made]:
    """One trace, or the traces of two runs, as a capture that exists as long as the context.

    Raises:
        UsageError: more than two, or a slip in what is asked; else as `given_capture`.
    """
    from ..profiler.capture.given import given_capture
    from ..profiler.queries.reading import export_report
    from ..reports.terminal.progress import steps
    from ..workloads.hardware import hardware_key

    if len(targets) > 2 or not all(map(is_trace, targets)):
        raise UsageError(
            f"{' '.join(targets)}: neither one trace nor two",
            "aisp-prof report before.sqlite after.sqlite --range step",
        )
    paths = [Path(one) for one in targets]
    if not words.given and (absent := next((path for path in paths if not path.exists()), None)):
        raise TraceError(f"{absent}: no such file")
    asked = words.asked(several=len(targets) > 1)
    with tempfile.TemporaryDirectory(prefix="aisp-given-") as folder:
        typed = ["aisp-prof", *sys.argv[1:]]
        with steps() if any(map(is_slow, paths)) else nullcontext() as say:
            if say is not None:
                say(f"reading {' and '.join(targets)}")
            made = given_capture(paths, asked, Path(folder), typed, hardware_key, export_report)
        yield made


def of_program(target: str, chosen: str, stores: Stores, words: Words) -> Capture:
    """The capture of a program, asked anew where anything is asked.

    Raises:
        CannotTell: there is none.
        UsageError: a slip in what is asked.
    """
    from ..profiler.capture.asked import name_of
    from ..profiler.store.captures import Capture as Stored

    key = f"{PROGRAM}.{name_of(target.partition(':')[2] or target.partition('.')[2])}"
    try:
        capture = stores.select([key], chosen)[0][0]
    except CannotTell as error:
        raise CannotTell(
            str(error), "aisp-prof capture -- python train.py; --captures DIR where it lies elsewhere"
        ) from error
    origin = capture.manifest.origin
    if origin is None or (origin.ranges and not words.given):
        return capture
    commands = {variant: tuple(words) for variant, words in origin.commands.items()}
    asked = words.asked(several=origin.in_turn, commands=commands)
    changed = {**capture.manifest.as_written["origin"], "ranges": asked.named(), "domain": asked.domain}
    declaration = asked.declaration(PROGRAM, capture.manifest.declaration.name)
    manifest = capture.manifest.changed(declaration=declaration.to_json(), origin=changed)
    return Stored(capture.folder, manifest, capture.shipped)
