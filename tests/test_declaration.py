"""What a pair states about itself survives the manifest, and what contradicts itself cannot be built."""

from dataclasses import replace

import pytest
from aisp_prof.declaration import Declaration
from aisp_prof.errors import UsageError
from aisp_prof.profiler.store.manifest import Manifest, read_manifest, write_manifest
from aisp_prof.workloads.ch11.streams import PAIR
from pair_trace import capture_folder

NAMES = ("baseline", "zero_copy", "arena", "optimized")


@pytest.fixture
def staged() -> Declaration:
    return replace(PAIR.declaration, variants={name: {"en": name} for name in NAMES})


def test_the_order_of_variants_survives_a_manifest(staged, tmp_path):
    folder = capture_folder(tmp_path, b"no trace", ["speedup >= 1"])
    data = {**read_manifest(folder).to_json(), "declaration": staged.to_json()}
    write_manifest(Manifest.from_json(data), folder)
    assert read_manifest(folder).declaration.names == NAMES
    assert read_manifest(folder).declaration.staged


def test_older_manifests_are_read(staged):
    data = staged.to_json()
    del data["attribution"]
    data["variants"] = {"baseline": {"en": "one"}, "optimized": {"en": "two"}}
    assert Declaration.from_json(data).names == ("baseline", "optimized")
    assert Declaration.from_json(data).attribution == "thread"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"variants": {"optimized": {"en": "b"}, "baseline": {"en": "a"}}}, "begin with baseline"),
        ({"variants": {"baseline": {"en": "a"}}}, "optimized is one of them"),
        (
            {"variants": {"further": {"en": "c"}, "baseline": {"en": "a"}, "optimized": {"en": "b"}}},
            "begin with baseline",
        ),
        ({"variants": {"baseline": {"ko": "a"}, "optimized": {"en": "b"}}}, "lacks its English form"),
        ({"attribution": "everything"}, "attribution is thread or process"),
    ],
)
def test_what_contradicts_itself_cannot_be_built(changes, complaint):
    with pytest.raises(UsageError, match=complaint):
        replace(PAIR.declaration, **changes)


def test_unknown_and_missing_fields_are_named(staged):
    for change in ({"colour": "red"}, {"claims": None}):
        data = {key: value for key, value in {**staged.to_json(), **change}.items() if value is not None}
        with pytest.raises(UsageError, match=next(iter(change))):
            Declaration.from_json(data)
