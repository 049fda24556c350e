"""The marker `nsys` where there is a GPU: a real body, traced by the real Nsight Systems."""

from __future__ import annotations

import os
import sys

import pytest
import torch

pytest_plugins = ("pytester",)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing can be captured here"),
]


@pytest.fixture
def session(pytester, monkeypatch):
    pytester.makeini("[pytest]")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # a checkout that nobody installed

    def run(body):
        pytester.makepyfile(test_it=body)
        options = ("-p", "aisp_prof.testing.plugin", "-p", "no:cacheprovider", "--nsys-required", "--nsys-traces=kept")
        return pytester.runpytest_subprocess(*options)

    return run


def test_a_body_is_captured_and_its_claims_hold(session, pytester):
    result = session("""
        import pytest
        import torch

        @pytest.fixture
        def x():
            return torch.ones(1 << 20, device="cuda")

        @pytest.mark.nsys(
            "kernels_per_iteration == 2", "launch_calls_per_iteration == 2", "syncs_per_iteration == 0", "busy <= 1s",
            iterations=8, warmup=2, timeout=180,
        )
        def test_two_kernels(x):
            x.add_(1)
            x.mul_(2)

        @pytest.mark.nsys(iterations=6, warmup=1, timeout=180)
        def test_by_hand(captured, x):
            step = captured(x.add_, 1)
            answer = step.check("kernels_per_iteration == 1")
            assert answer.claims[0].claim.n == 6
            assert step.file.summary().completeness.status == "complete"
    """)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["5 claims on 2 traces: 5 proven, 0 refuted, 0 unproven"])
    assert len(list((pytester.path / "kept").glob("*.sqlite"))) == 2


def test_a_sync_in_the_body_is_found_and_named(session):
    result = session("""
        import pytest
        import torch

        @pytest.mark.nsys("syncs_per_iteration == 0", warmup=1, timeout=180)
        def test_it():
            torch.ones(8, device="cuda").sum().item()
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*called: * from * ns: cuda*Synchronize* (CUPTI_ACTIVITY_KIND_RUNTIME row *"])
