"""One bundle of a shipped capture for all tests here, and what they do with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aisp_prof.profiler.expect import files
from aisp_prof.profiler.expect.files import expectations_folder
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.store import scrubbed
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.reports.bundle import captures, content_checks, drawing, write
from aisp_prof.reports.bundle.layout import Pages, sha256_of
from aisp_prof.reports.bundle.paper import printed
from aisp_prof.reports.bundle.write import write_bundle
from shared import leaks_of, made_once, printed_once

EXPECTATIONS = expectations_folder()


@pytest.fixture(scope="session")
def streams() -> Capture:
    """The shipped capture with the most to say: copies, kernels, overlaps, witnesses."""
    capture = shipped_store().newest("ch11.streams")
    assert capture is not None
    return capture


@pytest.fixture(scope="session")
def expectations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of expectations, of which one file applies to the capture."""
    folder = tmp_path_factory.mktemp("package") / "expectations"
    for name in ("h200/ch11.json", "h200/ch09.json", "b200/ch11.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = (EXPECTATIONS / "h200" / Path(name).name).read_text("utf-8")
        (folder / name).write_text(text.replace('"hardware_key": "h200"', f'"hardware_key": "{Path(name).parent}"'))
    return folder


@pytest.fixture(scope="session")
def made(streams: Capture, expectations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with HTML and PDF, made once; not to be written to."""
    target = tmp_path_factory.mktemp("bundle") / "made.zip"

    def make() -> bytes:
        write_bundle(target, [streams], [], Pages("ch11", "en", True), expectations)
        return target.read_bytes()

    target.write_bytes(made_once("bundle", make))
    return target


@pytest.fixture(scope="session")
def known() -> dict[Any, Any]:
    """What was found of captures before."""
    return {}


@pytest.fixture
def judged_once(known: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Most forgeries leave the capture, the trace in it or the page alone: each is read and judged by the real code, anew only
    where one of its bytes is another. So are the expectations, which lie in another folder in each bundle."""

    def once(module: Any, name: str, contents: Callable[..., Hashable]) -> None:
        find = getattr(module, name)

        def found(*given: Any) -> Any:
            key = (name, contents(*given))
            if key not in known:
                result = find(*given)
                known[key] = (
                    list(result) if isinstance(result, Iterator) else result,
                    given,
                )  # kept, so that its id stays its own
            return known[key][0]

        monkeypatch.setattr(module, name, found)

    for module in (captures, write):
        once(module, "proven", _capture)
        once(module, "leftovers", _capture)
    find = scrubbed.trace_leftovers
    monkeypatch.setattr(scrubbed, "trace_leftovers", lambda path: islice(find(path), 1))  # nobody asks for more
    once(scrubbed, "trace_leftovers", sha256_of)
    once(captures, "damage", sha256_of)
    once(captures, "decode", lambda text, name: text)
    once(captures, "encode", _manifest)
    once(captures, "_check_files", lambda capture, unpacked: _capture(capture))
    once(drawing, "articles_of", _body)
    once(drawing, "charts_of", _body)
    once(content_checks, "check_drawing", lambda name, page, evidences: (name, _body(page), *map(id, evidences)))
    once(files, "_decoded", lambda text, path: (text, path.parts[-2:]))
    monkeypatch.setattr(write, "leaks", leaks_of)
    monkeypatch.setattr(printed, "print_html", printed_once)


def _capture(capture: Capture) -> Hashable:
    every = sorted((one.name, sha256_of(one)) for one in capture.folder.iterdir())
    return capture.id, _manifest(capture.manifest), *every


def _body(html: str) -> str:
    """What is drawn, without the head, where the hash of proof.json is."""
    return html[max(0, html.find("<body")) :]


def _manifest(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest.to_json())


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy of the bundle for one test."""
    return Path(shutil.copy(made, tmp_path / "bundle.zip"))
