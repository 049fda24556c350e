"""CUDA API calls, runtime and driver, from their one table."""

from __future__ import annotations

import numpy as np

from . import api
from .columns import NONE, Invalid, Wish, read_table
from .matching import Submissions, submissions
from .model import Calls, process_of
from .schema import RUNTIME, Schema
from .source.scan import Source
from .strings import Strings
from .validity import valid_times

_WISH = Wish(("start", "end", "nameId"), {"globalTid": 0, "correlationId": NONE, "returnValue": 0})


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
    )
    return calls, submitted


def only_process(calls: Calls) -> int:
    """The process that made all calls, 0 when there are several: for exports whose operations do not say theirs."""
    if not len(calls):
        return 0
    first = int(calls.process[0])
    return first if bool((calls.process == first).all()) else 0
