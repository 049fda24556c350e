"""`aisp-prof report`: the newest capture of each pair judged, its page written, or everything packed into a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import AispError, EnvironmentLacks, UsageError
from . import bundle, judging, named
from .choosing import keys_of, pages_name
from .complaint import complain
from .language import spoken
from .options import AsJson, CapturesFolder, ExpectationsFolder

if TYPE_CHECKING:
    from ..profiler.evidence import Evidence
    from ..profiler.expect.check import Checked
    from ..profiler.store.captures import Capture, Stores
    from ..profiler.trace.model import Trace


@dataclass(frozen=True, slots=True)
class _Reported:
    """What was proven, how expectations fared (by capture), and the files written; `failure` is why one is missing."""

    evidences: Sequence[Evidence]
    expected: Mapping[str, Checked | None]
    files: Sequence[str]
    refused: judging.Refused = field(default_factory=dict)
    failure: AispError | None = None


def report(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHAPTER[:PAIR]|TRACE…",
            help="What to report: pairs, e.g. ch11 or ch11:streams, one or several; a trace with two ranges; the traces of two runs; or "
            "a captured program, program:NAME.",
        ),
    ] = None,
    stage: Annotated[str, typer.Option(metavar="CHAPTER[:PAIR]", hidden=True, help="The same, as an option.")] = "",
    chosen: Annotated[
        str, typer.Option("--capture", help="A capture's id or its beginning; the newest by default.")
    ] = "",
    out: Annotated[Path, typer.Option(help="The folder to write into.")] = Path(),
    lang: Annotated[
        str,
        typer.Option(metavar="en|ko", help="The language of the page and of what is said; else $LANG's, or English."),
    ] = "",
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="html, pdf, or both with a comma; by default both, and the HTML alone where no PDF can be printed.",
        ),
    ] = "",
    brief: Annotated[
        bool, typer.Option("--brief", help="The overview and a page a pair alone, without the appendix.")
    ] = False,
    into: bundle.Target = None,
    sign: bundle.Key = None,
    ranges: named.Ranges = None,
    claim: named.Claims = None,
    claims: named.ClaimsFile = None,
    title: named.Title = "",
    domain: named.Domain = None,
    attribution: named.Attribution = None,
    captures: CapturesFolder = None,
    expectations: ExpectationsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Judge the newest capture of each pair and write its page; the exit code is the worst verdict's.

    A pair without a capture is named, and makes the whole unproven. Captures that came with aisp-prof stand in for missing ones
    unless --captures or $AISP_CAPTURES says where captures are. Of traces and programs of one's own --range says what is compared
    (docs/own.md).
    """
    from ..profiler.store.captures import Stores, captures_folder, with_shipped
    from ..reports.page.write import formats_to_write

    lang = lang or spoken()
    wanted = _wanted(targets or [], stage)
    bundle.refuse_sign_alone(into, sign)
    if brief and into:
        raise UsageError("a bundle holds the whole report", "leave out --brief, or --bundle")
    kinds, lacking = formats_to_write(formats, lang)
    _check(lang, out, into)
    words = named.Words(ranges or [], claim or [], claims, title, domain, attribution)
    stores = Stores(captures_folder(captures), with_shipped(captures))
    with _selected(wanted, chosen, words, stores) as found:
        _refuse_several_chapters(found, into)
        if into is None:
            done = _pages(found, out, lang, kinds, expectations, brief)
        else:
            done = _Reported(
                *bundle.make(into, sign, found.captures, found.missing, found.name, lang, kinds, expectations),
                [str(into)],
            )
    refused = {**judging.unreadable(found.missing, stores), **done.refused}
    _print(done, " ".join(wanted), lang, found.missing, refused, as_json)
    if done.failure:
        done.failure.answered = True
        raise done.failure
    if lacking:
        complain(lacking)
    raise typer.Exit(judging.exit_code(done.evidences, found.missing, refused))


def _wanted(targets: Sequence[str], stage: str) -> list[str]:
    """What to report, given as arguments or by --stage: pairs of one name, or traces."""
    if bool(targets) == bool(stage):
        what = "said twice, as an argument and by --stage" if targets else "not said"
        raise UsageError(
            f"what to report is {what}", "aisp-prof report ch11, or TRACE --range baseline=… --range optimized=…"
        )
    return list(targets) or [stage]


@dataclass(frozen=True, slots=True)
class _Selected:
    """What is reported, the pairs without a capture, and what the pages are called; `read` gives the traces where they were read."""

    captures: Sequence[Capture]
    missing: Sequence[str]
    name: str
    read: Callable[[], tuple[Trace, ...]] | None = None


@contextmanager
def _selected(wanted: Sequence[str], chosen: str, words: named.Words, stores: Stores) -> Iterator[_Selected]:
    """The captures to report: of pairs, of a program, or made of traces as long as the context lasts."""
    if any(map(named.is_trace, wanted)):
        with named.of_traces(wanted, words) as made:
            yield _Selected([made.capture], [], made.capture.manifest.pair.replace(".", "-"), lambda: made.traces)
        return
    if program := next(filter(named.is_program, wanted), ""):
        if len(wanted) > 1:
            raise UsageError(
                f"{program} stands beside others", f"a program has a page of its own: aisp-prof report {program}"
            )
        stored = named.of_program(program, chosen, stores, words)
        yield _Selected([stored], [], stored.manifest.pair.replace(".", "-"))
        return
    if words.given:
        raise UsageError(
            f"the ranges and claims of {' '.join(wanted)} are its own",
            "--range, --claim and --title are for traces and programs",
        )
    keys = list(dict.fromkeys(key for one in wanted for key in keys_of(one, stores.folder)))
    yield _Selected(*stores.select(keys, chosen), pages_name(" ".join(wanted), keys))


def _refuse_several_chapters(found: _Selected, into: Path | None) -> None:
    """Whoever verifies a bundle holds its pairs against one list, which a chapter or a group is."""
    groups = sorted(
        {key.rpartition(".")[0] for key in [*(one.manifest.pair for one in found.captures), *found.missing]}
    )
    if into is not None and len(groups) > 1:
        raise UsageError(
            f"a bundle holds pairs of one chapter, these are of {' and '.join(groups)}",
            f"one for each: aisp-prof report {groups[0]} --bundle {groups[0]}.zip; without --bundle they have one page",
        )


def _check(lang: str, out: Path, into: Path | None) -> None:
    """Refuse early what would otherwise be refused after minutes of judging."""
    from ..reports.catalog import catalog
    from ..reports.page.write import check_folder

    catalog(lang)
    check_folder(into.parent, "--bundle") if into else check_folder(out, "--out")


def _pages(found: _Selected, out: Path, lang: str, formats: Sequence[str], kept: Path | None, brief: bool) -> _Reported:
    """Judge the captures, hold each against its expectations, and write the page.

    A format that cannot be written is reported after the verdict: a missing Pango does not undo a proof.
    """
    from ..profiler.expect.check import held_against
    from ..profiler.expect.files import expectations_folder
    from ..profiler.expect.observe import observe
    from ..reports.page.document import render_html
    from ..reports.page.write import write_report

    observed, refused = judging.judge_each(found.captures, lambda capture: observe(capture, read=found.read))
    evidences = [one.evidence for _, one in observed]
    expected = {
        capture.id: held_against(one, capture.manifest.pair, expectations_folder(kept, capture.manifest.pair))
        for capture, one in observed
    }
    missing = [*found.missing, *refused]
    html = render_html(found.name, evidences, lang, expected=expected, brief=brief, missing=missing)
    files: list[str] = []
    failure: AispError | None = None
    for kind in formats:
        try:
            files += [str(path) for path in write_report(found.name, html, out, (kind,))]
        except EnvironmentLacks as error:
            failure = error
    return _Reported(evidences, expected, files, refused, failure)


def _print(
    done: _Reported, stage: str, lang: str, missing: Sequence[str], refused: judging.Refused, as_json: bool
) -> None:
    from ..reports.catalog import catalog
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.console import summary
    from ..reports.terminal.expectations import held_lines

    if as_json:
        data = {"stage": stage, "files": list(done.files), "missing": missing, "refused": refused}
        proofs, held = (
            [one.to_json() for one in done.evidences],
            [one.to_json() for one in done.expected.values() if one],
        )
        print_data({**data, "proofs": proofs, "expectations": held}, as_json, [])
        return
    told = ((*summary(one, lang), *held_lines(done.expected[one.capture_id], lang)) for one in done.evidences)
    lines = [line for some in told for line in some]
    written = (catalog(lang)("console.wrote", file=file) for file in done.files)
    print_data({}, as_json, [*lines, *judging.lines(missing, refused, lang), *written])


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command()(report)
