"""Expectations may come with a bundle or a pull request: what is not of their shape is refused, and never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.expect import check
from aisp_prof.profiler.expect.files import expectations_folder, read_chapter
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.profiler.store.manifest import MOST_BYTES
from aisp_prof.reports.terminal.expectations import check_lines

PAIR = "ch11.streams"
ODD: tuple[Any, ...] = (None, -1, 2**63, "x\x1b[31m", [], {}, [1], {"a": 1}, True, 1e308)


@pytest.fixture
def shipped() -> dict[str, Any]:
    """The expectations of one pair that ship."""
    data = json.loads((expectations_folder() / "h200" / "ch11.json").read_text("utf-8"))
    return {**data, "pairs": {PAIR: data["pairs"][PAIR]}}


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "h200" / "ch11.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "too deep"),
        (" " * (MOST_BYTES + 1), "more than"),
        (b'{"schema": "\xff"}', "utf-8"),
        ('{"schema": ' + "9" * 5_000 + "}", "not JSON"),
        ('{"schema": 1, "schema": 1}', "stands twice"),
        ('{"schema": NaN}', "NaN is no number"),
        ('{"schema": "\\ud800"}', "half of a character"),
    ],
    ids=lambda value: str(value[:16]),
)
def test_json_that_is_a_trick(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_chapter(written(tmp_path, text))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in JSON data, of a list's items the first only."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def test_mutated_expectations_are_refused_or_checked(
    tmp_path: Path, shipped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place of what ships, with something odd in it; the capture is observed once."""
    capture = shipped_store().newest(PAIR)
    assert capture is not None
    observed = check.observe(capture)
    monkeypatch.setattr(check, "observe", lambda _: observed)
    draw, outcomes = random.Random(3), {"refused": 0, "checked": 0}
    for place in places(shipped["pairs"][PAIR])[1:]:
        for odd in draw.sample(ODD, 2):
            broken = json.loads(json.dumps(shipped))
            parent = broken["pairs"][PAIR]
            for key in place[:-1]:
                parent = parent[key]
            parent[place[-1]] = odd
            written(tmp_path, json.dumps(broken))
            try:
                assert check_lines([check.check_capture(capture, tmp_path)])
                outcomes["checked"] += 1
            except UsageError:
                outcomes["refused"] += 1
            except Exception as error:
                raise AssertionError(f"{place}: {odd!r}") from error
    assert min(outcomes.values()) > 10, outcomes


@pytest.mark.parametrize("place", [(), ("pairs", PAIR), ("pairs", PAIR, "context"), ("pairs", PAIR, "entries", 0),
    ("pairs", PAIR, "entries", 0, "bound"), ("pairs", PAIR, "entries", 0, "measured", 0), ("pairs", PAIR, "sources", 0)],
    ids=lambda place: ".".join(map(str, place)) or "file")  # fmt: skip
def test_a_field_that_no_such_file_has(tmp_path: Path, shipped: dict[str, Any], place: tuple[Any, ...]) -> None:
    """In a bundle it would stand there unread, and be taken for verified."""
    inner: Any = shipped
    for key in place:
        inner = inner[key]
    inner["audited"] = True
    with pytest.raises(UsageError, match="no field is called 'audited'"):
        read_chapter(written(tmp_path, json.dumps(shipped)))
