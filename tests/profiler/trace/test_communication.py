"""Which kernels are communication, by the names in the libraries' own sources, and which only sound like it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.counters.kernel_counters import function_name
from aisp_prof.profiler.store.names import NameRules
from aisp_prof.profiler.trace.communication import LIBRARIES, PATTERNS, matcher, sounds_like_communication
from aisp_prof.profiler.trace.model import KINDS
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.catalog import LANGUAGES, catalog
from hypothesis import given
from hypothesis import strategies as st
from trace_builder import TraceBuilder

NAMES = json.loads(Path(__file__).with_name("communication-names.json").read_text("utf-8"))
SHAPES = Path(__file__).parents[2] / "traces" / "shapes"
LISTED = [(source, name) for source, names in NAMES["communication"].items() for name in names]
COMPUTE = [(source, name) for source, names in NAMES["compute"].items() for name in names]
KNOWN = matcher()


@pytest.mark.parametrize(("source", "name"), LISTED)
def test_a_librarys_kernel_is_communication(source: str, name: str) -> None:
    assert KNOWN.part(name) or KNOWN.part(function_name(name)), source


@pytest.mark.parametrize(("source", "name"), COMPUTE)
def test_an_ordinary_kernel_is_compute_and_nobody_suspects_it(source: str, name: str) -> None:
    for told in (name, function_name(name)):
        assert KNOWN.part(told) == "", source
        assert not sounds_like_communication(told), source


@pytest.mark.parametrize("name", NAMES["sounds"])
def test_a_name_of_no_list_that_sounds_like_it(name: str) -> None:
    assert KNOWN.part(name) == ""
    assert sounds_like_communication(name)


@pytest.mark.parametrize("pattern", [pattern for library in LIBRARIES for pattern in library.patterns])
def test_every_pattern_knows_a_name_that_was_seen(pattern: str) -> None:
    assert any(re.search(pattern, name) for _, name in LISTED)


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_whatever_a_pattern_matches_is_known(pattern: str, data: st.DataObject) -> None:
    """Words are looked for first: none may be missing."""
    name = data.draw(st.from_regex(re.compile(pattern)))
    assert KNOWN.part(name) or re.match(r"triton_\w*fused_", name)


@pytest.mark.parametrize("name", [name for _, name in LISTED])
def test_a_hidden_name_keeps_its_class(name: str) -> None:
    for rules in (NameRules(hash_names=True), NameRules(drop=("*",))):
        rules.decide([name.encode()])
        hidden = rules.named(name.encode()).decode()
        assert bool(KNOWN.part(hidden)) is bool(KNOWN.part(name))


def test_no_hash_sounds_like_anything() -> None:
    for number in range(20_000):
        assert not sounds_like_communication(f"h_{hashlib.sha256(str(number).encode()).hexdigest()[:16]}")


@pytest.mark.parametrize("name", ["triton_poi_fused_one_shot_all_reduce_1", "reduce_kernel"])
def test_a_hidden_name_of_a_compute_kernel_becomes_none(name: str) -> None:
    rules = NameRules(hash_names=True)
    rules.decide([name.encode()])
    assert KNOWN.part(rules.named(name.encode()).decode()) == ""


def test_an_all_reduce_hides_no_copy() -> None:
    trace = read_trace(SHAPES / "allreduce-fusion-as-compute.sqlite.xz")
    assert [KINDS[kind] for kind in trace.operations.kind[:2]] == ["comm", "compute"]
    claims = ("hidden(h2d) >= 0.9", "hidden(h2d) == 0", "hidden(h2d, comm) >= 0.9")
    found = check(trace, Question(claims, {"step": "step"})).claims
    assert [(one.claim.verdict, one.claim.measured) for one in found[:2]] == [("refuted", 0.0), ("proven", 0.0)]
    assert found[2].claim.verdict == "proven"


@pytest.fixture
def attested(tmp_path):
    def found(*names: str, communication=()):
        trace = TraceBuilder()
        p = trace.process(7)
        p.range("step", 0, 1)
        for number, name in enumerate(names):
            at = 10 * number + 1
            p.kernel(name, (at, at + 1), (at + 2, at + 4))
        return attest(read_trace(trace.write(tmp_path / "t.sqlite"), communication))

    return found


def test_an_unlisted_name_is_a_finding_that_blocks_nothing(attested) -> None:
    found = attested("acme_all_reduce", "gemm", "acme_all_reduce", "ring_gather_peers")
    (finding,) = found.findings
    assert (finding.code, finding.blocks, found.status) == ("unlisted_communication", "", "complete")
    assert finding.values["count"] == 3
    assert finding.values["names"] == "acme_all_reduce, ring_gather_peers"
    for language in LANGUAGES:
        assert "acme_all_reduce" in catalog(language).finding(finding).seen
        assert "--communication" in catalog(language).finding(finding).mend


def test_a_pattern_of_the_callers_answers_the_finding(attested) -> None:
    assert attested("acme_all_reduce", communication=["^acme_"]).findings == ()


def test_many_names_are_shortened(attested) -> None:
    (finding,) = attested(*(f"acme_all_reduce_{letter}" for letter in "abcdef")).findings
    assert finding.values["count"] == 6
    assert str(finding.values["names"]).endswith("acme_all_reduce_c, …")
