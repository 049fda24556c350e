"""What is checked of a bundle's files, whatever they say: how they are packed, their hashes, their signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from ...profiler.store.zipped import first_difference
from .captures import told
from .layout import ENVIRONMENT, PROOF, READ_ME, SIGNATURE, SUMS, capture_files, read_sums
from .opened import Opened
from .verification import Check, Problem, Status, check

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check_container(bundle: Opened) -> Check:
    """Nothing is in the zip but its files: no byte between, before or behind them, no date, no flag."""
    about = "the zip is byte for byte what its files are packed into"
    where = first_difference(bundle.path, bundle.found)
    return check("zip", about, [Problem(bundle.path.name, where, "is not as it is written")] if where else [])


def check_files(bundle: Opened) -> Check:
    """Each file is listed with its hash, each listed file is there, and no bundle holds others."""
    problems, there = [], {n: s for n, s in bundle.found.sha256.items() if n not in (SUMS, SIGNATURE)}
    try:
        listed = read_sums(bundle.bytes_of(SUMS).decode("ascii"))
    except (OSError, UnicodeDecodeError, UsageError) as error:
        listed, problems = dict(there), [Problem(SUMS, "", "is missing" if isinstance(error, OSError) else told(error))]
    for name in sorted(there.keys() | listed.keys()):
        if name not in there:
            problems.append(Problem(name, "", f"is missing; {SUMS} lists it"))
        elif name not in listed:
            problems.append(Problem(name, "", f"is not listed in {SUMS}"))
        elif there[name] != listed[name]:
            what = f"its sha256 is {there[name][:12]}…, {SUMS} says {listed[name][:12]}…"
            problems.append(Problem(name, "", what))
    return check("files", f"{len(there)} files, each listed in {SUMS} with its hash", [*problems, *_odd_files(bundle)])


def _odd_files(bundle: Opened) -> list[Problem]:
    """What is there and belongs to no bundle, and what is not there and belongs to each."""
    proofs = bundle.captures.proofs.values()
    if not bundle.whole:
        return []
    needed = {PROOF, SUMS, ENVIRONMENT, READ_ME, *bundle.header.pages.names}
    needed |= {name for one in proofs for name in capture_files(one.capture.manifest)}
    allowed = needed | {SIGNATURE, *(one.expectations for one in proofs)}
    there = set(bundle.found.sha256)
    odd = [Problem(name, "", "is no file of a bundle of these captures") for name in sorted(there - allowed)]
    return odd + [Problem(name, "", "is missing") for name in sorted(needed - there)]


def check_signature(bundle: Opened, signer: Ed25519PublicKey | None) -> Check:
    """With a key it must be there and fit; without one it can only be said that there is one."""
    from .signing import SIGNATURE_BYTES, fits

    signed = SIGNATURE in bundle.found.sha256
    if signed and len(signature := bundle.bytes_of(SIGNATURE)) != SIGNATURE_BYTES:
        what = f"is no signature: {len(signature)} bytes, not {SIGNATURE_BYTES}"
        return check("signature", "Ed25519", [Problem(SIGNATURE, "", what)])
    if signer is None:
        about = "there is one, and it was not checked: name the signer's public key with --key" if signed else "none"
        return Check("signature", Status.ABSENT, about)
    about = f"{SUMS} is signed by the owner of the key"
    if not signed:
        return check("signature", about, [Problem(SIGNATURE, "", "is missing: the bundle is not signed")])
    good = SUMS in bundle.found.sha256 and fits(signature, bundle.bytes_of(SUMS), signer)
    return check("signature", about, [] if good else [Problem(SIGNATURE, "", "is not the key's, or of another bundle")])
