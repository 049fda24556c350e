"""`aisp-prof demos` as typed."""

from __future__ import annotations

import pytest
from aisp_prof.workloads.demos.demo import Demo


@pytest.fixture
def run(run):
    """Run `aisp-prof demos …`: exit code, stdout, stderr."""

    return lambda *arguments: run("demos", *arguments)


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_demos_are_listed(run, arguments):
    code, out, _ = run(*arguments)
    assert code == 0
    ch09 = [
        f"ch09-{name}" for name in ("inline-ptx-example", "nvfp4-blackwell", "tcgen05-pipelined", "two-stage-pipeline")
    ]
    ch10 = ["ch10-both", "ch10-cluster-group", "ch10-gds", "ch10-memory-pipeline", "ch10-warpgroup-specialization"]
    ch11 = ["ch11-event-timing", "ch11-kv-prefetch", "ch11-memory-async", "ch11-stream-overlap", "ch11-stream-priority"]
    twins = [f"ch11-streams-{name}" for name in ("ordered-cuda", "overlap-cuda", "warp-specialized")]
    assert [line.split()[0] for line in out.splitlines()] == [*ch09, *ch10, *ch11, *twins]
    assert len({line.index(line.split(maxsplit=1)[1]) for line in out.splitlines()}) == 1, "one column"


def test_arguments_after_the_dashes_are_the_demos(run, monkeypatch):
    seen = []

    def measured(self, arguments):
        seen.append((self.name, list(arguments)))
        return ["1.5 ms  n 3"]

    monkeypatch.setattr(Demo, "run", measured)
    code, out, _ = run("ch11-stream-overlap", "--", "--size", "small")
    assert (code, out) == (0, "1.5 ms  n 3\n")
    assert seen == [("ch11-stream-overlap", ["--size", "small"])]


def test_a_demos_own_help(run):
    code, out, _ = run("ch11-memory-async", "--", "--help")
    assert code == 0
    assert "--rounds" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("ch11-stream-overlapp",), "did you mean ch11-stream-overlap?"),
        (("ch11-stream-overlap", "--", "--size", "huge"), "invalid choice"),
        (("ch11-stream-overlap", "--size", "small"), "No such option"),
    ],
)
def test_slips_are_answered(run, arguments, complaint):
    code, _, err = run(*arguments)
    assert code == 2
    assert complaint in err
