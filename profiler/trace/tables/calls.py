"""CUDA API calls, runtime and driver, from their one table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...arrays.blocks import gathered
from ...arrays.groups import any_of
from ...arrays.growing import constant
from .. import api
from ..model import Calls, process_of
from ..schema import RUNTIME, Schema
from ..source.scan import Source
from .columns import NONE, Columns, Invalid, Wish, read_table
from .matching import Submissions, submissions
from .strings import Strings
from .validity import valid_times

_WISH = Wish(("start", "end", "nameId"), {"globalTid": 0, "correlationId": NONE, "returnValue": 0})
_NODE = Wish((), {"start": NONE, "globalTid": NONE})


def read_calls(source: Source, schema: Schema, strings: Strings, invalid: Invalid) -> tuple[Calls, Submissions]:
    """All calls with valid times, and a table to find those that submitted an operation."""
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
        effect=gathered(np.array([*effects, api.OTHER], np.int8), name),
        outermost=outermost,
        made_node=constant(False, len(process), bool),
    )
    nodes = read_table(source, schema, schema.graph_nodes, _NODE, invalid).columns
    calls = replace(calls, made_node=_made_node(calls, nodes))
    return calls, submitted


def _made_node(calls: Calls, nodes: Columns) -> NDArray[np.bool_]:
    """The work-submitting calls during which graph nodes were made. In every capture of 2025.3 whose graphs were traced
    by node, each captured launch made one, and no launch that actually ran did."""
    if not len(nodes["start"]):
        return constant(False, len(calls), bool)
    submitting = np.flatnonzero(calls.outermost & any_of(calls.effect, api.SUBMITTING))
    thread = np.concatenate((calls.thread[submitting], nodes["globalTid"]))
    time = np.concatenate((calls.start[submitting], nodes["start"]))
    order = np.lexsort((time, thread))  # stable: a call that begins at the instant a node is made sorts before it
    last = np.maximum.accumulate(np.where(order < len(submitting), np.arange(len(order)), -1))
    made = np.flatnonzero((order >= len(submitting)) & (last >= 0))
    call = order[last[made]]
    inside = (thread[order[made]] == thread[call]) & (time[order[made]] <= calls.end[submitting[call]])
    makes_node = np.zeros(len(calls), bool)
    makes_node[submitting[call[inside]]] = True
    return makes_node


def only_process(calls: Calls) -> int:
    """The process that made all calls, 0 if there are several: for exports whose operations do not name theirs."""
    if not len(calls):
        return 0
    first = int(calls.process[0])
    return first if bool((calls.process == first).all()) else 0
