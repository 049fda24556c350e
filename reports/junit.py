"""JUnit XML: a test case a claim, as every CI system reads it."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from ..profiler.evidence import Verdict
from ..profiler.queries.assertions import Answer, Checked
from .assertion import measured, reasons
from .catalog import catalog
from .hostile import visible


def junit(answer: Answer, trace: str) -> str:
    """A test suite: refuted claims are failures, those that cannot be told are errors; none is skipped."""
    failed = [one for one in answer.claims if one.claim.verdict is not Verdict.PROVEN]
    wrong = sum(_kind(one) == "failure" for one in failed)
    counts = {"tests": len(answer.claims), "failures": wrong, "errors": len(failed) - wrong, "skipped": 0}
    suite = Xml.Element("testsuite", {"name": visible(trace), **{name: str(n) for name, n in counts.items()}})
    for one in answer.claims:
        case = Xml.SubElement(suite, "testcase", {"classname": visible(trace), "name": visible(one.claim.text)})
        text = "; ".join(map(visible, [measured(one), *reasons(one, catalog("en"))]))
        if one.claim.verdict is Verdict.PROVEN:
            Xml.SubElement(case, "system-out").text = text
        else:
            Xml.SubElement(case, _kind(one), {"type": one.claim.verdict.value, "message": text})
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(suite, "unicode") + "\n"


def _kind(one: Checked) -> str:
    return "failure" if one.claim.verdict in (Verdict.REFUTED, Verdict.INVALID) else "error"
