"""Make a bundle: scrub what goes in, prove it anew from that, print the pages, pack all of it into one zip."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import AispError, UsageError
from ...profiler.evidence import Evidence
from ...profiler.expect.check import Checked
from ...profiler.manifest import FILE_NAME
from ...profiler.store.captures import Capture
from ...profiler.store.leaks import leaks
from ...profiler.store.manifest import encode, encode_json
from ...profiler.store.scrub import scrub_capture
from ...profiler.store.scrubbed import leftovers
from ...profiler.store.zipped import write_zip
from ...profiler.trace.source.file import unpacked_once
from ..page.document import render_html
from ..page.measured_texts import measured_once
from ..page.pdf import print_html
from .environment import environment_data, maker, read_me
from .layout import (
    ENVIRONMENT,
    PROOF,
    READ_ME,
    SIGNATURE,
    SUMS,
    Pages,
    capture_folder,
    plain,
    sha256_of,
    stages,
    sums_text,
)
from .proof import Proven, held, proof_data, proven, whole_verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ...profiler.evidence import Verdict


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle that was written, what was proven in it, and what became of the expectations of each capture, by its id."""

    path: Path
    evidences: tuple[Evidence, ...]
    expected: Mapping[str, Checked | None]
    verdict: Verdict


def write_bundle(
    target: Path,
    captures: Sequence[Capture],
    missing: Sequence[str],
    pages: Pages,
    expectations: Path,
    key: Ed25519PrivateKey | None = None,
) -> Made:
    """Pack captures, their proof and its pages into `target`: the same inputs and programs give the same bytes.

    Args:
        captures: in the order of the stage, scrubbed or not; only what may be published of them goes in.
        missing: pairs of the stage without a capture.
        expectations: the folder of `{hardware_key}/{chapter}.json`; those that apply go in.
        key: signs the bundle.

    Raises:
        UsageError: a capture was changed, or holds what no name in a bundle may be; the expectations are damaged.
        EnvironmentLacks: the PDF was asked for and its libraries are missing.
        AispError: something private is left in what would go in, or `target` cannot be written.
    """
    plain(pages.stage, "the stage")
    for pair in [*(one.manifest.pair for one in captures), *missing]:
        if pages.stage not in stages(pair):
            raise UsageError(
                f"pages of {pair} are not called {pages.stage!r}", f"call them {' or '.join(stages(pair))}"
            )
    with tempfile.TemporaryDirectory(prefix="aisp-bundle-") as scratch:
        folder = Path(scratch)
        proofs, private = [], list[str]()
        for capture in captures:
            with unpacked_once():
                proofs.append(proven(_publishable(capture, folder)))
                private += [leak for path in proofs[-1].capture.trace_paths for leak in leaks(path)]
        _write_grounds(folder, proofs, expectations)
        expected = held(proofs, folder)
        with measured_once():
            _write_proof(folder, proofs, missing, pages, expected)
        searched = {path for one in proofs for path in one.capture.trace_paths}
        _refuse_leaks(
            [*private, *(leak for path in _files(folder).values() if path not in searched for leak in leaks(path))]
        )
        _write_lists(folder, key)
        try:
            write_zip(target, _files(folder))
        except OSError as error:
            raise AispError(
                f"{target}: {error.strerror or error}", "name a file in a folder that can be written"
            ) from error
    evidences = tuple(one.evidence for one in proofs)
    return Made(target, evidences, expected, whole_verdict(proofs, missing))


def _publishable(capture: Capture, folder: Path) -> Capture:
    """The capture as it goes in: scrubbed now, or as it is where that was done before."""
    target = folder / capture_folder(capture.id)
    target.parent.mkdir(exist_ok=True)
    if capture.trace_path is None or capture.trace_path.suffix != ".xz":
        made = scrub_capture(capture, target)
    else:
        made = _copied(capture, target)
    (target / FILE_NAME).write_text(encode(made.manifest), encoding="utf-8")
    return Capture(target, made.manifest, capture.shipped)


def _copied(capture: Capture, target: Path) -> Capture:
    """A scrubbed capture's files, byte for byte.

    Raises:
        UsageError: they are not as they were scrubbed, or scrubbing them once more would leave something out.
    """
    if problems := capture.verify_files():
        raise UsageError("the capture was changed: " + "; ".join(problems))
    for what in leftovers(capture):
        raise UsageError(f"{capture.folder} is packed but not scrubbed: {what}", "unpack its trace, then scrub it")
    target.mkdir()
    with unpacked_once() as kept:
        for name in capture.manifest.files:
            shutil.copyfile(capture.folder / plain(name, "the file"), target / name)
            kept.copied(capture.folder / name, target / name)
    return Capture(target, capture.manifest, capture.shipped)


def _write_grounds(folder: Path, proofs: Sequence[Proven], expectations: Path) -> None:
    """What the proof rests on beside captures: the expectations that apply, and a word to the reader."""
    (folder / READ_ME).write_bytes(read_me())
    for name in {one.expectations for one in proofs}:
        source, target = expectations.joinpath(*name.split("/")[1:]), folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _write_proof(
    folder: Path,
    proofs: Sequence[Proven],
    missing: Sequence[str],
    pages: Pages,
    expected: Mapping[str, Checked | None],
) -> None:
    """proof.json and the pages, each of which names the hash of what it rests on."""
    evidences, manifests = [one.evidence for one in proofs], [one.capture.manifest for one in proofs]
    # Printed once before, only to learn which fonts that takes: they are part of what the page then names. Nothing less than the
    # whole page tells: WeasyPrint gives of each font what the letters of the page need.
    fonts = (
        print_html(render_html(pages.stage, evidences, pages.lang, "0" * 64, expected, missing=missing))
        if pages.pdf
        else None
    )
    (folder / ENVIRONMENT).write_text(encode_json(environment_data(manifests, maker(fonts))), encoding="utf-8")
    proof = encode_json(proof_data(pages, proofs, missing, _hashes(folder), expected))
    (folder / PROOF).write_text(proof, encoding="utf-8")
    html = render_html(pages.stage, evidences, pages.lang, sha256_of(folder / PROOF), expected, missing=missing)
    (folder / pages.html_name).write_bytes(html.encode())
    if pages.pdf:
        (folder / pages.pdf_name).write_bytes(print_html(html).data)


def _write_lists(folder: Path, key: Ed25519PrivateKey | None) -> None:
    sums = sums_text(_hashes(folder)).encode()
    (folder / SUMS).write_bytes(sums)
    if key is not None:
        from .signing import sign

        (folder / SIGNATURE).write_bytes(sign(sums, key))


def _refuse_leaks(found: Sequence[str]) -> None:
    if found:
        raise AispError(
            "the bundle would hold private things:\n" + "\n".join(found), "aisp-prof scrub says what of a capture"
        )


def _files(folder: Path) -> Mapping[str, Path]:
    """Every file below the folder by its name in the bundle."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _hashes(folder: Path) -> dict[str, str]:
    return {name: sha256_of(path) for name, path in _files(folder).items()}
