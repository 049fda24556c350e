"""A bundle taken apart, changed, and put together as a forger would: with its hashes put right, all or only those in its list."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aisp_prof.profiler.store.manifest import encode_json

SUMS, PROOF, ENVIRONMENT = "SHA256SUMS", "proof.json", "environment.json"
Files = dict[str, bytes]


@dataclass(frozen=True)
class Mutation:
    """A forged bundle; `named` are texts of which the outcome must show one, so that the reader knows where to look."""

    name: str
    data: bytes
    named: tuple[str, ...]


def read(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(files: Mapping[str, bytes], **changes: Any) -> bytes:
    """A zip as a bundle's is, but for `changes` of its entries' fields; `order` names another order."""
    target = io.BytesIO()
    order, comment_of = changes.pop("order", sorted(files)), changes.pop("comment_of", b"")
    with zipfile.ZipFile(target, "w") as archive:
        archive.comment = changes.pop("comment", b"")
        for name in order:
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            entry.comment = comment_of
            for field, value in changes.items():
                setattr(entry, field, value)
            archive.writestr(entry, files[name])
    return target.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def with_sums(files: Mapping[str, bytes]) -> Files:
    """The files with a SHA256SUMS that fits them."""
    listed = sorted(name for name in files if not name.startswith(SUMS))
    return {**files, SUMS: "".join(f"{sha256(files[name])}  {name}\n" for name in listed).encode()}


def rehashed(original: Mapping[str, bytes], files: Mapping[str, bytes]) -> Files:
    """Every hash of a changed file put right wherever it stands: in the manifest, in proof.json, in the page, in the list.

    What a forger can do with an editor and sha256sum; the PDF he would have to print anew.
    """
    made = dict(files)
    order = sorted(made, key=lambda name: (_rank(name), name))
    for place, name in enumerate(order):
        if name in original and made[name] != original[name]:
            old, new = sha256(original[name]).encode(), sha256(made[name]).encode()
            for later in order[place + 1 :]:
                if not later.endswith((".pdf", ".xz")):
                    made[later] = made[later].replace(old, new)
            if name.endswith((".xz", ".csv")):
                _put_size_right(made, name)
    return with_sums(made)


def _rank(name: str) -> int:
    """Files that hold the hashes of others come after them."""
    if name.endswith((".xz", ".csv")):
        return 0
    return 1 if name.endswith("manifest.json") else 3 if name == PROOF else 4 if name.endswith((".html", ".pdf")) else 2


def _put_size_right(files: Files, name: str) -> None:
    folder, _, file = name.rpartition("/")
    manifest = json.loads(files[f"{folder}/manifest.json"])
    manifest["files"][file]["bytes"] = len(files[name])
    files[f"{folder}/manifest.json"] = encode_json(manifest).encode()


def edited(files: Mapping[str, bytes], name: str, edit: Callable[[Any], None]) -> Files:
    """A JSON file of the bundle changed, in the form in which it is written."""
    data = json.loads(files[name])
    edit(data)
    return {**files, name: encode_json(data).encode()}


def both(name: str, original: Files, files: Files, *named: str) -> Iterator[Mutation]:
    """The same change with only the list put right, and with every hash put right."""
    yield Mutation(f"{name}, listed", pack(with_sums(files)), named)
    yield Mutation(f"{name}, rehashed", pack(rehashed(original, files)), named)


def pages_of(files: Files) -> list[str]:
    return [name for name in files if name.endswith((".html", ".pdf"))]
