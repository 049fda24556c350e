"""SARIF 2.1.0: claims that do not hold, as results for code scanning."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...profiler.assertions.check import Answer, Checked
from ...profiler.assertions.places import Place
from ...profiler.evidence import Verdict
from ...version import __version__
from ..catalog import catalog
from ..hostile import shorten, visible
from ..terminal.assertion import measured, reasons
from .asked import Asked

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "primaryLocationLineHash"
"""The only one that GitHub looks at. Ours identifies the claim, not the line: it stays the same when claims are inserted."""
OWN_FINGERPRINT = "aispProfClaim/v1"
LONGEST = 1024
"""The most characters of a description that GitHub accepts."""
_LEVEL = {Verdict.REFUTED: "error", Verdict.INVALID: "error"}
_HELP = (
    "aisp-prof judges this claim on an Nsight Systems trace. An error says that the trace refutes it, a warning that the trace "
    "cannot tell: it is incomplete, a range is not there, or too few iterations were measured. The message says what was "
    "measured and why. The language of claims is described in docs/metrics.md, what to do about it in docs/ci.md."
)


def sarif(answer: Answer, asked: Asked, places: Mapping[str, Place] | None = None) -> str:
    """One run with one rule per claim, and a result for each claim that is not proven, located where `places` say it is
    made, else at the trace."""
    claims = list(asked.identified(answer))
    rules = {name: _rule(name, one) for name, one in claims}
    index = {name: number for number, name in enumerate(rules)}
    failed = [(name, one) for name, one in claims if one.claim.verdict is not Verdict.PROVEN]
    seen: dict[str, int] = {}
    results = []
    for name, one in failed:
        seen[name] = seen.get(name, 0) + 1
        place = (places or {}).get(one.claim.text, Place(asked.trace))
        results.append({"ruleIndex": index[name], **_result(name, seen[name], one, place)})
    driver = {"name": "aisp-prof", "version": __version__, "rules": list(rules.values())}
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"aisp-prof/{visible(asked.named)}/"},  # the part before the last / is the category
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(name: str, one: Checked) -> dict[str, Any]:
    text = shorten(visible(one.claim.text), LONGEST // 2)
    return {
        "id": f"claim-{name}",
        "name": shorten(text, 255),
        "shortDescription": {"text": text},
        "fullDescription": {"text": f"The claim {text} holds on the trace."},
        "help": {"text": f"{text}\n\n{_HELP}"},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["performance", "gpu"], "precision": "high", "problem.severity": "error"},
    }


def _result(name: str, number: int, one: Checked, place: Place) -> dict[str, Any]:
    said = [f"{one.claim.text}: {one.claim.verdict}", measured(one, catalog("en")), *reasons(one, catalog("en"))]
    identity = f"{name}:{number}"
    return {
        "ruleId": f"claim-{name}",
        "level": _LEVEL.get(one.claim.verdict, "warning"),
        "message": {"text": "; ".join(map(visible, said))},
        "locations": [{"physicalLocation": _location(place)}],
        "partialFingerprints": {FINGERPRINT: identity, OWN_FINGERPRINT: identity},
    }


def _location(place: Place) -> dict[str, Any]:
    """A URI reference, in which a blank or a percent sign of a file name has to be escaped; and a region, without which
    code scanning shows no result: where no line is known, the beginning of the file."""
    path = Path(place.file)
    uri = path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
    region = {"startLine": place.line or 1, "startColumn": place.column}
    end = {"endLine": place.end_line, "endColumn": place.end_column}
    return {"artifactLocation": {"uri": uri}, "region": {**region, **end}}
