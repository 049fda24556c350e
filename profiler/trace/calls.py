"""CUDA API calls, runtime and driver, from their one table."""

from __future__ import annotations

import sqlite3

import numpy as np

from . import api
from .columns import NONE, read_integers
from .matching import outermost_calls
from .model import Calls, process_of
from .schema import RUNTIME, Schema
from .strings import Strings
from .validity import Invalid, valid_times


def read_calls(connection: sqlite3.Connection, schema: Schema, strings: Strings, invalid: Invalid) -> Calls:
    required = ("start", "end", "nameId")
    c = read_integers(connection, schema, RUNTIME, required, {"globalTid": 0, "correlationId": NONE, "returnValue": 0})
    c = valid_times(c, RUNTIME, invalid)
    name = strings.of_ids(c["nameId"])
    effects = {int(i): api.effect(strings.text(int(i))) for i in np.unique(name)}
    effect = np.array([effects[int(i)] for i in np.unique(name)], np.int8)[np.unique(name, return_inverse=True)[1]]
    process = process_of(c["globalTid"])
    return Calls(
        row=c["row"],
        start=c["start"],
        end=c["end"],
        process=process,
        thread=c["globalTid"],
        correlation=c["correlationId"],
        name=name,
        result=c["returnValue"],
        effect=effect.reshape(-1),
        outermost=outermost_calls(process, c["correlationId"], c["start"], c["end"], c["row"]),
    )
