"""An update of expectations that is killed: each file is the old one or the new one, and the next update ends the work."""

from __future__ import annotations

import signal

from aisp_prof.machine.files import remove_abandoned
from aisp_prof.profiler.store.captures import Store
from killed import every, killed

IMPORTS = """
import sys
from pathlib import Path
from aisp_prof.profiler.expect import update
from aisp_prof.profiler.expect.update import update_expectations
from aisp_prof.profiler.store.captures import Store
update.shipped_store = lambda: Store(Path("nothing ships"), shipped=True)
"""
UPDATE = """
captures, folder = map(Path, sys.argv[1:])
(plan,) = update_expectations(["ch11.streams"], captures, "a second machine", folder, write=True)
assert plan.changed
"""


def test_an_update_killed_at_any_change_of_the_disk(lab, first):
    old = lab.file.read_bytes()
    lab.capture("b", 2, optimized=1.01)
    assert len(Store(lab.captures).captures()) == 2  # and their index is made
    seen = []
    with killed(IMPORTS, UPDATE, lab.captures, lab.folder) as at:
        for code in every(at):
            now = lab.file.read_bytes()
            seen.append((now != old, code))
            assert [path.name for path in lab.file.parent.glob("[!.]*")] == ["ch11.json"]
            remove_abandoned(lab.file.parent)
            assert [path.name for path in lab.file.parent.iterdir()] == ["ch11.json"]
            if now != old:
                assert not lab.update("nothing changes any more").changed
                lab.file.write_bytes(old)  # and once more
    assert {(False, -signal.SIGKILL), (True, -signal.SIGKILL), (True, 0)} == set(seen)
    assert len(seen) > 10
    assert lab.update("a second machine").changed
