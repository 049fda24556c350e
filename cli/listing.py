"""`aisp-prof list`: the available pairs, and the captures of each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from .choosing import every_pair, name_broken
from .language import spoken
from .options import AsJson, CapturesFolder


def list_pairs(
    selector: Annotated[str, typer.Argument(metavar="[CHAPTER[:PAIR]]", help="All of them by default.")] = "",
    captures: CapturesFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the pairs, what each needs, and how many captures there are of each; with --captures also their ids.

    The chapters' are listed, and your own (docs/pairs.md), whose claims are read. What is broken of yours is named, and the
    others are listed regardless.
    """
    from ..profiler.store.captures import Stores, captures_folder, with_shipped
    from ..reports.catalog import catalog
    from ..reports.terminal.answers import print_data
    from ..reports.terminal.tables import table
    from ..workloads.registry import Known, find

    stores = Stores(captures_folder(captures), with_shipped(captures))
    found = Known(find(selector, several_gpus=True)) if selector else every_pair()
    rows: list[dict[str, Any]] = [
        {
            "pair": pair.key,
            "place": pair.place.named if pair.place else "",
            "title": pair.declaration.title["en"],
            "needs": list(pair.declaration.needs),
            "sizes": sorted(pair.declaration.sizes),
            "claims": list(pair.declaration.claims),
            "captures": [capture.id for capture in stores.captures(pair.key)],
        }
        for pair in found.pairs
    ]
    say = catalog(spoken())
    titles = [say.of(pair.declaration.title) for pair in found.pairs]
    cells = [
        (r["pair"], ", ".join(r["needs"]), title, str(len(r["captures"])))
        for r, title in zip(rows, titles, strict=True)
    ]
    head = [say(f"console.list.{column}") for column in ("pair", "needs", "title", "captures")]
    lines = table(head, cells, left=3)
    if captures is not None:  # under each pair its captures, the newest first
        lines = [line for first, r in zip(lines, [{}, *rows], strict=True) for line in (first, *_ids(r))]
    broken = [asdict(one) for one in found.broken]
    print_data({"rows": rows, "broken": broken}, as_json, lines)
    name_broken(found.broken)


def _ids(row: dict[str, Any]) -> list[str]:
    return [f"  {capture}" for capture in row.get("captures", ())]


def register(app: typer.Typer) -> None:
    """Add the command of this module to the face."""
    app.command("list")(list_pairs)
