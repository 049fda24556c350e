"""The record of runs, which is read after a time limit has ended whoever wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aisp_prof.profiler.capture import turns
from aisp_prof.profiler.capture.program import _recorded


def test_the_record_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, record = tmp_path / "plan.json", tmp_path / "record.json"
    plan.write_text(json.dumps([[name, ["true"]] for name in ("a", "b", "c")]))
    write = Path.write_text

    def ended(self: Path, text: str, *more: str) -> int:
        if '"b"' not in text:
            return write(self, text, *more)
        write(self, text[: len(text) // 2], *more)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", ended)
    assert _recorded(record) == []
    with pytest.raises(KeyboardInterrupt):
        turns.main(plan, record)
    assert [variant for variant, *_ in _recorded(record)] == ["a"]
