"""SARIF 2.1.0: claims that do not hold as results, as code scanning reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import __version__
from ..profiler.evidence import Verdict
from ..profiler.queries.assertions import Answer, Checked
from ..profiler.queries.claims_file import Place
from .assertion import measured, reasons
from .catalog import catalog
from .hostile import visible

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVEL = {Verdict.REFUTED: "error", Verdict.INVALID: "error"}


def sarif(answer: Answer, trace: str, places: Mapping[str, Place] | None = None) -> str:
    """One run with a rule a claim, and a result for each that is not proven, located where `places` say that the claim is
    made, else at the trace."""
    rules = [
        {"id": _rule(number), "shortDescription": {"text": visible(one.claim.text)}} for number, one in _each(answer)
    ]
    results = [
        _result(number, one, (places or {}).get(one.claim.text, Place(trace, None)))
        for number, one in _each(answer)
        if one.claim.verdict is not Verdict.PROVEN
    ]
    driver = {"name": "aisp-prof", "version": __version__, "rules": rules}
    data = {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(data, indent=1) + "\n"


def _each(answer: Answer) -> list[tuple[int, Checked]]:
    return list(enumerate(answer.claims))


def _rule(number: int) -> str:
    return f"claim-{number + 1}"


def _result(number: int, one: Checked, place: Place) -> dict[str, Any]:
    said = [f"{one.claim.text}: {one.claim.verdict}", measured(one), *reasons(one, catalog("en"))]
    return {
        "ruleId": _rule(number),
        "ruleIndex": number,
        "level": _LEVEL.get(one.claim.verdict, "warning"),
        "message": {"text": "; ".join(map(visible, said))},
        "locations": [{"physicalLocation": _location(place)}],
    }


def _location(place: Place) -> dict[str, Any]:
    """A URI reference, in which a blank or a percent sign of a file's name would mean something else."""
    path = Path(place.file)
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    return {"artifactLocation": {"uri": uri}, **({"region": {"startLine": place.line}} if place.line else {})}
