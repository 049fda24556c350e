"""Regressions put into traces, built and real, turn the exit code of `aisp-prof assert`: what a build must catch."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.cli import app
from pair_trace import US, run_pair
from regressions import changed, copied
from trace_builder import TraceBuilder
from typer.testing import CliRunner

TESTS = Path(__file__).parents[1]
STREAMS = next((TESTS.parent / "captures").glob("ch11.streams-*")) / "trace.sqlite.xz"
GRAPHS = TESTS / "traces" / "two-gpus-node.sqlite.xz"
OPTIMIZED = "ch11.streams.optimized.measure"

PROVEN, REFUTED, UNPROVEN = 0, 1, 4


@pytest.fixture
def asserted(capsys):
    """The exit code, and what was printed."""

    def run(trace, name, *claims):
        done = CliRunner().invoke(app, ["assert", str(trace), *claims, "--range", name])
        return done.exit_code, done.output

    return run


@pytest.fixture
def built(tmp_path):
    trace = TraceBuilder()
    run_pair(trace)
    return trace.write(tmp_path / "built.sqlite")


@pytest.fixture
def real(tmp_path):
    return copied(STREAMS, tmp_path / "real.sqlite")


CLAIMS = {
    "built": ("hidden(h2d, d2h) >= 0.5", "syncs_per_iteration == 1", "kernels_per_iteration == 4", "every idle <= 10us",
              "span <= 0.57ms"),
    "real": ("hidden(h2d, d2h) >= 0.85", "syncs_per_iteration == 2", "kernels_per_iteration == 17", "every idle <= 30us",
             "span <= 18ms"),
}  # fmt: skip
REGRESSIONS = {
    "one stream serialised": (lambda export: export.serialise(OPTIMIZED), REFUTED, "hidden(h2d, d2h)"),
    "a sync added": (lambda export: export.add_sync(OPTIMIZED), REFUTED, "cudaStreamSynchronize_v3020 (CUPTI"),
    "half the kernels dropped": (lambda export: export.drop_kernels(OPTIMIZED), UNPROVEN, "The trace states"),
    "gap grown": (lambda export: export.grow_gap(OPTIMIZED, 200 * US), REFUTED, "nothing runs: 20"),
    "30 % slower": (lambda export: export.slow(OPTIMIZED, 1.3), REFUTED, "span <="),
}


@pytest.mark.parametrize("kind", ["built", "real"])
@pytest.mark.parametrize("what", REGRESSIONS)
def test_a_regression_fails_the_build(kind, what, asserted, request):
    trace, (change, code, said) = request.getfixturevalue(kind), REGRESSIONS[what]
    assert asserted(trace, OPTIMIZED, *CLAIMS[kind])[0] == PROVEN
    with changed(trace) as export:
        change(export)
    after, output = asserted(trace, OPTIMIZED, *CLAIMS[kind])
    assert after == code
    assert said in output
    assert ("✓" in output) is (
        code == REFUTED
    )  # other claims still hold, but of a trace that is not whole nothing does


def graphs(trace, count=6):
    """`count` steps of one graph launch with four kernels each."""
    p = trace.process(551)
    p.sees(trace.gpu("a0ae1ff2-b9e3"))
    for step in range(count):
        at = (step + 1) * 1_000 * US
        correlation = p.graph((at + 10, at + 2_000))
        for node in range(4):
            run = at + (10 + 20 * node) * US
            p.kernel(f"node{node}", None, (run, run + 15 * US), correlation=correlation, node=node + 1)
        p.range("replay", at, at + 3_000, domain="train")


@pytest.mark.parametrize("kind", ["built", "real"])
def test_a_graph_turned_back_into_launches_fails_the_build(kind, asserted, tmp_path):
    trace, nodes = TraceBuilder(), 4 if kind == "built" else 6
    graphs(trace)
    export = trace.write(tmp_path / "b.sqlite") if kind == "built" else copied(GRAPHS, tmp_path / "r.sqlite")
    claims = f"launch_calls_per_iteration <= {1 if kind == 'built' else 2}", f"kernels_per_iteration == {nodes}"
    assert asserted(export, "replay", *claims)[0] == PROVEN
    with changed(export) as file:
        file.unroll_graphs("replay")
    code, output = asserted(export, "replay", *claims)
    assert code == REFUTED
    assert f"✗ {claims[0]}" in output
    assert f"✓ {claims[1]}" in output
    assert "cudaLaunchKernel_v7000 (CUPTI_ACTIVITY_KIND_RUNTIME row" in output
