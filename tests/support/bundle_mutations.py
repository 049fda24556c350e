"""Everything that a forger may do to a bundle: bytes, numbers, verdicts, rows, pages, files, each with hashes put right after.

By hand, with more of the random ones: PYTHONPATH=.pythonpath:tests/support python tests/support/bundle_mutations.py BUNDLE.zip 20
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import random
import re
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
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
    order = changes.pop("order", sorted(files))
    with zipfile.ZipFile(target, "w") as archive:
        archive.comment = changes.pop("comment", b"")
        for name in order:
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
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


def mutations(bundle: bytes, rounds: int = 1, seed: int = 1) -> Iterator[Mutation]:
    """All of them; `rounds` multiplies those at random places."""
    files, chance = read(bundle), random.Random(seed)
    yield from _flipped_zip(bundle, chance, 24 * rounds)
    yield from _flipped_files(files, chance, 2 * rounds)
    yield from _container(files)
    yield from _other_files(files)
    yield from _numbers(files, chance, 8 * rounds)
    yield from _proof(files)
    yield from _manifest(files, chance, 4 * rounds)
    yield from _trace(files, chance, 1 * rounds)
    yield from _pages(files, chance, 8 * rounds)
    yield from _environment(files, chance, 9 * rounds)


def _both(name: str, original: Files, files: Files, *named: str) -> Iterator[Mutation]:
    """The same change with only the list put right, and with every hash put right."""
    yield Mutation(f"{name}, listed", pack(with_sums(files)), named)
    yield Mutation(f"{name}, rehashed", pack(rehashed(original, files)), named)


def _flipped_zip(bundle: bytes, chance: random.Random, count: int) -> Iterator[Mutation]:
    ends = [*range(30), *range(len(bundle) - 22, len(bundle))]  # the first header, the last record
    for place in [*chance.sample(ends, min(count // 4, len(ends))), *chance.sample(range(len(bundle)), count)]:
        data = bytearray(bundle)
        data[place] ^= 1 << chance.randrange(8)
        yield Mutation(f"byte {place} flipped", bytes(data), ())


def _flipped_files(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    for name, data in files.items():
        for place in chance.sample(range(len(data)), count):
            changed = bytearray(data)
            changed[place] ^= 1 << chance.randrange(8)
            one = {**files, name: bytes(changed)}
            yield Mutation(f"byte {place} of {name} flipped", pack(one), (name,))
            if name != SUMS:
                yield from _both(f"byte {place} of {name} flipped", files, one, name, PROOF, *_pages_of(files))


def _pages_of(files: Files) -> list[str]:
    return [name for name in files if name.endswith((".html", ".pdf"))]


def _container(files: Files) -> Iterator[Mutation]:
    order = sorted(files)
    yield Mutation("entries in another order", pack(files, order=order[::-1]), ("zip",))
    yield Mutation("a comment", pack(files, comment=b"trust me"), ("zip",))
    yield Mutation("a date", pack(files, date_time=(2026, 11, 20, 0, 0, 0)), ("zip",))
    yield Mutation("another permission", pack(files, external_attr=0o100755 << 16), ("kind of file",))
    yield Mutation("a link", pack(files, external_attr=0o120777 << 16), ("link",))
    yield Mutation("another system", pack(files, create_system=0), ("zip",))
    yield Mutation("further data", pack(files, extra=b"\x99\x99\x02\x00xx"), ("further data",))
    yield Mutation("compressed", pack(files, compress_type=zipfile.ZIP_DEFLATED), ("compressed",))
    yield Mutation("something before it", b"#!/bin/sh\n" + pack(files), ("begins at byte",))
    yield Mutation("something behind it", pack(files) + b"\0", ("zip",))


def _other_files(files: Files) -> Iterator[Mutation]:
    for name in sorted(set(files) - {SUMS}):
        rest = {key: value for key, value in files.items() if key != name}
        yield Mutation(f"{name} removed", pack(rest), (name, name.rpartition("/")[0] or name))
        yield Mutation(f"{name} removed, listed", pack(with_sums(rest)), (name, name.rpartition("/")[0] or name))
        renamed = {**rest, f"{name}.old": files[name]}
        yield Mutation(f"{name} renamed, listed", pack(with_sums(renamed)), (name, name.rpartition("/")[0] or name))
    yield Mutation("the list removed", pack({k: v for k, v in files.items() if k != SUMS}), (SUMS,))
    folder = next(name for name in files if name.endswith("manifest.json")).rpartition("/")[0]
    for name in ("extra.txt", f"{folder}/run.log", "expectations/h200/ch99.json", "captures/other/manifest.json"):
        more = {**files, name: b"{}"}
        yield Mutation(f"{name} added", pack(more), (name, folder, "captures/other"))
        yield Mutation(f"{name} added, listed", pack(with_sums(more)), (name, folder, "captures/other"))
    for name in (name for name in files if name.startswith("expectations/")):
        lower = edited(files, name, lambda data: data.update(forged=True))
        yield from _both(f"{name} changed", files, lower, name, *_pages_of(files))
    lines = files[SUMS].splitlines(keepends=True)
    for what, changed in (
        ("a line gone", lines[1:]),
        ("another order", lines[::-1]),
        ("a line twice", lines + lines[:1]),
    ):
        yield Mutation(f"{SUMS}: {what}", pack({**files, SUMS: b"".join(changed)}), (SUMS,))


def _numbers(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    """A number that says a little more, the next double where it is one."""
    for capture_id, proof in json.loads(files[PROOF])["proofs"].items():
        for number in chance.sample(sorted(proof["numbers"]), count):
            value = proof["numbers"][number]["value"]
            other = value + 1 if isinstance(value, int) else value * (1 + 2**-52) or 5e-324

            def edit(data: Any, at: str = capture_id, name: str = number, to: float = other) -> None:
                data["proofs"][at]["numbers"][name]["value"] = to

            yield from _both(f"{number} raised", files, edited(files, PROOF, edit), number)
        first = min(proof["numbers"])

        def as_float(data: Any, at: str = capture_id, name: str = first) -> None:
            data["proofs"][at]["numbers"][name]["value"] = float(data["proofs"][at]["numbers"][name]["value"]) + 0.5

        yield from _both(f"{first} as a float", files, edited(files, PROOF, as_float), first)


def _proof(files: Files) -> Iterator[Mutation]:
    """What is concluded, and the rows that show it."""
    for capture_id, proof in json.loads(files[PROOF])["proofs"].items():
        edits: dict[str, Callable[[Any], None]] = {
            "verdict": lambda p: p.update(verdict="refuted"),
            "caveats": lambda p: p.update(caveats=[]),
            "completeness": lambda p: p["completeness"].update(status="unattested"),
            "sources": lambda p: p["sources"]["trace"].update(sha256="0" * 64),
            "pair": lambda p: p.update(pair="ch11.other"),
            "times_from": lambda p: p.update(times_from="events"),
        }
        for claim in proof["claims"]:
            edits[f"claims: {claim}: verdict"] = lambda p, c=claim: p["claims"][c].update(verdict="unproven")
            edits[f"claims: {claim}: text"] = lambda p, c=claim: p["claims"][c].update(text="speedup >= 1.0")
        for variant, witnesses in proof["witnesses"].items():
            for place in range(min(3, len(witnesses))):
                edits[f"witnesses: {variant}: {place}: a: row"] = lambda p, v=variant, i=place: _raise(
                    p["witnesses"][v][i]["a"], "row"
                )
                edits[f"witnesses: {variant}: {place}: shared_ns"] = lambda p, v=variant, i=place: _raise(
                    p["witnesses"][v][i], "shared_ns"
                )
        for variant, drawn in proof["drawn"].items():
            for row in sorted(drawn)[:2]:
                edits[f"drawn: {variant}: {row}: end"] = lambda p, v=variant, r=row: _raise(p["drawn"][v][r], "end")
        for selector in sorted(proof["selectors"])[:3]:
            edits[f"selectors: {selector}: range: row"] = lambda p, s=selector: _raise(
                p["selectors"][s]["range"], "row"
            )
        for where, edit in edits.items():
            changed = edited(files, PROOF, lambda data, e=edit, at=capture_id: e(data["proofs"][at]))
            yield from _both(f"proof.json {where}", files, changed, where.rpartition(": ")[0] or where)
    heads: dict[str, Callable[[Any], None]] = {
        "verdict": lambda data: data.update(verdict="refuted"),
        "missing": lambda data: data.update(missing=["ch11.other"]),
        "order": lambda data: data.update(order=[]),
        "stage": lambda data: data.update(stage="ch12"),
        "lang": lambda data: data.update(lang="ko"),
        "pdf": lambda data: data.update(pdf=False),
        "schema": lambda data: data.update(schema=2),
        "inputs": lambda data: data["inputs"].popitem(),
        "further": lambda data: data.update(further=1),
    }
    for what, edit in heads.items():
        yield from _both(f"proof.json {what}", files, edited(files, PROOF, edit), PROOF, *_pages_of(files))
    spaced = {**files, PROOF: files[PROOF].replace(b'": ', b'":  ', 1)}
    yield from _both("proof.json with a space more", files, spaced, PROOF)


def _raise(data: Any, key: str) -> None:
    data[key] += 1


def _manifest(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    """Claims made weaker, times, conditions, and anything else that the manifest says."""
    for name in (name for name in files if name.endswith("manifest.json")):
        manifest = json.loads(files[name])
        named = (name, PROOF, name.rpartition("/")[0], *_pages_of(files))
        for place, claim in enumerate(manifest["declaration"]["claims"]):
            weak = re.sub(r"(?<=[>=<] )\d[\d.]*", "0.5", claim)
            if weak != claim:
                edit = lambda m, i=place, text=weak: m["declaration"]["claims"].__setitem__(i, text)
                yield from _both(f"claim weakened to {weak}", files, edited(files, name, edit), *named)
        edits: dict[str, Callable[[Any], None]] = {
            "a claim dropped": lambda m: m["declaration"]["claims"].pop(),
            "a wider band": lambda m: m["declaration"].update(perturbation_band=9.0),
            "another tolerance": lambda m: m["declaration"].update(tolerance=1.0),
            "an untraced time": lambda m: _raise(m["runs"]["untraced"]["iterations"][3], "event_ns"),
            "a traced time": lambda m: _raise(m["runs"]["traced"]["iterations"][3], "event_ns"),
            "the GPU": lambda m: m["gpus"][0].update(name="NVIDIA B200"),
            "the date": lambda m: m.update(created_utc="2027-01-01T00:00:00Z"),
            "the commit": lambda m: m.update(commit={"sha": "0" * 40, "dirty": False}),
            "a condition that no page shows": lambda m: m["conditions"]["before"].update(mem_mhz=1),
            "the command": lambda m: m["command"].append("--verbose"),
            "another id": lambda m: m.update(id="ch11.streams-forged"),
            "no files": lambda m: m.update(files={}),
            "a path that leads out": lambda m: m["files"].update(
                {"../../proof.json": {"sha256": "0" * 64, "bytes": 1}}
            ),
            "counters that are elsewhere": lambda m: m.update(
                counters={"files": ["../../x.csv"], "reason": "", "mend": ""}
            ),
        }
        for what, edit in edits.items():
            yield from _both(f"manifest: {what}", files, edited(files, name, edit), *named)
        for path in chance.sample(sorted(_leaves(manifest), key=str), count):
            edit = lambda m, p=path: _change(m, p)
            yield from _both(f"manifest: {path}", files, edited(files, name, edit), *named)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(one, (*path, str(key) if isinstance(value, dict) else key))
    else:
        yield tuple(f"[{part}]" if isinstance(part, int) else part for part in path)


def _change(data: Any, path: tuple[str, ...]) -> None:
    *steps, last = [int(part[1:-1]) if re.fullmatch(r"\[\d+\]", part) else part for part in path]
    for step in steps:
        data = data[step]
    value = data[last]
    data[last] = (
        not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value or ''}x"
    )


def _trace(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    """Rows of the trace, inside the measured iterations and outside."""
    for name in (name for name in files if name.endswith(".sqlite.xz")):
        named = (name, PROOF, name.rpartition("/")[0], *_pages_of(files))
        plain = lzma.decompress(files[name])
        for table in ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME", "SYNCHRONIZATION"):
            table = f"CUPTI_ACTIVITY_KIND_{table}"
            for row in chance.sample(range(1, 100), count):
                statement = f"update {table} set end = end + 1 where rowid = (select min(rowid) + {row} % count(*) from {table})"
                yield from _row(f"{table} row {row} ends 1 ns later", files, name, plain, statement, named)
        others = {
            "a kernel starts earlier": "update CUPTI_ACTIVITY_KIND_KERNEL set start = start - 1 where rowid = 900",
            "a kernel in another stream": "update CUPTI_ACTIVITY_KIND_KERNEL set streamId = 99 where rowid = 900",
            "a copy gone": "delete from CUPTI_ACTIVITY_KIND_MEMCPY where rowid = 900",
            "a copy larger": "update CUPTI_ACTIVITY_KIND_MEMCPY set bytes = bytes + 1 where rowid = 900",
            "a range longer": "update NVTX_EVENTS set end = end + 1 where rowid = 20",
            "a range gone": "delete from NVTX_EVENTS where rowid = 20",
            "a range renamed": "update StringIds set value = 'other' where id = (select min(textId) from NVTX_EVENTS)",
            "a kernel renamed": "update StringIds set value = 'nice' where id = (select max(shortName) from CUPTI_ACTIVITY_KIND_KERNEL)",
            "fewer events stated": "update DIAGNOSTIC_EVENT set text = 'Number of CUDA events collected: 1.' where text like '%CUDA events%'",
            "another device": "update TARGET_INFO_GPU set name = 'NVIDIA B200'",
            "another start": "update TARGET_INFO_SESSION_START_TIME set utcEpochNs = utcEpochNs + 1",
            "a table more": "create table forged (x)",
        }
        for what, statement in others.items():
            yield from _row(what, files, name, plain, statement, named)
        other = {**files, name: lzma.compress(plain, preset=0)}
        yield from _both("the same trace packed otherwise", files, other, *named)
        for what, data in (("no xz", b"no xz"), ("cut", files[name][:-40]), ("longer", files[name] + files[name])):
            yield from _both(f"the trace: {what}", files, {**files, name: data}, *named)


def _row(what: str, files: Files, name: str, plain: bytes, sql: str, named: tuple[str, ...]) -> Iterator[Mutation]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.sqlite"
        path.write_bytes(plain)
        with closing(sqlite3.connect(path)) as database:
            database.execute(sql)
            database.commit()
        changed = {**files, name: lzma.compress(path.read_bytes(), preset=0)}
    yield Mutation(f"trace: {what}, rehashed", pack(rehashed(files, changed)), named)


def _pages(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    for name in _pages_of(files):
        data = files[name]
        digits = [match.start() for match in re.finditer(rb"(?<=[> .])\d", data)] if name.endswith(".html") else []
        for place in chance.sample(digits, min(count, len(digits))):
            other = b"7" if data[place : place + 1] != b"7" else b"8"
            yield from _page(f"{name}: a digit at {place}", files, name, data[:place] + other + data[place + 1 :])
        if digits:
            yield from _page(f"{name}: a script", files, name, data.replace(b"</main>", b"<script>1</script></main>"))
            yield from _page(f"{name}: a word", files, name, data.replace(b"</main>", b"<p>refuted</p></main>"))
            yield from _page(f"{name}: hidden", files, name, data.replace(b"</style>", b"p{display:none}</style>", 1))
            yield from _page(f"{name}: no text", files, name, b"\xff\xfe" + data)
        else:
            yield from _page(f"{name}: replaced", files, name, b"%PDF-1.7\n%%EOF\n")
            yield from _page(f"{name}: longer", files, name, data + b"\n")
            yield from _page(f"{name}: empty", files, name, b"")


def _page(what: str, files: Files, name: str, data: bytes) -> Iterator[Mutation]:
    yield Mutation(f"{what}, listed", pack(with_sums({**files, name: data})), (name,))


def _environment(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    environment = json.loads(files[ENVIRONMENT])
    paths = sorted(_leaves(environment), key=str)
    for path in chance.sample(paths, min(count, len(paths))):
        changed = edited(files, ENVIRONMENT, lambda data, p=path: _change(data, p))
        yield from _both(f"environment: {'.'.join(path)}", files, changed, ENVIRONMENT, PROOF, *_pages_of(files))


def main() -> None:
    from aisp_prof.errors import UsageError
    from aisp_prof.reports.bundle.verify import verify_bundle

    data, rounds = Path(sys.argv[1]).read_bytes(), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    tried, missed = 0, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "forged.zip"
        for mutation in mutations(data, rounds):
            path.write_bytes(mutation.data)
            tried += 1
            try:
                found = verify_bundle(path).exit_code != 0
            except UsageError:
                found = True
            missed += [] if found else [mutation.name]
            print(f"\r{tried} tried, {tried - len(missed)} found", end="", flush=True)
    print("".join(f"\nmissed: {name}" for name in missed))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
