"""JUnit XML: one test case per claim, as every CI system reads it."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from ...profiler.assertions.check import Answer, Checked
from ...profiler.evidence import Verdict
from ..catalog import catalog
from ..hostile import visible
from ..terminal.assertion import details, measured, reasons
from .asked import Asked


def junit(answer: Answer, asked: Asked) -> str:
    """A test suite: refuted claims are failures, undecided ones are errors; none is skipped. A test is identified by
    its class and name: the trace with its ranges, and the claim.
    """
    failed = [one for one in answer.claims if one.claim.verdict is not Verdict.PROVEN]
    wrong = sum(_kind(one) == "failure" for one in failed)
    counts = {"tests": len(answer.claims), "failures": wrong, "errors": len(failed) - wrong, "skipped": 0}
    told = {"name": visible(asked.trace), **{name: str(n) for name, n in counts.items()}}
    suite = Xml.Element("testsuite", {**told, "time": _time(sum(one.seconds for one in answer.claims))})
    for one in answer.claims:
        _case(suite, one, visible(asked.named))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(suite, "unicode") + "\n"


def _case(suite: Xml.Element, one: Checked, name: str) -> None:
    """The message is in an attribute, for readers that look there, and in full in the element's text: GitLab and
    test-reporter show nothing else."""
    attributes = {"classname": name, "name": visible(one.claim.text), "time": _time(one.seconds)}
    case = Xml.SubElement(suite, "testcase", attributes)
    say = catalog("en")
    message = "; ".join(map(visible, [measured(one, say), *reasons(one, say)]))
    if one.claim.verdict is Verdict.PROVEN:
        Xml.SubElement(case, "system-out").text = message
        return
    failure = Xml.SubElement(case, _kind(one), {"type": one.claim.verdict.value, "message": message})
    head = f"{one.claim.text}: {one.claim.verdict}"
    failure.text = "\n".join(visible(line) for line in (head, measured(one, say), *details(one, say)))


def _time(seconds: float) -> str:
    return f"{seconds:.6f}"


def _kind(one: Checked) -> str:
    return "failure" if one.claim.verdict in (Verdict.REFUTED, Verdict.INVALID) else "error"
