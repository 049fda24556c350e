"""Verify a bundle: recompute every number from its traces, make its pages again, and name whatever differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...profiler.store.zipped import unzipped
from .captures import DAMAGE, told
from .content_checks import check_captures, check_environment, check_numbers, check_pages
from .declared import Own, check_declared, check_word
from .file_checks import check_container, check_files, check_signature
from .layout import PROOF, SUMS
from .opened import Opened
from .sources import check_sources
from .verification import Check, Problem, Verification, check

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify_bundle(path: Path, key: Path | None = None, own: Own | None = None) -> Verification:
    """Check a bundle, all of it: nothing is believed but the traces and this program.

    Args:
        key: the public key that must have signed it.
        own: the pairs that this code knows; theirs must claim no less.

    Raises:
        UsageError: it is no bundle, or `key` no key.
        EnvironmentLacks: a key is given, and what checks signatures is not installed.
    """
    signer = _signer(key)
    with unzipped(path) as found:
        if not {PROOF, SUMS} & set(found.sha256):
            raise UsageError(
                f"{path}: no bundle: it holds neither {PROOF} nor {SUMS}", "aisp-prof report --bundle makes one"
            )
        return _verified(Opened.read(path, found), signer, own)


def _signer(key: Path | None) -> Ed25519PublicKey | None:
    if key is None:
        return None
    from .signing import public_key

    return public_key(key)


def _verified(bundle: Opened, signer: Ed25519PublicKey | None, own: Own | None) -> Verification:
    checks = (
        check_container(bundle),
        check_files(bundle),
        check_signature(bundle, signer),
        check_captures(bundle),
        _guarded("environment", check_environment, bundle),
        _guarded("numbers", check_numbers, bundle),
        _guarded("declared", lambda bundle: check_declared(bundle, own), bundle),
        *check_sources(bundle, own),
        *check_pages(bundle),
        check_word(bundle),
    )
    evidences = tuple(one.evidence for one in bundle.proofs)
    return Verification(str(bundle.path), checks, evidences, bundle.header.missing)


def _guarded(name: str, make: Callable[[Opened], Check], bundle: Opened) -> Check:
    """A check that a manifest of odd types cannot end."""
    try:
        return make(bundle)
    except DAMAGE as error:
        return check(name, "could not be made", [Problem(bundle.path.name, name, told(error))])
