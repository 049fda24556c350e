"""A manifest is somebody else's file: a flood, a depth, a path, a pipe or a wrong type in it is refused by name."""

from __future__ import annotations

import json
import os
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import AispError, UsageError
from aisp_prof.profiler.proof import prove
from aisp_prof.profiler.proof.prove import prove_capture
from aisp_prof.profiler.store.captures import Capture, Store
from aisp_prof.profiler.store.manifest import MOST_BYTES, Manifest, decode, encode, read_manifest, write_manifest
from aisp_prof.profiler.store.scrub import scrub_capture
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.terminal.console import summary

SHIPPED = sorted((Path(__file__).parents[3] / "captures").glob("*/"))
ODD: tuple[Any, ...] = (
    None,
    0,
    -1,
    2**70,
    1e308,
    "x",
    "\x1b[31m",
    "../x",
    [],
    {},
    [1],
    {"a": 1},
    True,
    [[]],
    {"en": 1},
)


def changed(manifest: Manifest, **values: Any) -> str:
    return json.dumps({**json.loads(encode(manifest)), **values})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "too deep"),
        ('{"a":' * 100_000, "too deep"),
        ('{"x": ' + "[" * 70 + "]" * 70 + "}", "more than 64 deep"),
        (" " * (MOST_BYTES + 1), "a manifest has at most"),
        ('{"schema": 1, "schema": 1}', "'schema' stands twice"),
        ('{"schema": NaN}', "NaN is no number"),
        ('{"schema": 1e999}', "no finite number"),
        ('{"schema": ' + "9" * 5000 + "}", "not JSON"),
        ('{"schema": ' + "9" * 30 + "}", "beyond 64 bits"),
        ('{"schema": "\\ud800"}', "half of a character"),
        ('{"schema": "\ud800"}'.encode("utf-8", "surrogatepass"), "half of a character"),
    ],
    ids=lambda value: str(value[:24]),
)
def test_json_that_is_a_trick(text: str | bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        decode(text, "m.json")


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x", "a/b", "..", ".hidden", "", "a\0b", "a\nb", "manifest.json"])
def test_names_of_files_lead_nowhere_else(manifest: Manifest, name: str) -> None:
    facts = {name: {"sha256": "0" * 64, "bytes": 1}}
    with pytest.raises(UsageError, match="no file of a capture is called"):
        decode(changed(manifest, files=facts), "m.json")


@pytest.mark.parametrize("field", ["id", "hardware_key", "size"])
@pytest.mark.parametrize("value", ["../../x", "a/b", "", "a\x1b[2J", ".."])
def test_ids_are_plain_names(manifest: Manifest, field: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"field {field} is no plain name"):
        decode(changed(manifest, **{field: value}), "m.json")


def test_counters_name_only_files_of_the_capture(manifest: Manifest) -> None:
    counters = {"tier": "counted", "files": ["../../x.csv"], "reason": "", "mend": ""}
    with pytest.raises(UsageError, match="counters name a file that the capture does not hold"):
        decode(changed(manifest, counters=counters), "m.json")


def test_a_link_or_a_pipe_is_no_file_of_a_capture(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of ada")
    folder = tmp_path / "store" / "x"
    folder.mkdir(parents=True)
    (folder / "trace.sqlite").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "run.log")  # reading it would never end
    facts = {"sha256": "5" * 64, "bytes": 6}
    manifest = manifest.changed(files={"trace.sqlite": facts, "run.log": facts})
    write_manifest(manifest, folder)
    capture = Capture(folder, manifest)
    assert capture.verify_files() == ("trace.sqlite: no regular file", "run.log: no regular file")
    with pytest.raises(UsageError, match="no regular file"):
        scrub_capture(capture, tmp_path / "out")
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(UsageError, match="no regular file"):
        read_manifest(folder)
    assert Store(tmp_path / "store").captures() == []
    assert len(Store(tmp_path / "store").unreadable()) == 1


IMPOSSIBLE = (
    (("runs", "traced", "iterations", 0, "event_ns"), 0, "must be 1 or more"),
    (("runs", "traced", "iterations", 0, "event_ns"), -5, "must be 1 or more"),
    (("runs", "untraced", "iterations", 0, "event_ns"), 0.5, "must be 1 or more"),
    (("runs", "untraced", "iterations", 0, "index"), "0", "is str"),
    (("runs", "untraced", "validation", "rejects", "zeros"), 1, "is int, not bool"),
    (("runs", "traced", "declared", "baseline", "flops"), -1, "must be 0 or more"),
    (("counters", "iterations"), -1, "must be 0 or more"),
)


@pytest.mark.parametrize(("place", "value", "said"), IMPOSSIBLE, ids=lambda one: str(one)[-30:])
def test_a_number_that_nothing_measures_is_refused(place: tuple[Any, ...], value: Any, said: str) -> None:
    (folder,) = (one for one in SHIPPED if one.name.startswith("ch09.triton-20261130T084706Z"))
    data = json.loads((folder / "manifest.json").read_text())
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    with pytest.raises(UsageError, match=said):
        decode(json.dumps(data), "m.json")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in JSON data, of a list's items the first only."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


MUTATED = [
    folder for folder in SHIPPED if folder.name.startswith(("ch09.triton-20261130T084706Z", "ch11.streams-20261120"))
]
"""One with counters and ceilings, one without."""


@pytest.mark.parametrize("folder", MUTATED, ids=lambda path: path.name.partition("-")[0])
def test_a_mutated_manifest_is_refused_or_judged_and_never_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place of a real manifest, with something odd in it or without it; the trace, which is the same, is read once."""
    monkeypatch.setattr(prove, "read_trace", cache(read_trace))
    data, draw, outcomes = (
        json.loads((folder / "manifest.json").read_text()),
        random.Random(7),
        {"refused": 0, "judged": 0},
    )
    for place in places(data)[1::2]:
        broken = json.loads(json.dumps(data))
        parent = broken
        for key in place[:-1]:
            parent = parent[key]
        if isinstance(parent, dict) and draw.random() < 0.2:
            del parent[place[-1]]
        else:
            parent[place[-1]] = draw.choice(ODD)
        try:
            evidence = prove_capture(Capture(folder, decode(json.dumps(broken), "m.json")))
            render_html("ch", [evidence])
            assert summary(evidence)
            outcomes["judged"] += 1
        except AispError:
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{place}: {parent}") from error
    assert min(outcomes.values()) > 20, outcomes


def test_every_capture_that_ships_is_read() -> None:
    folders = [folder for folder in SHIPPED if folder.is_dir()]
    assert {read_manifest(folder).id for folder in folders} == {folder.name for folder in folders}
