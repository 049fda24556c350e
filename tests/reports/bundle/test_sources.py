"""Files that a bundle names are looked for below the user's folders, and nowhere else."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aisp_prof.reports.bundle.declared import Own
from aisp_prof.reports.bundle.sources import check_sources
from aisp_prof.reports.bundle.verification import Status

SECRET = b"secret"


def checked(folders: tuple[Path, ...], **sources: str) -> Any:
    manifest = SimpleNamespace(sources=sources, id="x.y-1", pair="x.y")
    bundle = SimpleNamespace(proofs=[SimpleNamespace(capture=SimpleNamespace(manifest=manifest))])
    return check_sources(bundle, Own({}, folders=folders))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["../secret", "{}/secret", "a/../../secret", "..\\secret", "x" * 5000, "a\0b", "", "."]
)
def test_a_name_that_leads_out_of_the_folder_is_nowhere(tmp_path: Path, name: str) -> None:
    """Or a stranger's bundle would tell whether a file that he guesses is on this machine."""
    (tmp_path / "repo" / "a").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(SECRET)
    (one,) = checked((tmp_path / "repo",), **{name.format(tmp_path): hashlib.sha256(SECRET).hexdigest()})
    assert (one.status, one.problems) == (Status.ABSENT, ())


def test_the_first_folder_that_has_the_file_counts_and_what_is_lacking_is_counted(tmp_path: Path) -> None:
    for folder, text in (("one", b"1"), ("two", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_bytes(text)
    folders = (tmp_path / "one", tmp_path / "two")
    right, wrong = (hashlib.sha256(text).hexdigest() for text in (b"1", b"2"))
    (one,) = checked(folders, **{"a.py": right, "b.py": wrong})
    assert (one.status, one.about) == (Status.OK, "1 files that its pairs are made of are here as they were, 1 are not")
    (one,) = checked(folders, **{"a.py": wrong})
    assert (one.status, [problem.where for problem in one.problems]) == (Status.UNPROVEN, ["sources: a.py"])


def test_a_bundle_without_sources_has_no_such_check() -> None:
    assert checked(()) == []
