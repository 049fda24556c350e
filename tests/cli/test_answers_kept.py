"""The same question of the same trace is answered from the cache, and of another, or by other code, it is not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys

import pytest
from aisp_prof import cli
from aisp_prof.profiler.trace.cache import answers
from aisp_prof.profiler.trace.cache.traces import LEAST
from aisp_prof.profiler.trace.reader import Recognized
from busy_trace import busy_trace

COMMANDS = {
    "summary": (),
    "ranges": (),
    "kernels": ("--full-names",),
    "copies": (),
    "launches": (),
    "gaps": (),
    "overlap": ("--a", "copy", "--b", "compute"),
    "diff": ("--range-a", "step", "--range-b", "forward*"),
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """As large as what is kept, though it holds little: zeros lie behind its pages."""
    path = busy_trace().write(tmp_path_factory.mktemp("kept") / "t.sqlite")
    os.truncate(path, LEAST)
    return path


@pytest.fixture
def ask(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["aisp-prof", "trace", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        assert (exit_.value.code, bool(out)) == (0, True), err
        return out, err

    return call


@pytest.fixture
def read(monkeypatch):
    """The traces that were read rather than answered for."""
    seen, really = [], Recognized.read

    def reading(self, export=None):
        seen.append(self.path)
        return really(self, export)

    monkeypatch.setattr(Recognized, "read", reading)
    return seen


@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_is_given_again_without_reading(ask, read, trace, command):
    first = ask(command, trace, *COMMANDS[command])
    assert (ask(command, trace, *COMMANDS[command]), len(read)) == (first, 1)


def test_json_is_kept_apart_from_text(ask, read, trace):
    text, document = ask("kernels", trace), ask("kernels", trace, "--json")
    assert (ask("kernels", trace), ask("kernels", trace, "--json"), len(read)) == (text, document, 2)
    assert document[0].startswith('{"schema": 1')


def test_another_question_is_answered_anew(ask, read, trace):
    assert ask("summary", trace) != ask("summary", trace, "--top", "1")
    ask("kernels", trace, "--communication", "nothing")
    ask("kernels", trace)
    assert len(read) == 4


def test_a_trace_edited_in_place_is_answered_anew(ask, read, trace, tmp_path):
    mine = tmp_path / "t.sqlite"
    shutil.copy2(trace, mine)
    before, was = ask("launches", mine), mine.stat()
    with sqlite3.connect(mine) as connection:
        connection.execute("update CUPTI_ACTIVITY_KIND_RUNTIME set end = end + 1000")
    connection.close()
    os.truncate(mine, was.st_size)
    os.utime(mine, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (ask("launches", mine) == before, len(read)) == (False, 2)


def test_two_traces_are_known_by_both(ask, read, trace, tmp_path):
    other = tmp_path / "other.sqlite"
    shutil.copy2(trace, other)
    first = ask("diff", trace, other)
    assert (ask("diff", trace, other), len(read)) == (first, 2)
    other.write_bytes(other.read_bytes()[:-1] + b"1")
    assert (ask("diff", trace, other)[0] == first[0], len(read)) == (True, 4)


def kept_in(folder):
    (file,) = folder.glob("cache/traces/*/answer-*")
    return file


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:70] + bytes([b[70] ^ 1]) + b[71:], lambda b: b""])
def test_a_damaged_answer_is_never_believed(ask, read, trace, tmp_path, damage):
    first, _ = ask("copies", trace)
    file = kept_in(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    out, err = ask("copies", trace)
    assert (out, "dropped from the cache" in err, len(read)) == (first, True, 2)
    assert (ask("copies", trace), len(read)) == ((first, ""), 2)


def test_other_code_answers_anew(ask, read, trace, monkeypatch):
    ask("copies", trace)
    monkeypatch.setattr(answers, "program_fingerprint", lambda: "another")
    ask("copies", trace)
    monkeypatch.setenv("AISP_ENGINE", "numpy")
    ask("copies", trace)
    assert len(read) == 3


def test_all_code_that_answers_is_told_apart(ask, trace):
    """Whatever a command imports of this package lies in the files whose content names an answer."""
    for command, words in COMMANDS.items():
        ask(command, trace, *words)
    told = {file.resolve() for file in answers._sources()}
    loaded = [m.__file__ for name, m in sys.modules.items() if name.startswith("aisp_prof.profiler") and m.__file__]
    loaded += [m.__file__ for name, m in sys.modules.items() if name.startswith(("aisp_prof.reports", "aisp_prof.cli"))]
    assert {os.path.realpath(file) for file in loaded} <= {str(file) for file in told}


def test_old_answers_of_a_trace_give_way(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "MOST", 3)
    for number in range(5):
        answers.KeptAnswer([tmp_path], (number,)).keep([number])
    assert len(list(tmp_path.glob("answer-*"))) == 3
    assert answers.KeptAnswer([tmp_path], (4,)).get() == [4]
    answers.KeptAnswer([tmp_path / "nowhere"], (1,)).keep([1])
    assert not (tmp_path / "nowhere").exists()
