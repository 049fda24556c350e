"""`aisp-prof expect check`, `expect update` and `history`: what pairs must show, and how they went."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CannotTell, UsageError
from . import judging
from .choosing import every_pair, keys_of, name_broken
from .options import AsJson, CapturesFolder, ExpectationsFolder

if TYPE_CHECKING:
    from ..profiler.expect.check import Checked
    from ..profiler.store.captures import Capture, Stores

app = typer.Typer(
    help="What each pair must show on which hardware: check captures against it, and change it with a reason.",
    epilog="Exit codes of check: 0 met or improved, 1 regressed, refuted or invalid, 2 usage, 4 it cannot be told (missing, "
    "not comparable, unproven), 5 unqualified: nothing is expected of a pair.",
    no_args_is_help=True,
)

Selector = Annotated[str, typer.Argument(metavar="[CHAPTER[:PAIR]]", help="All pairs by default.")]


def _pairs(selector: str, captures: Path | None) -> list[str]:
    """The keys of the pairs that are meant; without a selector all, of the user's own those that can be used."""
    from ..profiler.store.captures import captures_folder

    if selector:
        return keys_of(selector, captures_folder(captures))
    every = every_pair()
    name_broken(every.broken)
    return [pair.key for pair in every.pairs]


@app.command()
def check(
    selector: Selector = "",
    chosen: Annotated[
        str, typer.Option("--capture", help="A capture's id or its beginning; the newest of each pair by default.")
    ] = "",
    captures: CapturesFolder = None,
    expectations: ExpectationsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Hold the newest capture of each pair against what is expected of it on its hardware.

    A pair without a capture of its own is missing; one that came with aisp-prof is judged where --capture names it. Which commit made a capture plays no part. The exit code is that of the worst pair.
    """
    from ..profiler.expect.accepted import without_mended
    from ..profiler.expect.check import Status, check_capture, without_capture
    from ..profiler.expect.files import expectations_folder
    from ..profiler.store.captures import Stores, captures_folder
    from ..reports.terminal.expectations import check_lines

    stored = captures_folder(captures)
    stores = Stores(stored, shipped=False)
    captured, missing = _chosen(_pairs(selector, captures), stores, chosen)

    def held(one: Capture) -> Checked:
        folder = expectations_folder(expectations, one.manifest.pair)
        return without_mended(check_capture(one, folder), one, stored, folder)

    checked, refused = judging.judge_each(captured, held)
    refused = {**judging.unreadable(missing, stores), **refused}
    lacking = [pair for pair in missing if pair not in refused]
    done = [one for _, one in checked]
    done += [without_capture(pair, expectations_folder(expectations, pair)) for pair in lacking]
    done += [
        replace(
            without_capture(pair, expectations_folder(expectations, pair)),
            status=Status.UNPROVEN,
            reasons=(f"refused: {why}",),
        )
        for pair, why in refused.items()
    ]
    status = Status.worst(one.status for one in done)
    data = {"status": status.value, "exit_code": status.exit_code, "rows": [one.to_json() for one in done]}
    _print(data, as_json, check_lines(done))
    raise typer.Exit(status.exit_code)


def _chosen(pairs: list[str], stores: Stores, chosen: str) -> tuple[list[Capture], list[str]]:
    """The capture of each pair, and the pairs that have none; a pair that nothing is known of is named, not skipped.

    What came with aisp-prof never stands in: a build whose captures did not arrive would meet expectations made of ours.
    """
    return stores.select(pairs, chosen) if chosen else stores.each(pairs)


@app.command()
def update(
    selector: Selector = "",
    reason: Annotated[str, typer.Option(help="Why; kept in the history of every entry that changes.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write the files; without it the diff is only shown.")] = False,
    weaken: Annotated[
        bool, typer.Option("--weaken", help="Allow a bound that lets through what the old one stops.")
    ] = False,
    agreeing: Annotated[
        int, typer.Option(metavar="N", help="Captures that must agree before an entry that stands is changed.")
    ] = 2,
    captures: CapturesFolder = None,
    expectations: ExpectationsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make expectations of what captures show, those that came with aisp-prof among them; the diff is shown first.

    A pair is refused whose newest capture is invalid, incomplete, unproven or refuted, or stands alone against what was
    expected; the others are written all the same. A first capture makes provisional entries.
    """
    from ..profiler.expect.update import update_expectations
    from ..profiler.store.captures import captures_folder
    from ..reports.terminal.expectations import update_data, update_lines

    plans = update_expectations(
        _pairs(selector, captures),
        captures_folder(captures),
        reason,
        expectations,
        write=write,
        weaken=weaken,
        agreeing=agreeing,
    )
    _print({"written": write, "rows": update_data(plans)}, as_json, update_lines(plans, write))
    raise typer.Exit(max((plan.exit_code for plan in plans), default=0))


@app.command()
def accept(
    pair: Annotated[str, typer.Argument(metavar="CHAPTER:PAIR")],
    numbers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NUMBER]...", help="As check names them, e.g. optimized.iteration; all by default."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it is as it is; kept beside the bound.")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="Who answers for it.")] = "",
    taken_back: Annotated[bool, typer.Option("--withdraw", help="Take back what was accepted.")] = False,
    chosen: Annotated[
        str, typer.Option("--capture", help="A capture's id or its beginning; the newest of the pair by default.")
    ] = "",
    captures: CapturesFolder = None,
    expectations: ExpectationsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Accept what regressed in a capture, with a reason: check passes while it gets no worse, until it is mended.

    What is expected stays as it is. A claim of the pair that is refuted cannot be accepted.
    """
    from ..profiler.expect import accepted
    from ..profiler.expect.files import expectations_folder
    from ..profiler.store.captures import Stores, captures_folder
    from ..reports.terminal.accepted import accepted_data, accepted_lines

    (key, *more), names = _pairs(pair, captures), numbers or []
    folder = expectations_folder(expectations, key)
    if more:
        raise UsageError(f"{pair} is several pairs", f"one at a time: aisp-prof expect accept {key.replace('.', ':')}")
    if taken_back:
        done = accepted.withdraw(key, names, folder)
    else:
        captured, _ = _chosen([key], Stores(captures_folder(captures), shipped=False), chosen)
        if not captured:
            raise CannotTell(f"no capture of {key}", "aisp-prof list shows the captures")
        done = accepted.accept(captured[0], names, reason, by, folder)
    _print(
        {"pair": key, "withdrawn": taken_back, "rows": accepted_data(done)}, as_json, accepted_lines(done, taken_back)
    )


def history(
    selector: Selector = "",
    limit: Annotated[int, typer.Option(metavar="N", help="Only the newest N captures of each pair.")] = 0,
    captures: CapturesFolder = None,
    expectations: ExpectationsFolder = None,
    as_json: AsJson = False,
) -> None:
    """How the times and the speedup of each pair went over its captures, changes marked, and which regressions were accepted."""
    from ..profiler.expect.accepted import standing
    from ..profiler.expect.files import expectations_folder
    from ..profiler.expect.trend import trend
    from ..profiler.store.captures import captures_folder
    from ..reports.terminal.accepted import standing_lines
    from ..reports.terminal.trend import refused_lines, trend_lines

    pairs, stored = _pairs(selector, captures), captures_folder(captures)
    told = {pair: trend(pair, stored, limit) for pair in pairs}
    every = {pair: moments for pair, (moments, _) in told.items() if moments}
    refused = {pair: why for pair, (_, why) in told.items() if why}
    if not every and not refused:
        raise CannotTell(f"no capture of {', '.join(pairs)} in {stored}", "aisp-prof list shows the captures")
    accepted = {pair: list(standing(pair, stored, expectations_folder(expectations, pair))) for pair in every}
    rows = [
        {"pair": pair, "captures": [m.to_json() for m in moments], "accepted": [a.to_json() for a in accepted[pair]]}
        for pair, moments in every.items()
    ]
    lines = [
        *trend_lines(every),
        *standing_lines(accepted),
        *(line for one in refused.values() for line in refused_lines(one)),
    ]
    _print({"rows": rows, "refused": refused}, as_json, lines)
    raise typer.Exit(CannotTell.exit_code if refused else 0)


def _print(data: dict[str, Any], as_json: bool, lines: list[str]) -> None:
    from ..reports.terminal.answers import print_data

    print_data(data, as_json, lines)


def register(face: typer.Typer) -> None:
    """Add the commands of this module to the face."""
    face.add_typer(app, name="expect")
    face.command()(history)
