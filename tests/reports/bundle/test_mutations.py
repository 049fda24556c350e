"""A forged bundle is found, whatever was forged, and the forgery is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.reports.bundle.verify import verify_bundle
from bundle_mutations import mutations

LEAST = 250


def outcome(path: Path) -> tuple[int, str]:
    """The exit code of `aisp-prof verify`, and all that it says."""
    try:
        found = verify_bundle(path)
    except UsageError as error:
        return error.exit_code, str(error)
    return found.exit_code, json.dumps(found.to_json())


@pytest.mark.usefixtures("judged_once")
def test_every_forgery_is_found_and_named(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, path = made.read_bytes(), tmp_path / "forged.zip"
    tried, missed, unnamed = 0, [], []
    for mutation in mutations(data):
        assert mutation.data != data, mutation.name
        path.write_bytes(mutation.data)
        code, said = outcome(path)
        tried += 1
        if code not in (1, 2):
            missed.append(mutation.name)
        elif mutation.named and not any(name in said for name in mutation.named):
            unnamed.append(mutation.name)
    with capsys.disabled():
        print(f" {tried} forged bundles tried, {tried - len(missed)} found ", end="")
    assert (missed, unnamed) == ([], [])
    assert tried >= LEAST


@pytest.mark.usefixtures("judged_once")
def test_what_was_not_forged_is_verified(made: Path) -> None:
    assert outcome(made)[0] == 0
