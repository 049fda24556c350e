"""The pytest plugin in sessions of its own: claims in tests, captured bodies, skips, failures and the summary."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import aisp_prof.testing.capturing  # noqa: F401  pytester forgets what a session imports, and numpy loads only once
import pytest
import traced
from aisp_prof.profiler.tracer import library
from aisp_prof.testing import machine
from pair_trace import US, run_pair
from trace_builder import TraceBuilder

pytest_plugins = ("pytester",)

OPTIMIZED = "ch11.streams.optimized.measure"
FAKE_NSYS = """#!{python}
import os, pathlib, shutil, subprocess, sys
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("NVIDIA Nsight Systems version 2025.3.2.474")
elif arguments[0] == "profile":
    if {refuses!r}:
        sys.exit({refuses!r})
    at = arguments.index("-o")
    code = subprocess.run(arguments[at + 2:], env={{**os.environ, "UNDER": "nsys"}}).returncode
    if not {broken!r}:
        pathlib.Path(arguments[at + 1] + ".nsys-rep").write_bytes(b"report")
    sys.exit({broken!r} or code)
else:
    shutil.copy({export!r}, arguments[arguments.index("--output") + 1])
"""


@pytest.fixture
def session(pytester):
    """Run pytest on a test file with the plugin, as it is where aisp-prof is installed."""
    pytester.makeini("[pytest]\naddopts = --strict-markers")

    def run(body, *options):
        pytester.makepyfile(test_it=body)
        return pytester.runpytest("-p", "aisp_prof.testing.plugin", "-p", "no:cacheprovider", *options)

    return run


@pytest.fixture
def pair(pytester):
    """A trace of a pair beside the test file."""
    trace = TraceBuilder()
    run_pair(trace)
    return trace.write(pytester.path / "pair.sqlite")


def kernels(name, count=2):
    """A trace whose range `name`, in the plugin's domain, launched `count` kernels, six times."""
    trace = TraceBuilder()
    p = trace.process(551)
    p.sees(trace.gpu("a0ae1ff2-b9e3"))
    for step in range(6):
        at = (step + 1) * 1_000 * US
        for number in range(count):
            call, run = at + 10 + 4 * number, at + (1 + 20 * number) * US
            p.kernel("work", (call, call + 2), (run, run + 15 * US))
        p.range(name, at, at + 500 * US, domain="pytest", payload=step)
    return trace


@pytest.fixture
def fake_machine(tmp_path, monkeypatch):
    """A machine with a GPU and an nsys that runs what it traces, and exports the trace that is given here."""

    def make(trace, broken="", refuses=""):
        export = trace.write(tmp_path / "prepared.sqlite")
        executable = tmp_path / "target-linux-x64" / "nsys"
        executable.parent.mkdir()
        what = {"export": str(export), "broken": broken, "refuses": refuses}
        executable.write_text(FAKE_NSYS.format(python=sys.executable, **what))
        executable.chmod(0o755)
        monkeypatch.setenv("AISP_NSYS", str(executable))
        monkeypatch.setattr(machine, "sees_gpu", lambda: True)
        machine.lacking.cache_clear()

    yield make
    machine.lacking.cache_clear()


def test_claims_that_hold_pass_and_are_counted(session, pair):
    result = session(f"""
        def test_overlap(trace):
            answer = trace("pair.sqlite").check("hidden(h2d, d2h) >= 0.5", "kernels_per_iteration == 4", range="{OPTIMIZED}")
            assert answer.claims[0].claim.n == 8

        def test_both(trace):
            ranges = {{"before": "*.baseline.measure", "after": "*.optimized.measure"}}
            trace("pair.sqlite").check("speedup(before, after) >= 1.5", ranges=ranges, domain="aisp")
    """)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["* claims on traces *", f"3 claims on {pair}", "3 claims on 1 trace: 3 proven, 0 *"])
    assert "✓" not in result.stdout.str()  # without -v only what does not hold is listed


def test_a_refuted_claim_fails_with_what_breaks_it(session, pair):
    result = session(f"""
        def test_overlap(trace):
            trace("pair.sqlite").check("hidden(h2d, d2h) >= 0.99", range="{OPTIMIZED}")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*trace("pair.sqlite").check(*',
            "E *ClaimNotProven: pair.sqlite: refuted",
            "E *✗ hidden(h2d, d2h) >= 0.99 * 60.0% (n = 8)",
            "E *nothing hides: * (CUPTI_ACTIVITY_KIND_MEMCPY row *",
            "✗ hidden(h2d, d2h) >= 0.99 * refuted in test_it.py::test_overlap",
            "1 claim on 1 trace: 0 proven, 1 refuted, 0 unproven",
        ]
    )
    assert "claims.py" not in result.stdout.str()  # the traceback ends in the test


def test_an_unproven_claim_fails_too(session, pair):
    result = session(f"""
        def test_exchange(trace):
            trace("pair.sqlite").check("hidden(comm) >= 0.5", range="{OPTIMIZED}")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *[?] hidden(comm) >= 0.5*", "*0 proven, 0 refuted, 1 unproven"])


def test_slips_come_with_their_mend(session, pair):
    result = session("""
        def test_typo(trace):
            trace("pair.sqlite").check("hiden(copy) >= 0.5")

        def test_no_file(trace):
            trace("nothing.sqlite")
    """)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *no metric is called 'hiden'", "E *did you mean hidden[?]", "E *nothing.sqlite*"])


def test_a_claims_file_beside_the_test(session, pair, pytester):
    (pytester.path / "claims.toml").write_text(
        f'schema = 1\ndomain = "aisp"\nclaims = ["hidden(h2d, d2h) >= 0.5"]\n[ranges]\nstep = "{OPTIMIZED}"\n'
    )
    result = session("""
        def test_file(trace):
            answer = trace("pair.sqlite").check("kernels_per_iteration == 4", file="claims.toml")
            assert [one.claim.verdict for one in answer.claims] == ["proven", "proven"]
    """)
    result.assert_outcomes(passed=1)


def test_communication_of_ones_own_counts_where_a_test_or_its_claims_file_names_it(session, pytester):
    kernels("step", 3).write(pytester.path / "a.sqlite")
    (pytester.path / "claims.toml").write_text('schema = 1\nclaims = ["count(comm) == 3"]\ncommunication = ["."]\n')
    result = session("""
        def test_its_own(trace):
            trace("a.sqlite").check("count(comm) == 0", "count(compute) == 3", range="step")
            trace("a.sqlite").check("count(comm) == 3", range="step", communication=["."])
            trace("a.sqlite", communication=["."]).check("count(comm) == 3", "count(compute) == 0", range="step")
            trace("a.sqlite").check(file="claims.toml", range="step")
    """)
    result.assert_outcomes(passed=1)


def test_the_trace_answers_other_questions_and_is_read_once(session, pair):
    result = session("""
        def test_one(trace):
            assert trace("pair.sqlite").file is trace("pair.sqlite").file
            assert trace("pair.sqlite").file.summary().completeness.status == "complete"
            assert trace("pair.sqlite").path.is_absolute()
    """)
    result.assert_outcomes(passed=1)


def test_what_a_file_holds_now_is_judged(session, pytester):
    """Two files of one time and size: the second passed on what was read of the first."""
    for name, count in (("a", 2), ("b", 3)):
        os.utime(kernels("step", count).write(pytester.path / f"{name}.sqlite"), ns=(10**18, 10**18))
    result = session("""
        import os, shutil

        def test_another_file(trace):
            trace("a.sqlite").check("kernels_per_iteration == 2", range="step")
            trace("b.sqlite").check("kernels_per_iteration == 3", range="step")

        def test_another_content(trace):
            shutil.copy2("a.sqlite", "x.sqlite")
            trace("x.sqlite").check("kernels_per_iteration == 2", range="step")
            shutil.copyfile("b.sqlite", "x.sqlite")
            os.utime("x.sqlite", ns=(10**18, 10**18))
            trace("x.sqlite").check("kernels_per_iteration == 3", range="step")
    """)
    result.assert_outcomes(passed=2)


def test_a_list_of_claims(session, pair):
    result = session(f"""
        import pytest
        from aisp_prof.errors import UsageError

        def test_list(trace):
            claims = ["hidden(h2d, d2h) >= 0.5", "kernels_per_iteration == 4"]
            answer = trace("pair.sqlite").check(claims, "every span <= 1s", range="{OPTIMIZED}")
            assert [one.claim.text for one in answer.claims] == [*claims, "every span <= 1s"]

        @pytest.mark.parametrize("wrong", [1, None, [1], ["busy >= 0us", None]])
        def test_no_text(trace, wrong):
            with pytest.raises(UsageError, match="claims are texts"):
                trace("pair.sqlite").check(wrong)
    """)
    result.assert_outcomes(passed=5)


def test_of_a_test_that_is_run_again_the_last_attempt_counts(session, pair, pytester):
    pytest.importorskip("pytest_rerunfailures", reason="pytest-rerunfailures is not installed: scripts/setup test")
    body = f"""
        import pathlib

        def test_overlap(trace):
            with pathlib.Path("attempts").open("a+") as file:
                file.write("x")
                file.seek(0)
                attempt = len(file.read())
            trace("pair.sqlite").check(f"kernels_per_iteration == {{1 + attempt}}", range="{OPTIMIZED}")
    """
    result = session(body, "--reruns", "3", "--junitxml=j.xml")
    assert (pytester.path / "attempts").read_text() == "xxx"
    result.stdout.fnmatch_lines(["1 claim on 1 trace: 1 proven, 0 refuted, 0 unproven"])
    attempts = Xml.parse(pytester.path / "j.xml").iter("testcase")
    told = [[str(one.get("value")) for one in attempt.iter("property")] for attempt in attempts]
    assert max(map(len, told)) == 1
    assert "== 4" in told[-1][0]


def test_a_captured_body_is_not_run_again_inside_its_capture(session, fake_machine, pytester):
    """Both attempts would be iterations of one trace; here the test as a whole is run again."""
    pytest.importorskip("pytest_rerunfailures", reason="pytest-rerunfailures is not installed: scripts/setup test")
    fake_machine(kernels("test_body"))
    pytester.makeini("[pytest]\naddopts = --reruns 2")
    result = session("""
        import pathlib
        import pytest

        @pytest.mark.nsys
        def test_body():
            with pathlib.Path("ran").open("a") as file:
                file.write("x")
            raise ValueError
    """)
    assert {name: count for name, count in result.parseoutcomes().items() if name != "warnings"} == {
        "failed": 1,
        "rerun": 2,
    }
    assert (pytester.path / "ran").read_text() == "xxx"


def test_a_test_that_is_repeated_is_captured_each_time(session, fake_machine, pytester):
    pytest.importorskip("pytest_repeat", reason="pytest-repeat is not installed: scripts/setup test")
    fake_machine(kernels("test_body_*"))
    result = session(
        """
        import pathlib
        import pytest

        class TestIt:
            @pytest.mark.nsys
            @pytest.mark.parametrize("x", ["a b"])
            def test_body(self, x):
                with pathlib.Path("ran").open("a") as file:
                    file.write("x")
    """,
        "--count=2",
    )
    result.assert_outcomes(passed=2)
    assert (pytester.path / "ran").read_text() == "xx"


def test_a_pytest_that_is_too_old_runs_what_does_not_use_the_plugin(pytester):
    """As if there were no `pytest.StashKey`: what pytest 6 lacks. `scripts/test-versions` runs a real one."""
    pytester.makepyfile("""
        import pytest

        def test_other():
            pass

        @pytest.mark.nsys
        def test_marked():
            pass

        def test_trace(trace):
            pass
    """)
    code = (
        "import pytest\n"
        "key, pytest.StashKey = pytest.StashKey, None\n"
        "del pytest.StashKey\n"
        "from aisp_prof.testing import plugin\n"
        "pytest.StashKey = key\n"
        "raise SystemExit(pytest.main(['-q', '-p', 'aisp_prof.testing.plugin', '-p', 'no:cacheprovider']))"
    )
    environment = {"PYTHONPATH": str(Path(machine.__file__).parents[1] / ".pythonpath"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert re.search(r"\n1 passed, .*2 errors", done.stdout), done.stdout + done.stderr
    assert done.stdout.count("aisp-prof needs pytest 7.0") >= 2


def test_junit_xml_carries_the_claims(session, pair, pytester):
    session('def test_all(trace):\n    trace("pair.sqlite").check("kernels_per_iteration == 64")', "--junitxml=j.xml")
    (found,) = Xml.parse(pytester.path / "j.xml").iter("property")
    assert found.get("name") == "aisp-prof claim"
    assert '"verdict": "proven"' in found.get("value", "")


BODY = """
    import os, pathlib
    import pytest

    @pytest.fixture
    def made():
        pathlib.Path("made").open("a").write(os.environ.get("UNDER", "bare") + " ")

    @pytest.mark.nsys("kernels_per_iteration == 2", "every busy <= 1ms", iterations=6, warmup=2)
    def test_body(made):
        pathlib.Path("ran").open("a").write(os.environ.get("UNDER", "bare") + " ")
"""


def test_a_marked_body_runs_under_nsys_alone_and_its_claims_are_judged(session, fake_machine, pytester):
    fake_machine(kernels("test_body"))
    result = session(BODY, "--nsys-traces=kept")
    result.assert_outcomes(passed=1)
    assert (pytester.path / "made").read_text() == "nsys "
    assert (pytester.path / "ran").read_text() == "nsys " * 8
    result.stdout.fnmatch_lines(["2 claims on 1 trace: 2 proven*"])
    assert (pytester.path / "kept" / "test_it.py_test_body.sqlite").is_file()
    assert (pytester.path / "kept" / "test_it.py_test_body.nsys-rep").is_file()


@pytest.mark.parametrize(("count", "verdict"), [(3, "refuted"), (0, "unproven")])
def test_a_marked_body_fails_with_its_claims(count, verdict, session, fake_machine):
    fake_machine(kernels("test_body", count))
    result = session(BODY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*: {verdict}", "*kernels_per_iteration == 2*"])


def test_a_marked_body_that_fails_fails_here(session, fake_machine):
    fake_machine(kernels("test_body"))
    result = session("""
        import pytest

        @pytest.mark.nsys
        def test_body():
            assert 1 + 1 == 3
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["under Nsight Systems 2025.3.2*, in its call:", "E *assert (1 + 1) == 3"])


def test_what_skips_or_is_expected_to_fail_under_nsys_does_so_here(session, fake_machine):
    fake_machine(kernels("test_body", 3))
    result = session(
        """
        import pytest

        @pytest.mark.nsys
        def test_needs_more():
            pytest.skip("needs two GPUs")

        @pytest.mark.xfail(strict=True)
        @pytest.mark.nsys("kernels_per_iteration == 2")
        def test_body():
            pass

        @pytest.mark.xfail(strict=True)
        @pytest.mark.nsys
        def test_other():
            raise ValueError
    """,
        "-rs",
    )
    result.assert_outcomes(skipped=1, xfailed=2)
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] test_it.py:*needs two GPUs"])


def test_the_trace_comes_back_to_a_test_that_asks_for_it(session, fake_machine, pytester):
    fake_machine(kernels("test_body_x_"))
    result = session("""
        import os, pathlib
        import pytest

        def step(text):
            pathlib.Path("ran").open("a").write(text + os.environ.get("UNDER", "bare") + " ")

        @pytest.mark.parametrize("text", ["x"])
        @pytest.mark.nsys("kernels_per_iteration == 2", warmup=1)
        def test_body(captured, text):
            claims = captured(step, text)
            claims.check("every span <= 1ms")
            assert len(claims.file.ranges("test_body*", domain="pytest")) == 6
            claims.check("kernels_per_iteration == 5")
    """)
    result.assert_outcomes(failed=1)
    assert (pytester.path / "ran").read_text() == "xnsys xnsys "
    result.stdout.fnmatch_lines(['>*claims.check("kernels_per_iteration == 5")', "*3 claims*", "*2 proven, 1 refuted*"])


def test_captured_is_called_once_and_in_a_marked_test(session, fake_machine):
    fake_machine(kernels("test_never"))
    result = session("""
        import pytest

        def test_unmarked(captured):
            pass

        @pytest.mark.nsys
        def test_never(captured):
            pass
    """)
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines(["*needs a test marked nsys*", "*captured and never calls it*"])


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('"hiden(copy) >= 1"', "did you mean hidden"),
        ("claim=[]", "takes no claim"),
        ("iterations=0", "of at least 1"),
        ("claims=[1]", "are texts"),
    ],
)
def test_a_slip_in_a_marker_fails_without_a_gpu_too(marker, said, session, monkeypatch):
    monkeypatch.setattr(machine, "sees_gpu", lambda: False)
    machine.lacking.cache_clear()
    result = session(f"import pytest\n\n@pytest.mark.nsys({marker})\ndef test_body():\n    pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{said}*"])


def test_a_method_of_unittest_is_refused(session):
    result = session("""
        import unittest
        import pytest

        class TestIt(unittest.TestCase):
            @pytest.mark.nsys
            def test_body(self):
                pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*for plain test functions*"])


def test_a_marked_body_is_captured_by_the_tracer_where_there_is_no_nsys(session, tmp_path, monkeypatch):
    """A stand-in for CUPTI; the body starts the program that uses it, as a body may."""
    stood_in = traced.make(tmp_path)
    monkeypatch.setattr(library, "FILE", stood_in.built / "_tracer.so")
    monkeypatch.setattr(machine, "sees_gpu", lambda: True)
    for name, value in stood_in.variables.items():
        monkeypatch.setenv(name, value)
    machine.lacking.cache_clear()
    body = f"""
        import subprocess
        import pytest

        @pytest.mark.nsys("kernels == 3", "copies == 1", range="slow step", domain="work", env=["STAND_IN_CUPTI"])
        def test_body():
            subprocess.run([{str(stood_in.program)!r}, "cuda", "slow", "6"], check=True)
    """
    result = session(body, "--nsys-tracer=cupti", "--nsys-traces=kept")
    machine.lacking.cache_clear()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["2 claims on 1 trace: 2 proven*"])


def test_without_a_gpu_it_skips_and_says_so(session, monkeypatch):
    monkeypatch.setattr(machine, "sees_gpu", lambda: False)
    machine.lacking.cache_clear()
    result = session(BODY, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] test_it.py:*: not captured: no NVIDIA GPU is visible here"])
    session(BODY, "--nsys-required").assert_outcomes(errors=1)


def test_without_nsys_it_skips_and_says_what_to_install(session, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "sees_gpu", lambda: True)
    monkeypatch.setenv("AISP_NSYS", str(tmp_path / "nothing"))
    machine.lacking.cache_clear()
    result = session(BODY, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *not captured: *cannot be run*nsight-systems*"])
    machine.lacking.cache_clear()


def test_an_nsys_that_fails_is_a_failure_and_no_skip(session, fake_machine):
    fake_machine(kernels("test_body"), broken="ERR_NVGPUCTRPERM: only root may profile")
    result = session(BODY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not captured: nsys failed: the NVIDIA driver lets only root profile*"])


def test_an_nsys_that_never_runs_the_test_is_told_by_what_it_says(session, fake_machine):
    fake_machine(kernels("test_body"), refuses="unrecognised option --cuda-graph-trace")
    result = session(BODY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not captured: nsys failed: it lacks an option*"])


def test_what_the_child_needs_is_passed_on_and_no_more(session, fake_machine, pytester, monkeypatch):
    fake_machine(kernels("test_body"))
    monkeypatch.setenv("NEEDED", "yes")
    monkeypatch.setenv("SECRET", "no")
    pytester.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--model')")
    result = session("""
        import os, pathlib
        import pytest

        @pytest.mark.nsys("kernels_per_iteration == 2", env=["NEEDED"], options=["--model=small"])
        def test_body(request):
            found = [os.environ.get("NEEDED"), os.environ.get("SECRET"), request.config.option.model]
            pathlib.Path("found").write_text(str(found))
    """)
    result.assert_outcomes(passed=1)
    assert (pytester.path / "found").read_text() == "['yes', None, 'small']"


def test_a_machine_without_a_driver_sees_no_gpu(monkeypatch):
    monkeypatch.setattr(machine, "_PROBE", machine._PROBE.replace("libcuda.so.1", "libno-such-driver.so.1"))
    assert not machine.sees_gpu()


def test_workers_side_by_side(session, fake_machine, pair, pytester):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed: scripts/setup test")
    fake_machine(kernels("test_body"))
    (pytester.path / "conftest.py").write_text(
        "from aisp_prof.testing import machine\nmachine.sees_gpu = lambda: True\n"
    )
    body = (
        BODY
        + """
    @pytest.mark.nsys("kernels_per_iteration == 2")
    def test_body_(made):
        pass

    def test_overlap(trace):
        trace("pair.sqlite").check("kernels_per_iteration == 64")
    """
    )
    result = session(body, "-n2")
    result.assert_outcomes(passed=2, failed=1)  # the prepared trace has no range test_body_
    result.stdout.fnmatch_lines(["4 claims on 3 traces: 3 proven, 0 refuted, 1 unproven"])


def test_it_costs_nothing_where_it_is_not_used(pytester):
    pytester.makepyfile("def test_nothing(): pass")
    heavy = ("numpy", "torch", "aisp_prof.profiler", "aisp_prof.reports", "typer", "rich")
    code = (
        "import sys, pytest\n"
        "code = pytest.main(['-q', '-p', 'aisp_prof.testing.plugin'])\n"
        f"loaded = [name for name in {heavy} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
        "raise SystemExit(code)"
    )
    package = Path(machine.__file__).parents[1] / ".pythonpath"
    environment = {"PYTHONPATH": str(package), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
