"""The end of a test session: how many claims were judged on which traces, and those that do not hold."""

from __future__ import annotations

import json
from collections import Counter

import pytest

PROPERTY = "aisp-prof claim"
"""The name under which each judged claim travels with its test's report: from xdist's workers, to this summary and to
JUnit XML."""

_VERDICTS = ("proven", "refuted", "unproven")


def forget(item: pytest.Item) -> None:
    """Drop what an earlier attempt of a test recorded: plugins that rerun a failed test reuse its item."""
    item.user_properties[:] = [one for one in item.user_properties if one[0] != PROPERTY]


class Summary:
    """Collects what the tests' reports carry; with pytest-xdist these come from the workers.

    If a test was rerun, its last attempt counts.
    """

    def __init__(self) -> None:
        self.told: dict[str, list[dict[str, str]]] = {}

    @property
    def claims(self) -> list[tuple[str, dict[str, str]]]:
        return [(test, claim) for test, claims in self.told.items() for claim in claims]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":  # a test's last report, with everything that was added
            told = [str(value) for name, value in report.user_properties if name == PROPERTY]
            self.told[report.nodeid] = [json.loads(one) for one in told]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if not self.claims:
            return
        from ..reports.hostile import visible
        from ..reports.terminal.console import MARKS

        write = terminalreporter.write_line
        verdicts = Counter(claim["verdict"] for _, claim in self.claims)
        traces = Counter(claim["trace"] for _, claim in self.claims)
        terminalreporter.section("claims on traces")
        for test, claim in self.claims:
            if claim["verdict"] != "proven" or config.getoption("verbose") > 0:  # pytest 7 has no get_verbosity
                text = f"{MARKS[claim['verdict']]} {claim['claim']}  {claim['measured']}  {claim['verdict']} in {test}"
                write(visible(text), red=claim["verdict"] != "proven")
        for trace, count in sorted(traces.items()):
            write(visible(f"{_counted(count, 'claim')} on {trace}"))
        tally = ", ".join(f"{verdicts[name]} {name}" for name in _VERDICTS)
        write(f"{_counted(len(self.claims), 'claim')} on {_counted(len(traces), 'trace')}: {tally}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
