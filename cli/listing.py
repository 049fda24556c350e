"""`aisp-prof list`: the available pairs, and the captures of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import AispError, UsageError
from . import judging
from .choosing import every_pair, name_broken
from .language import spoken
from .options import AsJson, CapturesFolder

if TYPE_CHECKING:
    from ..declaration import Declaration
    from ..profiler.evidence import Evidence
    from ..profiler.store.captures import Capture, Stores
    from ..reports.catalog import Catalog
    from ..workloads.registry import Known


def list_pairs(
    selector: Annotated[str, typer.Argument(metavar="[CHAPTER[:PAIR]]", help="All of them by default.")] = "",
    chapter: Annotated[str, typer.Option(metavar="CHAPTER", help="The same as an option.")] = "",
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="Judge the newest capture of each: its verdict and speedup.")
    ] = False,
    captures: CapturesFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the pairs, what each needs, and how many captures there are of each; with --captures also their ids.

    The chapters' are listed, and your own (docs/pairs.md), whose claims are read. What is broken of yours is named, and the
    others are listed regardless. What was captured here besides, programs above all, follows.
    """
    from ..profiler.store.captures import Stores, captures_folder, with_shipped
    from ..reports.catalog import catalog
    from ..reports.terminal.answers import print_data

    if selector and chapter:
        raise UsageError(f"{selector!r} stands beside --chapter {chapter}", "leave one of them out")
    stores = Stores(captures_folder(captures), with_shipped(captures))
    found, others = _chosen(selector or chapter, stores)
    rows: list[dict[str, Any]] = [
        _row(pair.key, pair.place.named if pair.place else "", pair.declaration, stores.captures(pair.key))
        for pair in found.pairs
    ]
    rows += [_row(key, "", of[0].manifest.declaration, of) for key, of in others.items()]
    say = catalog(spoken())
    titles = {pair.key: say.of(pair.declaration.title) for pair in found.pairs}
    titles |= {key: say.of(of[0].manifest.declaration.title) for key, of in others.items()}
    judged = _judged(rows, stores) if verdicts else None
    if judged is not None:
        rows = [{**row, **judged.row(row["pair"])} for row in rows]
    broken = [asdict(one) for one in found.broken]
    print_data({"rows": rows, "broken": broken}, as_json, _lines(rows, titles, judged, say, ids=captures is not None))
    name_broken(found.broken)


def _chosen(selector: str, stores: Stores) -> tuple[Known, Mapping[str, Sequence[Capture]]]:
    """The pairs of a chapter, group or key (all of them for ""), and what else was captured under it.

    Raises:
        UsageError: neither is there.
    """
    from ..workloads.registry import Known, find

    key = selector.replace(":", ".")
    others = {one: of for one, of in stores.local().items() if not key or key in (one, one.partition(".")[0])}
    try:
        found = Known(find(selector, several_gpus=True)) if selector else every_pair()
    except UsageError:
        if not others:
            raise
        found = Known(())
    return found, {one: of for one, of in others.items() if one not in {pair.key for pair in found.pairs}}


def _row(key: str, place: str, declared: Declaration, captures: Sequence[Capture]) -> dict[str, Any]:
    return {
        "pair": key,
        "place": place,
        "title": declared.title["en"],
        "needs": list(declared.needs),
        "sizes": sorted(declared.sizes),
        "claims": list(declared.claims),
        "captures": [one.id for one in captures],
    }


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the newest captures prove, and why others could not be judged."""

    evidences: Mapping[str, Evidence]
    refused: Mapping[str, str]

    def row(self, pair: str) -> dict[str, Any]:
        one = self.evidences.get(pair)
        speedup = one.speedup.value if one and one.speedup else None
        return {"verdict": str(one.verdict) if one else "", "speedup": speedup, "refused": self.refused.get(pair, "")}


def _judged(rows: Sequence[Mapping[str, Any]], stores: Stores) -> _Judged:
    from ..profiler.proof.prove import prove_capture

    captures, missing = stores.each([row["pair"] for row in rows])
    refused = dict(judging.unreadable(missing, stores))
    try:
        done, more = judging.judge_each(captures, prove_capture)
    except AispError as error:  # of none of them
        done, more = [], {one.manifest.pair: str(error) for one in captures}
    return _Judged({one.manifest.pair: evidence for one, evidence in done}, refused | dict(more))


def _lines(
    rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str], judged: _Judged | None, say: Catalog, *, ids: bool
) -> list[str]:
    """A table, a chapter's lines together; with `ids` under each pair its captures, the newest first."""
    from ..reports.hostile import visible
    from ..reports.terminal.tables import table

    told = _told(rows, judged, say) if judged else {}

    def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
        return (
            row["pair"],
            *told.get(row["pair"], ()),
            ", ".join(row["needs"]),
            visible(titles[row["pair"]]),
            str(len(row["captures"])),
        )

    columns = ("pair", *(("verdict", "speedup") if judged else ()), "needs", "title", "captures")
    named = [say(f"console.list.{column}") for column in columns]
    head, *body = table(named, [cells(row) for row in rows], left=len(columns) - 1)
    lines = [head]
    for number, (_, group) in enumerate(
        groupby(zip(body, rows, strict=True), lambda one: one[1]["pair"].partition(".")[0])
    ):
        lines += [""] * (number > 0)
        lines += [line for shown, row in group for line in (shown, *(_ids(row) if ids else ()))]
    return lines + [
        visible(f"{pair}  {say('console.refused')}  {why}") for pair, why in (judged.refused if judged else {}).items()
    ]


def _told(rows: Sequence[Mapping[str, Any]], judged: _Judged, say: Catalog) -> dict[str, tuple[str, str]]:
    """Verdict and speedup of each pair; what writes them imports numpy, a fifth of the command where nothing is judged."""
    from ..reports.terminal.comparison import verdict_and_speedup

    return {row["pair"]: verdict_and_speedup(judged.evidences.get(row["pair"]), say) for row in rows}


def _ids(row: Mapping[str, Any]) -> list[str]:
    return [f"  {capture}" for capture in row.get("captures", ())]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command("list")(list_pairs)
