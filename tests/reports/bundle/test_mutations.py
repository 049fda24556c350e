"""A forged bundle is found, whatever was forged, and the forgery is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.expect.files import expectations_folder
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.reports.bundle import captures, write
from aisp_prof.reports.bundle.declared import Own
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from aisp_prof.workloads.registry import pairs
from bundle_mutations import PARTS, of_another_printer, part_of, rehashed_contents
from forgery import pack, read
from remade import remade

EVERY = {"counted": 4, "steps": 9, "Korean": 5}
LEAST = {
    "flips": 75,
    "containers": 65,
    "hidden in the PDF": 29,
    "a PDF that is read": 44,
    "only hashed": 38,
    "what is said": 150,
    "what it rests on": 90,
    "counted": 30,
    "steps": 15,
    "Korean": 25,
}
"""So many are tried of each bundle at the least."""


@pytest.fixture(scope="session", params=list(LEAST))
def forgeable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A bundle with everything and a PDF for each part of what may be forged; one with counters, one of a pair in steps, one in Korean, these without."""
    if request.param in PARTS:
        return request.param, request.getfixturevalue("made")
    pair = {"counted": "ch09.triton", "steps": "ch20.memory_standard", "Korean": "ch11.streams"}[request.param]
    capture = shipped_store().newest(pair)
    assert capture is not None
    target = tmp_path_factory.mktemp("forgeable") / "made.zip"
    pages = Pages(pair.partition(".")[0], "ko" if request.param == "Korean" else "en", False)
    write_bundle(target, [capture], [], pages, expectations_folder())
    return request.param, target


def outcome(path: Path) -> tuple[int, str]:
    """The exit code of `aisp-prof verify`, and all that it says."""
    try:
        found = verify_bundle(path)
    except UsageError as error:
        return error.exit_code, str(error)
    return found.exit_code, json.dumps(found.to_json())


@pytest.mark.timeout(900)  # a hundred bundles; on a busy machine a test gets a tenth of a core
@pytest.mark.usefixtures("judged_once")
def test_every_forgery_is_found_and_named(
    forgeable: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what, made = forgeable
    data, path = made.read_bytes(), tmp_path / "forged.zip"
    tried, missed, unnamed = 0, [], []
    for mutation in part_of(data, what) if what in PARTS else rehashed_contents(data, EVERY[what]):
        assert mutation.data != data, mutation.name
        path.write_bytes(mutation.data)
        code, said = outcome(path)
        tried += 1
        if code not in (1, 2, *((4,) if "by other code" in mutation.name else ())):
            missed.append(mutation.name)
        elif mutation.named and not any(name in said for name in mutation.named):
            unnamed.append(mutation.name)
    with capsys.disabled():
        print(f" {what}: {tried} forged bundles tried, {tried - len(missed)} found ", end="")
    assert (missed, unnamed) == ([], [])
    assert tried >= LEAST[what]


@pytest.mark.usefixtures("judged_once")
def test_what_was_not_forged_is_verified(forgeable: tuple[str, Path]) -> None:
    assert outcome(forgeable[1])[0] == 0


@pytest.mark.usefixtures("judged_once")
def test_what_says_that_another_printed_it_is_read_and_unproven(made: Path, tmp_path: Path) -> None:
    """Nothing is found in it, or every forgery of a PDF that is read would be found for its printer alone; nor is it verified,
    or whoever makes a bundle could choose the weaker check."""
    (tmp_path / "b.zip").write_bytes(pack(of_another_printer(read(made.read_bytes()))))
    code, said = outcome(tmp_path / "b.zip")
    assert code == 4, said
    assert json.loads(said)["problems"] == []
    assert "only read, not printed again" in said


OWN = Own({pair.key: pair.declaration for pair in pairs()}, expectations_folder())


@pytest.mark.timeout(580)
@pytest.mark.usefixtures("judged_once")
def test_a_bundle_made_by_the_rules_of_a_forged_manifest_is_found(
    streams: Capture, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hash, number and page of it fits: the trace contradicts it, or this code claims more."""
    for module in (captures, write):  # scrubbing once more leaves nothing out, whatever the manifest's numbers
        monkeypatch.setattr(module, "leftovers", lambda capture: [])
    write_bundle(tmp_path / "made.zip", [streams], [], Pages("ch11", "en", False), expectations_folder())
    path = tmp_path / "forged.zip"
    tried, missed, unnamed = 0, [], []
    for mutation in remade(read((tmp_path / "made.zip").read_bytes())):
        path.write_bytes(mutation.data)
        found = verify_bundle(path, own=OWN)
        said = json.dumps([found.to_json(), [one.to_json()["caveats"] for one in found.evidences]], default=str)
        tried += 1
        missed += [mutation.name] if found.exit_code not in (1, 4) else []
        unnamed += [mutation.name] if not any(name in said for name in mutation.named) else []
    with capsys.disabled():
        print(f" remade: {tried} forged bundles tried, {tried - len(missed)} found ", end="")
    assert (missed, unnamed) == ([], [])
    assert tried >= 24


@pytest.mark.usefixtures("judged_once")
def test_a_bundle_of_this_codes_own_pair_claims_no_less(streams: Capture, tmp_path: Path) -> None:
    target = tmp_path / "made.zip"
    write_bundle(target, [streams], [], Pages("ch11", "en", False), expectations_folder())
    found = verify_bundle(target, own=OWN)
    (declared,) = (check for check in found.checks if check.name == "declared")
    assert (declared.problems, declared.status.value, found.exit_code) == ((), "ok", 0)
