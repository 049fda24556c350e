"""What verify says of honest bundles, on machines that have less, and with programs that are others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.expect.files import expectations_folder
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import read_manifest
from aisp_prof.reports.bundle import environment, opened
from aisp_prof.reports.bundle.console import verification_lines
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.paper import printed as paper
from aisp_prof.reports.bundle.verification import Status, Verification
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from forgery import edited, pack, read, rehashed, with_sums
from pair_trace import capture_folder, run_pair, serial
from shared import shipped
from trace_builder import TraceBuilder

HTML_ONLY = Pages("ch11", "en", False)
pytestmark = pytest.mark.usefixtures("judged_once")
"""Each capture is judged by the real code, once; most tests here change something else."""


def statuses(found: Verification) -> dict[str, Status]:
    return {check.name: check.status for check in found.checks}


def test_an_honest_bundle(made: Path) -> None:
    found = verify_bundle(made)
    assert (found.exit_code, found.status, found.verdict.value) == (0, Status.OK, "proven")
    assert set(statuses(found)) == {
        *(
            "zip",
            "files",
            "signature",
            "captures",
            "environment",
            "numbers",
            "declared",
            "html",
            "drawing",
            "pdf",
            "word",
        ),
    }
    assert statuses(found)["signature"] is Status.ABSENT
    assert "byte for byte" in next(check.about for check in found.checks if check.name == "pdf")
    assert [claim["verdict"] for claim in found.to_json()["claims"]] == ["proven"] * 9


@pytest.mark.parametrize("capture", shipped(), ids=lambda capture: capture.manifest.pair)
def test_every_shipped_capture_makes_a_bundle_that_verifies(capture: Capture, tmp_path: Path) -> None:
    """In both languages one after the other: the capture is the same, and is judged once."""
    for lang in ("en", "ko"):
        pages = Pages(capture.manifest.declaration.chapter, lang, False)
        write_bundle(tmp_path / f"{lang}.zip", [capture], [], pages, expectations_folder())
        assert verify_bundle(tmp_path / f"{lang}.zip").exit_code == 0, lang


def built(captures: Path, trace: TraceBuilder, *claims: str, **changes: object) -> Capture:
    folder = capture_folder(captures, trace, claims, **changes)
    return Capture(folder, read_manifest(folder))


def traced(**changes: object) -> TraceBuilder:
    trace = TraceBuilder(**changes)
    run_pair(trace)
    return trace


def slow() -> TraceBuilder:
    trace = TraceBuilder()
    run_pair(trace, optimized=serial)
    return trace


INVALID = {"validation": {"valid": False, "tolerance": 1e-6, "max_relative_error": {"out": 1.0}}, "iterations": []}


@pytest.mark.parametrize(
    ("trace", "changes", "code", "verdict"),
    [
        (traced, {}, 0, "proven"),
        (slow, {}, 1, "refuted"),
        (lambda: traced(attested=False), {}, 4, "unproven"),
        (traced, {"runs": {"untraced": INVALID}}, 1, "invalid"),
    ],
    ids=["proven", "refuted", "unproven", "invalid"],
)
def test_the_exit_code_is_the_claims_where_nothing_is_wrong(
    trace: Callable[[], TraceBuilder], changes: dict[str, object], code: int, verdict: str, tmp_path: Path
) -> None:
    capture = built(tmp_path / "captures", trace(), "speedup >= 1.5", **changes)
    write_bundle(tmp_path / "out.zip", [capture], [], HTML_ONLY, tmp_path)
    found = verify_bundle(tmp_path / "out.zip")
    assert (found.problems, found.status) == ((), Status.OK)
    assert (found.exit_code, found.verdict.value) == (code, verdict)


def test_a_capture_without_a_trace_and_pairs_without_a_capture(tmp_path: Path, streams: Capture) -> None:
    folder = capture_folder(tmp_path / "captures", b"", ["speedup >= 1.5"], runs={"untraced": INVALID})
    (folder / "trace.sqlite").unlink()
    capture = Capture(folder, read_manifest(folder).changed(files={}))
    write_bundle(tmp_path / "out.zip", [capture], [], HTML_ONLY, tmp_path)
    found = verify_bundle(tmp_path / "out.zip")
    assert (found.problems, found.verdict.value) == ((), "invalid")
    write_bundle(tmp_path / "out.zip", [streams], ["ch11.other"], HTML_ONLY, tmp_path)
    found = verify_bundle(tmp_path / "out.zip")
    assert (found.problems, found.missing, found.exit_code) == ((), ("ch11.other",), 4)


def test_several_pairs_in_the_order_of_their_stage(tmp_path: Path) -> None:
    pairs = [capture for capture in shipped() if capture.manifest.pair.startswith("ch09")]
    write_bundle(tmp_path / "out.zip", pairs, [], Pages("ch09", "en", False), tmp_path)
    found = verify_bundle(tmp_path / "out.zip")
    assert found.exit_code == 0
    assert [one.capture_id for one in found.evidences] == [capture.id for capture in pairs]
    files = read((tmp_path / "out.zip").read_bytes())
    turned = edited(files, "proof.json", lambda data: data["order"].reverse())
    (tmp_path / "out.zip").write_bytes(pack(rehashed(files, turned)))
    assert verify_bundle(tmp_path / "out.zip").exit_code == 1


class Elsewhere:
    """This machine without some packages, or with another version of the printer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def without(self, *modules: str) -> None:
        for module in modules:
            self.monkeypatch.setitem(sys.modules, module, None)

    def printing_with(self, version: str) -> None:
        versions = {**paper.printer_versions(), "pango": version}
        self.monkeypatch.setattr(paper, "printer_versions", lambda: versions)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    return Elsewhere(monkeypatch)


def pdf_check(found: Verification) -> tuple[Status, str]:
    (check,) = (check for check in found.checks if check.name == "pdf")
    return check.status, check.about


def test_without_weasyprint_the_pdf_is_read_and_unproven(made: Path, elsewhere: Elsewhere) -> None:
    elsewhere.without("weasyprint")
    found = verify_bundle(made)
    status, about = pdf_check(found)
    assert (status, found.problems, found.exit_code) == (Status.UNPROVEN, (), 4)
    assert "only read, not printed again: the PDF needs WeasyPrint" in about
    assert "its letters are drawn as in the fonts of aisp-prof, but those of Noto-Sans-CJK-KR (≤≥)" in about
    assert "where it stands and what is drawn beside it was not compared" in about
    assert next(check.mend for check in found.checks if check.name == "pdf")


def test_without_fonttools_that_its_letters_were_not_compared_is_said(made: Path, elsewhere: Elsewhere) -> None:
    elsewhere.without("weasyprint", "fontTools.ttLib")
    status, about = pdf_check(verify_bundle(made))
    assert status is Status.UNPROVEN
    assert "how its letters are drawn was not compared: comparing glyphs needs fontTools" in about


def test_with_another_pango_the_pdf_is_read(made: Path, elsewhere: Elsewhere) -> None:
    elsewhere.printing_with("1.99")
    status, about = pdf_check(verify_bundle(made))
    assert status is Status.UNPROVEN
    assert "pango 15012, here 1.99" in about or "here 1.99" in about


def test_with_other_fonts_the_pdf_is_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = paper.print_html
    monkeypatch.setattr(paper, "_printed", lambda html: replace(real(html), data=b"other", fonts=("other",)))
    status, about = pdf_check(verify_bundle(made))
    assert status is Status.UNPROVEN
    assert "other fonts" in about


def test_without_either_the_pdf_is_unproven_and_so_is_all(made: Path, elsewhere: Elsewhere) -> None:
    elsewhere.without("weasyprint", "pypdf")
    found = verify_bundle(made)
    assert pdf_check(found)[0] is Status.UNPROVEN
    assert (found.status, found.exit_code) == (Status.UNPROVEN, 4)
    assert next(check.mend for check in found.checks if check.name == "pdf")


def test_another_number_on_paper_is_found_by_reading_too(made: Path, bundle: Path, elsewhere: Elsewhere) -> None:
    """A forger who prints a page of his own, and says of it that it is of this one."""
    from aisp_prof.reports.page.pdf import identifier_of, print_html

    files = read(made.read_bytes())
    html = files["ch11.html"].decode()
    forged = html.replace("2.20×", "9.99×")
    assert forged != html
    import pydyf

    old, new = (pydyf.String(identifier_of(page)).data for page in (forged, html))
    data = print_html(forged).data
    assert old in data
    files["ch11.pdf"] = data.replace(old, new)
    bundle.write_bytes(pack(with_sums(files)))
    elsewhere.printing_with("1.99")
    found = verify_bundle(bundle)
    assert found.exit_code == 1
    assert "2.20×" in " ".join(problem.what for problem in found.problems)
    assert {problem.file for problem in found.problems} == {"ch11.pdf"}


def test_other_code_makes_the_same_of_it(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "code_sha256", lambda: "another")
    found = verify_bundle(made)
    assert found.exit_code == 0
    assert "by other code" in next(check.about for check in found.checks if check.name == "environment")


def test_other_code_that_writes_another_page_cannot_tell(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aisp_prof.reports.bundle import content_checks

    real = content_checks.render_html
    monkeypatch.setattr(opened, "code_sha256", lambda: "another")
    monkeypatch.setattr(
        content_checks, "render_html", lambda *a, **k: real(*a, **k).replace("<main>", "<main class='new'>")
    )
    found = verify_bundle(made)
    assert statuses(found) | {"zip": Status.OK} == {
        **dict.fromkeys(("zip", "files", "captures", "environment", "numbers"), Status.OK),
        **dict.fromkeys(("signature", "declared", "word"), Status.ABSENT),
        "html": Status.UNPROVEN,
        "drawing": Status.OK,
        "pdf": Status.UNPROVEN,
    }
    assert found.exit_code == 4


def test_a_forger_who_names_other_code_gains_nothing(made: Path, bundle: Path) -> None:
    files = read(made.read_bytes())
    other = edited(files, "environment.json", lambda data: data["made_by"].update(code_sha256="0" * 64))
    other["ch11.html"] = other["ch11.html"].replace("2.20×".encode(), "9.99×".encode())
    bundle.write_bytes(pack(rehashed(files, other)))
    assert verify_bundle(bundle).exit_code == 4
    number = next(n for n in json.loads(files["proof.json"])["proofs"].values())["numbers"]["speedup.value"]["value"]
    raised = {**other, "proof.json": other["proof.json"].replace(str(number).encode(), b"9.99")}
    bundle.write_bytes(pack(rehashed(files, raised)))
    found = verify_bundle(bundle)
    assert found.exit_code == 1
    assert any("speedup.value" in problem.where for problem in found.problems)


def test_many_differences_are_counted(made: Path, bundle: Path) -> None:
    files = read(made.read_bytes())

    def raise_all(data: dict[str, object]) -> None:
        for proof in data["proofs"].values():
            for number in proof["numbers"].values():
                number["value"] += 1

    bundle.write_bytes(pack(with_sums(edited(files, "proof.json", raise_all))))
    found = verify_bundle(bundle)
    named = [problem for problem in found.problems if problem.file == "proof.json"]
    assert len(named) == 21
    assert named[-1].what.startswith("and 1")
    assert named[-1].what.endswith("more like these")


def test_json_that_floods_is_refused(made: Path, bundle: Path) -> None:
    files = read(made.read_bytes())
    manifest = next(name for name in files if name.endswith("manifest.json"))
    for name in ("proof.json", "environment.json", manifest):
        for data in (
            b"[" * 200_000,
            b'{"a": 1, "a": 2}',
            b"NaN",
            b"1" * 5000,
            b"\xff",
            b"null",
            b"[]",
            b'{"schema": 1}',
        ):
            bundle.write_bytes(pack(with_sums({**files, name: data})))
            found = verify_bundle(bundle)
            assert found.exit_code == 1
            assert any(name.rpartition("/")[0] in problem.file for problem in found.problems)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (b'"x": 1e999', "is no finite number"),
        (b'"x": ' + b"9" * 30, "is beyond 64 bits"),
        (b'"x": ' + b"[" * 70 + b"]" * 70, "more than 64 deep"),
        (b'"\\ud800": 1', "half of a character"),
        (b'"schema": 1', "'schema' stands twice in one object"),
        (b'"x": NaN', "NaN is no number of JSON"),
    ],
    ids=lambda value: str(value[:16]),
)
@pytest.mark.usefixtures("judged_once")
def test_json_of_a_bundle_is_held_to_what_all_json_of_others_is(
    made: Path, bundle: Path, more: bytes, said: str
) -> None:
    files = read(made.read_bytes())
    manifest = next(name for name in files if name.endswith("manifest.json"))
    for name in ("proof.json", "environment.json", manifest):
        data = files[name].rstrip().removesuffix(b"}") + b", " + more + b"}\n"
        bundle.write_bytes(pack(rehashed(files, {**files, name: data})))
        told = [one for one in verify_bundle(bundle).problems if said in one.what]
        assert any(one.file in name for one in told), name


@pytest.mark.parametrize(
    "odd",
    [
        {"gpus": [1e308]},
        {"gpus": [None]},
        {"hardware_key": "../x"},
        {"versions": {"nsys": []}},
        {"sizes": {"n": [2**70]}},
    ],
    ids=str,
)
def test_a_manifest_of_odd_types_is_wrong_and_makes_no_traceback(
    made: Path, bundle: Path, odd: dict[str, object]
) -> None:
    files = read(made.read_bytes())
    manifest = next(name for name in files if name.endswith("manifest.json"))
    bundle.write_bytes(pack(rehashed(files, edited(files, manifest, lambda data: data.update(odd)))))
    found = verify_bundle(bundle)
    assert found.exit_code == 1
    lines = list(verification_lines(found))
    assert any("✗" in line for line in lines)
    assert json.dumps(found.to_json())


def test_what_is_no_bundle(tmp_path: Path, made: Path) -> None:
    (tmp_path / "other.zip").write_bytes(pack({"a.txt": b"x"}))
    for path in (tmp_path / "other.zip", tmp_path / "none.zip", tmp_path):
        with pytest.raises(UsageError):
            verify_bundle(path)


def test_the_code_is_told_by_its_files() -> None:
    assert len(environment.code_sha256()) == 64
