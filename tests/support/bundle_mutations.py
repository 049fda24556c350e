"""Everything that a forger may do to a bundle: bytes, numbers, verdicts, rows, pages, files, each with hashes put right after.

By hand, with more of the random ones: PYTHONPATH=.pythonpath:tests/support python tests/support/bundle_mutations.py BUNDLE.zip 20
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from forgery import (
    ENVIRONMENT,
    PROOF,
    SUMS,
    Files,
    Mutation,
    both,
    edited,
    pack,
    pages_of,
    read,
    rehashed,
    sha256,
    with_sums,
)
from paper_mutations import GLYPHS, HIDDEN, MOVED, UNSEEN, behind, embedded, identify, rewritten
from row_mutations import counters, trace, unread_rows


def mutations(bundle: bytes, rounds: int = 1) -> Iterator[Mutation]:
    """All of them; `rounds` multiplies those at random places."""
    for part in PARTS:
        yield from part_of(bundle, part, rounds)


def part_of(bundle: bytes, part: str, rounds: int = 1, seed: int = 1) -> Iterator[Mutation]:
    """Those of one of `PARTS`: of how a bundle is packed, of its PDF, of what only a hash binds, or of what it says."""
    yield from PARTS[part](bundle, read(bundle), random.Random(seed), rounds)


def _flips(bundle: bytes, files: Files, chance: random.Random, rounds: int) -> Iterator[Mutation]:
    yield from _flipped_zip(bundle, chance, 24 * rounds)
    yield from _flipped_files(files, chance, 2 * rounds)


def _containers(bundle: bytes, files: Files, chance: random.Random, rounds: int) -> Iterator[Mutation]:
    yield from _container(files)
    yield from _other_files(files)
    yield from _sums(files)


def _only_hashed(bundle: bytes, files: Files, chance: random.Random, rounds: int) -> Iterator[Mutation]:
    """What nothing but its hash binds is changed only where there is a PDF: without one, an editor and sha256sum can put every
    hash right, and what comes of it is another bundle (docs/bundles.md, "What it does not show")."""
    if _has_pdf(files):
        yield from _unbound(files, chance, rounds)


def _said(bundle: bytes, files: Files, chance: random.Random, rounds: int) -> Iterator[Mutation]:
    """Numbers, verdicts, claims."""
    yield from _numbers(files, chance, 8 * rounds)
    yield from _proof(files)
    yield from _manifest(files)


def _rested_on(bundle: bytes, files: Files, chance: random.Random, rounds: int) -> Iterator[Mutation]:
    """Rows, counters, pages, the environment, expectations."""
    yield from trace(files, chance, 2 * rounds)
    yield from counters(files, chance, 4 * rounds)
    yield from _pages(files, chance, 8 * rounds)
    yield from _environment(files)
    yield from _expectations(files, chance, 3 * rounds)


Part = Callable[[bytes, Files, random.Random, int], Iterator[Mutation]]
PARTS: dict[str, Part] = {
    "flips": _flips,
    "containers": _containers,
    "hidden in the PDF": lambda bundle, files, chance, rounds: _paper_as_printed(files),
    "a PDF that is read": lambda bundle, files, chance, rounds: _paper_as_read(files),
    "only hashed": _only_hashed,
    "what is said": _said,
    "what it rests on": _rested_on,
}


def contents(bundle: bytes) -> Iterator[Mutation]:
    """Those of what a bundle says: numbers, verdicts, claims, rows, counters, pages, not of how it is packed."""
    files, chance = read(bundle), random.Random(1)
    yield from _said(bundle, files, chance, 1)
    yield from _rested_on(bundle, files, chance, 1)


def rehashed_contents(bundle: bytes, every: int = 1) -> Iterator[Mutation]:
    """Of `contents` those with every hash put right, or one of so many: in a bundle without a PDF no hash tells of them."""
    return islice((one for one in contents(bundle) if one.name.endswith("rehashed")), 0, None, every)


def _has_pdf(files: Files) -> bool:
    return any(name.endswith(".pdf") for name in files)


def _unbound(files: Files, chance: random.Random, rounds: int) -> Iterator[Mutation]:
    """What no number and no page rests on."""
    for name in (name for name in files if name.endswith("manifest.json")):
        manifest, named = json.loads(files[name]), (name, PROOF, name.rpartition("/")[0], *pages_of(files))
        for path in chance.sample(sorted(_leaves(manifest), key=str), 4 * rounds):
            edit = lambda m, p=path: _change(m, p)
            yield from both(f"manifest: {path}", files, edited(files, name, edit), *named)
        edit = lambda m: m["conditions"]["before"].update(mem_mhz=1)
        yield from both("manifest: a condition that no page shows", files, edited(files, name, edit), *named)
    yield from unread_rows(files, chance, rounds)
    for name in (name for name in files if name.startswith("expectations/")):
        lower = edited(files, name, lambda data: data.update(forged=True))
        yield from both(f"{name} changed", files, lower, name, *pages_of(files))
    environment = json.loads(files[ENVIRONMENT])
    for path in chance.sample(sorted(_leaves(environment), key=str), min(9 * rounds, len(list(_leaves(environment))))):
        changed = edited(files, ENVIRONMENT, lambda data, p=path: _change(data, p))
        yield from both(f"environment: {'.'.join(path)}", files, changed, ENVIRONMENT, PROOF, *pages_of(files))


def _expectations(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    """Bounds moved, of a pair whose page shows them, and the whole file taken away."""
    pairs = {one["pair"] for one in json.loads(files[PROOF])["proofs"].values()}
    for name in [name for name in files if name.startswith("expectations/")]:
        named = (name, PROOF, *pages_of(files))
        for pair in sorted(pairs & json.loads(files[name])["pairs"].keys()):
            entries = json.loads(files[name])["pairs"][pair]["entries"]
            for place in chance.sample(range(len(entries)), min(count, len(entries))):

                def edit(data: Any, pair: str = pair, place: int = place) -> None:
                    bound = data["pairs"][pair]["entries"][place]["bound"]
                    bound.update({end: bound[end] * 1.5 + 1 for end in ("low", "high") if bound[end] is not None})

                yield from both(f"{name}: bound {place} of {pair} moved", files, edited(files, name, edit), *named)
        yield from _further(files, name)
        without = {other: data for other, data in files.items() if other != name}
        proof = edited(without, PROOF, lambda data, name=name: data["inputs"].pop(name))
        yield from both(f"{name} left out", without, proof, *named)


def _further(files: Files, name: str) -> Iterator[Mutation]:
    """Fields that no such file has, at every depth."""
    edits: dict[str, Callable[[Any], None]] = {
        "the file": lambda data: data.update(audited=True),
        "a pair": lambda data: next(iter(data["pairs"].values())).update(audited=True),
        "a context": lambda data: next(iter(data["pairs"].values()))["context"].update(audited=True),
        "an entry": lambda data: next(iter(data["pairs"].values()))["entries"][0].update(audited=True),
        "a bound": lambda data: next(iter(data["pairs"].values()))["entries"][0]["bound"].update(audited=True),
    }
    for what, edit in edits.items():
        yield from both(f"{name}: a further field of {what}", files, edited(files, name, edit), name, *pages_of(files))


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
                yield from both(f"byte {place} of {name} flipped", files, one, name, PROOF, *pages_of(files))


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
    flagged = bytearray(pack(files))
    flagged[7] |= 0x08
    yield Mutation("a flag", bytes(flagged), ("zip",))
    yield Mutation("another version", pack(files, create_version=63), ("zip",))
    yield Mutation("a text file", pack(files, internal_attr=1), ("zip",))
    yield Mutation("an entry's comment", pack(files, comment_of=b"trust me"), ("further data",))
    whole = pack(files)
    first = min(files).encode()
    yield Mutation("a name that two lists say differently", whole.replace(first, first.swapcase(), 1), ("zip",))
    yield Mutation(
        "a name of look-alikes", pack({**files, "рroof.json": files[PROOF]}), ("characters that no bundle has",)
    )
    yield Mutation("a name by case alone", pack({**files, "Proof.json": files[PROOF]}), ("twice",))
    yield Mutation("a list that is longer than it says", whole[:-22] + b"\0" * 46 + whole[-22:], ("no bundle",))
    yield Mutation("an entry not counted", whole[:-12] + bytes([whole[-12] - 1]) + whole[-11:], ("no bundle", "zip"))


def _sums(files: Files) -> Iterator[Mutation]:
    """The list in forms that other programs may read as the same."""
    told = files[SUMS]
    forms = {
        "in capitals": told.upper().replace(told[66:].upper(), told[66:]),
        "with CRLF": told.replace(b"\n", b"\r\n"),
        "of binary files": told.replace(b"  ", b" *"),
        "with a line more": told + b"\n",
        "without its last line end": told.rstrip(b"\n"),
        "behind a mark": b"\xef\xbb\xbf" + told,
        "with names from here": told.replace(b"  ", b"  ./"),
        "with a remark": told + b"# 9.99 times faster\n",
        "of itself": told + sha256(told).encode() + b"  SHA256SUMS\n",
        "with look-alikes": told.replace(b"proof", "рroof".encode()),
        "empty": b"",
    }
    for what, data in forms.items():
        yield Mutation(f"{SUMS} {what}", pack({**files, SUMS: data}), (SUMS,))
    for what, data in {"too short": bytes(63), "too long": bytes(65), "in letters": b"A" * 88}.items():
        yield Mutation(f"a signature {what}", pack({**files, f"{SUMS}.sig": data}), (f"{SUMS}.sig",))


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

            yield from both(f"{number} raised", files, edited(files, PROOF, edit), number)
        first = min(proof["numbers"])

        def as_float(data: Any, at: str = capture_id, name: str = first) -> None:
            data["proofs"][at]["numbers"][name]["value"] = float(data["proofs"][at]["numbers"][name]["value"]) + 0.5

        yield from both(f"{first} as a float", files, edited(files, PROOF, as_float), first)


def _proof(files: Files) -> Iterator[Mutation]:
    """What is concluded, and the rows that show it."""
    for capture_id, proof in json.loads(files[PROOF])["proofs"].items():
        edits: dict[str, Callable[[Any], None]] = {
            "verdict": lambda p: p.update(verdict="refuted"),
            "caveats": lambda p: p.update(caveats=[]),
            "completeness": lambda p: p["completeness"].update(status="unattested"),
            "sources": lambda p: p["sources"]["trace"].update(sha256="0" * 64),
            "pair": lambda p: p.update(pair="ch11.other"),
            "times_from": lambda p: p.update(times_from="trace" if p["times_from"] == "events" else "events"),
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
            yield from both(f"proof.json {where}", files, changed, where.rpartition(": ")[0] or where)
    heads: dict[str, Callable[[Any], None]] = {
        "verdict": lambda data: data.update(verdict="refuted"),
        "missing": lambda data: data.update(missing=["ch11.other"]),
        "order": lambda data: data.update(order=[]),
        "stage": lambda data: data.update(stage="ch12"),
        "lang": lambda data: data.update(lang="en" if data["lang"] == "ko" else "ko"),
        "pdf": lambda data: data.update(pdf=not data["pdf"]),
        "schema": lambda data: data.update(schema=2),
        "inputs": lambda data: data["inputs"].popitem(),
        "further": lambda data: data.update(further=1),
    }
    for what, edit in heads.items():
        yield from both(f"proof.json {what}", files, edited(files, PROOF, edit), PROOF, *pages_of(files))
    spaced = {**files, PROOF: files[PROOF].replace(b'": ', b'":  ', 1)}
    yield from both("proof.json with a space more", files, spaced, PROOF)


def _raise(data: Any, key: str) -> None:
    data[key] += 1


def _manifest(files: Files) -> Iterator[Mutation]:
    """Claims made weaker, times, and what else of a manifest the pages show; what no manifest says."""
    for name in (name for name in files if name.endswith("manifest.json")):
        manifest = json.loads(files[name])
        named = (name, PROOF, name.rpartition("/")[0], *pages_of(files))
        for place, claim in enumerate(manifest["declaration"]["claims"]):
            weak = re.sub(r"(?<=[>=<] )\d[\d.]*", "0.5", claim)
            if weak != claim:
                edit = lambda m, i=place, text=weak: m["declaration"]["claims"].__setitem__(i, text)
                yield from both(f"claim weakened to {weak}", files, edited(files, name, edit), *named)
        edits: dict[str, Callable[[Any], None]] = {
            "a claim dropped": lambda m: m["declaration"]["claims"].pop(),
            "an untraced time": lambda m: _raise(m["runs"]["untraced"]["iterations"][3], "event_ns"),
            "traced times": lambda m: [_raise(one, "event_ns") for one in m["runs"]["traced"]["iterations"]],
            "the GPU": lambda m: m["gpus"][0].update(name="NVIDIA B200"),
            "the date": lambda m: m.update(created_utc="2027-01-01T00:00:00Z"),
            "the commit": lambda m: m.update(commit={"sha": "0" * 40, "dirty": False}),
            "a sentence": lambda m: m["declaration"]["sentence"].update(
                dict.fromkeys(("en", "ko"), "9.99 times {speedup}")
            ),
            "a claim of look-alikes": lambda m: m["declaration"]["claims"].__setitem__(
                0, m["declaration"]["claims"][0].replace("e", "е")
            ),
            "a size": lambda m: m["sizes"].update(dict.fromkeys(m["sizes"], 1)),
            "a version": lambda m: m["versions"].update(nsys="9.9"),
            "a word about the host": lambda m: m["versions"].update(hostname="gpu-host-7"),
            "a word about a run": lambda m: m["runs"]["untraced"].update(note="9.99 times faster"),
            "a word about a GPU": lambda m: m["gpus"][0].update(serial="1654322"),
            "a path": lambda m: m["runs"]["untraced"].update(order=["/data7/ada"]),
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
            yield from both(f"manifest: {what}", files, edited(files, name, edit), *named)


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


def _pages(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    for name in pages_of(files):
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


def _paper_as_printed(files: Files) -> Iterator[Mutation]:
    """The PDF, as whoever can print the page again looks at it."""
    for name in (name for name in files if name.endswith(".pdf")):
        for what, change in {**HIDDEN, **MOVED}.items():
            yield Mutation(
                f"PDF: {what}, listed", pack(with_sums({**files, name: rewritten(files[name], change)})), (name,)
            )


def _paper_as_read(files: Files) -> Iterator[Mutation]:
    """The PDF, as whoever can only read it looks at it."""
    for name in (name for name in files if name.endswith(".pdf")):
        read_only = of_another_printer(files)
        for what, change in {**HIDDEN, **dict(list(UNSEEN.items())[::5])}.items():
            data = rewritten(read_only[name], change)
            yield Mutation(f"PDF that is read: {what}", pack(with_sums({**read_only, name: data})), (name,))
        for what, change in GLYPHS.items():  # with the hashes of its fonts put right
            theirs = of_another_printer(files, embedded(rewritten(files[name], change)))
            data = rewritten(theirs[name], change)
            yield Mutation(f"PDF that is read: {what}", pack(with_sums({**theirs, name: data})), (name,))
        for what, data in behind(read_only[name]):
            yield Mutation(f"PDF that is read: {what}", pack(with_sums({**read_only, name: data})), (name,))


def of_another_printer(files: Files, fonts: list[str] | None = None) -> Files:
    """A bundle that is right, and says that its PDF was printed by another version: it is then read and not printed again."""

    def edit(environment: Any) -> None:
        environment["printer"]["versions"].update(pango="0.1")
        environment["printer"].update(fonts=fonts or environment["printer"]["fonts"])

    made = rehashed(files, edited(files, ENVIRONMENT, edit))
    (page,) = (name for name in files if name.endswith(".html"))
    name = page.replace(".html", ".pdf")
    data = rewritten(files[name], lambda writer: identify(writer, hashlib.sha256(made[page]).digest()[:16]))
    return with_sums({**made, name: data})


def _environment(files: Files) -> Iterator[Mutation]:
    """What the manifests say too, and what does not fit together."""
    edits: dict[str, Callable[[Any], None]] = {
        "another version": lambda e: e["made_by"].update(aisp_prof="9.9.9"),
        "another printer": lambda e: e.update(printer=None if e["printer"] else {"versions": {"a": "1"}, "fonts": []}),
        "another commit": lambda e: next(iter(e["captures"].values())).update(commit={"sha": "0" * 40, "dirty": False}),
        "another GPU": lambda e: next(iter(e["captures"].values()))["gpus"][0].update(name="NVIDIA B200"),
        "further": lambda e: e.update(note="9.99 times faster"),
        "free text for numpy": lambda e: e["made_by"].update(numpy="2.0; audited, 111 times faster"),
        "free text for this program": lambda e: e["made_by"].update(aisp_prof="audited by ada"),
        "free text for its hash": lambda e: e["made_by"].update(code_sha256="audited"),
        "a printer of free text": lambda e: e.update(printer={"versions": {"pango": "audited by ada"}, "fonts": []}),
    }
    for what, edit in edits.items():
        changed = edited(files, ENVIRONMENT, edit)
        yield from both(f"environment: {what}", files, changed, ENVIRONMENT, PROOF, *pages_of(files))
    forms = {"read me": {**files, "README.txt": b"9.99 times faster"}}
    for what, changed in forms.items():
        yield from both(what, files, changed, "README.txt", *pages_of(files))
    by_others = edited(files, ENVIRONMENT, lambda e: e["made_by"].update(code_sha256="0" * 64))
    for what, name, data in (
        ("read me", "README.txt", b"9.99 times faster"),
        ("page", pages_of(files)[0], files[pages_of(files)[0]].replace(b"</main>", b"<p>9.99</p></main>")),
    ):
        changed = rehashed(files, {**by_others, name: data})
        yield Mutation(f"{what} by other code, rehashed", pack(changed), (name,))
    yield from _other_stage(files)


def _other_stage(files: Files) -> Iterator[Mutation]:
    """The pages called after another chapter, in all files."""
    stage = json.loads(files[PROOF])["stage"]
    made = edited(files, PROOF, lambda data: data.update(stage="ch99"))
    for name in pages_of(files):
        page = made.pop(name).replace(f"{stage}: ".encode(), b"ch99: ")
        made[name.replace(stage, "ch99")] = page.replace(sha256(files[PROOF]).encode(), sha256(made[PROOF]).encode())
    yield Mutation("another stage, rehashed", pack(with_sums(made)), ("stage",))


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
