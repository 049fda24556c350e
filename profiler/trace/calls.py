"""CUDA API calls, runtime and driver, from their one table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import api
from .columns import NONE, Columns, Invalid, Wish, read_table
from .groups import distinct_values
from .matching import Submissions, submissions
from .model import Calls, process_of
from .schema import RUNTIME, Schema
from .source.growing import constant
from .source.scan import Int64, Source
from .strings import Strings
from .validity import valid_times

_WISH = Wish(("start", "end", "nameId"), {"globalTid": 0, "correlationId": NONE, "returnValue": 0})
_NODE = Wish((), {"start": NONE, "globalTid": NONE})


def read_calls(source: Source, schema: Schema, strings: Strings, invalid: Invalid) -> tuple[Calls, Submissions]:
    """All calls whose times mean something, and a table to find those that submitted an operation."""
    c = valid_times(read_table(source, schema, RUNTIME, _WISH, invalid).columns, RUNTIME, invalid)
    name = strings.of_ids(c.pop("nameId"))
    effects = [api.effect(strings.text(i)) for i in range(len(strings))]
    process = process_of(c["globalTid"])
    submitted, outermost = submissions(process, c["correlationId"], c["start"], c["end"], c["row"])
    calls = Calls(
        row=c["row"],
        start=c["start"],
        end=c["end"],
        process=process,
        thread=c["globalTid"],
        correlation=c["correlationId"],
        name=name,
        result=c["returnValue"],
        effect=np.array([*effects, api.OTHER], np.int8)[name],
        outermost=outermost,
        made_node=_made_node(
            c, process, submitted, read_table(source, schema, schema.graph_nodes, _NODE, invalid).columns
        ),
    )
    return calls, submitted


def _made_node(c: Columns, process: Int64, submitted: Submissions, nodes: Columns) -> NDArray[np.bool_]:
    """In which calls nodes of a graph were made, and the calls that stand for those. In every capture of 2025.3 whose graphs
    were traced by node, each captured launch made one, and no launch that ran did."""
    if not len(nodes["start"]):
        return constant(False, len(process), bool)
    found = np.zeros(len(process), bool)
    for thread in distinct_values(nodes["globalTid"]).tolist():
        mine = np.flatnonzero(c["globalTid"] == thread)
        mine = mine[np.argsort(c["start"][mine], kind="stable")]
        made = nodes["start"][nodes["globalTid"] == thread]
        last = np.searchsorted(c["start"][mine], made, "right") - 1
        inside = mine[last[last >= 0]]
        found[inside[c["end"][inside] >= made[last >= 0]]] = True
    made_by = np.flatnonzero(found)
    outer = submitted.of(process[made_by], c["correlationId"][made_by])
    found[outer[outer >= 0]] = True
    return found


def only_process(calls: Calls) -> int:
    """The process that made all calls, 0 when there are several: for exports whose operations do not say theirs."""
    if not len(calls):
        return 0
    first = int(calls.process[0])
    return first if bool((calls.process == first).all()) else 0
