"""A bundle that is killed while it is made: the one that was there stays, or the new one is there, whole."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from aisp_prof.machine.files import remove_abandoned
from aisp_prof.profiler.store.captures import Store
from aisp_prof.profiler.store.manifest import folder_facts
from aisp_prof.reports.bundle.verify import verify_bundle
from killed import every, killed
from pair_trace import capture_folder, run_pair
from trace_builder import TraceBuilder

IMPORTS = """
import shutil
import sys
import tempfile
from pathlib import Path
tempfile.gettempdir()  # Python tries once, by a file without a name of ours, whether the folder may be written to
from aisp_prof.profiler.store.captures import Store
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.write import write_bundle
captures, target, expectations = map(Path, sys.argv[1:])
warm = tempfile.mkdtemp()  # once before the first fork: what is imported late and compiled from templates, each child then has
write_bundle(Path(warm, "x.zip"), Store(captures).captures(), [], Pages("ch11", "en", False), expectations)
shutil.rmtree(warm)
"""
BUNDLE = """
write_bundle(target, Store(captures).captures(), [], Pages("ch11", "en", False), expectations)
"""


@pytest.mark.timeout(280)
def test_a_bundle_killed_at_any_change_of_the_disk(tmp_path: Path, expectations: Path) -> None:
    trace = TraceBuilder()
    run_pair(trace)
    folder = capture_folder(tmp_path / "captures", trace, ["speedup >= 1.5"])
    for name in ("out", "tmp"):
        (tmp_path / name).mkdir()
    target, facts, seen = tmp_path / "out" / "ch11.zip", folder_facts(folder), set()
    target.write_bytes(old := b"the bundle of yesterday")
    with killed(IMPORTS, BUNDLE, folder.parent, target, expectations, TMPDIR=tmp_path / "tmp") as at:
        codes = []
        for code in every(at):
            codes.append(code)
            if (there := target.read_bytes()) not in seen:
                assert there == old or verify_bundle(target).exit_code == 0
            seen.add(there)
            assert folder_facts(folder) == facts
            assert list(target.parent.glob("[!.]*")) == [target]
            remove_abandoned(target.parent)
            assert list(target.parent.iterdir()) == [target]
    assert codes.count(-signal.SIGKILL) >= 20
    assert len(seen) == 2  # the old one and one new one: the same inputs give the same bytes, whatever died before
    left = {path.name.rpartition("-")[0] for path in (tmp_path / "tmp").iterdir()}
    assert left <= {"aisp-bundle", "aisp-scrub", "aisp-trace"}  # as docs/threat-model.md says
    assert len(Store(folder.parent).captures()) == 1
