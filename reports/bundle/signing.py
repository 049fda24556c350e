"""Signatures of a bundle: Ed25519 over its SHA256SUMS, which name the hash of every other file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import EnvironmentLacks, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES = 64
_NEW_KEY = "openssl genpkey -algorithm ed25519 -out key.pem"
_PUBLIC_KEY = "openssl pkey -in key.pem -pubout -out key.pub"


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key of a PEM file, PKCS #8, not encrypted.

    Raises:
        EnvironmentLacks: `cryptography` is not installed.
        UsageError: the file cannot be read, or holds no such key.
    """
    keys = _keys()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path), password=None)
    except (TypeError, ValueError) as error:  # TypeError: it is encrypted
        raise UsageError(f"{path}: no private key that can be read: {error}", _NEW_KEY) from error
    if not isinstance(key, keys.Ed25519PrivateKey):
        raise UsageError(f"{path}: the key is no Ed25519 key", _NEW_KEY)
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The key of a PEM file, SubjectPublicKeyInfo.

    Raises:
        EnvironmentLacks: `cryptography` is not installed.
        UsageError: the file cannot be read, or holds no such key.
    """
    keys = _keys()
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path))
    except ValueError as error:
        raise UsageError(f"{path}: no public key that can be read: {error}", _PUBLIC_KEY) from error
    if not isinstance(key, keys.Ed25519PublicKey):
        raise UsageError(f"{path}: the key is no Ed25519 key", _NEW_KEY)
    return key


def sign(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """64 bytes, the same for the same data and key."""
    return bytes(key.sign(data))


def fits(signature: bytes, data: bytes, key: Ed25519PublicKey) -> bool:
    """Whether the owner of the key has signed these bytes."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _keys() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise EnvironmentLacks(
            "signatures need the cryptography package, which is not installed", "pip install 'aisp-prof[sign]'"
        ) from error
    return ed25519
