"""A file is known again by all of its bytes: by keyed sums of this user's secret where the core is, else by SHA-256."""

import hashlib
import os
import stat

import engines
import numpy as np
import pytest
from aisp_prof.profiler.core.library import KEYED, core
from aisp_prof.profiler.trace.cache.fingerprint import fingerprint, keyed_fingerprint
from aisp_prof.profiler.trace.cache.secret import SIZE, secret_in
from aisp_prof.profiler.trace.cache.traces import TraceCache

ONE, OTHER = b"1" * SIZE, b"2" * SIZE
GROUP = 8 * KEYED
PART = 8 << 20


@pytest.fixture
def with_core(monkeypatch):
    engines.choose(monkeypatch, "core")


def by_hand(content, secret):
    """The definition, by Python's integers."""
    key = np.frombuffer(hashlib.shake_256(secret).digest(GROUP), np.uint64).tolist()
    parts = []
    for low in range(0, len(content), PART):
        part, digest = content[low : low + PART], hashlib.sha256()
        for at in range(0, len(part), GROUP):
            words = np.frombuffer(part[at : at + GROUP].ljust(GROUP, b"\0"), np.uint64).tolist()
            moved = [(word + k) % (1 << 64) for word, k in zip(words, key, strict=True)]
            total = sum(a * b for a, b in zip(moved[::2], moved[1::2], strict=True)) % (1 << 128)
            digest.update(total.to_bytes(16, "little"))
        parts.append(digest.digest())
    return hashlib.sha256(b"".join([*parts, str(len(content)).encode()])).hexdigest()


@pytest.mark.parametrize(
    ("size", "full"),
    [(0, True), (1, True), (3 * GROUP, True), (GROUP - 1, False), (3 * GROUP + 8, False), (PART + GROUP + 1, False)],
)
def test_keyed_sums_are_those_of_the_definition(tmp_path, with_core, size, full):
    """Of bytes that are all ones too, where each sum and product is as large as it can be."""
    content = b"\xff" * size if full else np.random.default_rng(size).bytes(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    assert keyed_fingerprint(path, ONE) == by_hand(content, ONE)
    assert (keyed_fingerprint(path, OTHER) == keyed_fingerprint(path, ONE)) is (size == 0)


def test_every_byte_and_the_length_count(tmp_path, with_core):
    content = bytearray(3 * GROUP + 100)
    path = tmp_path / "file"

    def known():
        path.write_bytes(content)
        return keyed_fingerprint(path, ONE)

    seen = {known()}
    for place in (0, 7, 8, GROUP - 1, GROUP, 3 * GROUP, len(content) - 1):
        for bit in (0, 7):
            content[place] ^= 1 << bit
            seen.add(known())
            content[place] ^= 1 << bit
    content += b"\0"  # groups of words are filled up with zeros
    seen.add(known())
    content[:GROUP], content[GROUP : 2 * GROUP] = b"\1" * GROUP, b"\2" * GROUP
    seen.add(known())
    content[:GROUP], content[GROUP : 2 * GROUP] = b"\2" * GROUP, b"\1" * GROUP
    seen.add(known())
    assert len(seen) == 18


def test_the_secret_is_made_once_and_is_the_users_alone(tmp_path):
    first = secret_in(tmp_path / "cache")
    file = tmp_path / "cache" / "traces.secret"
    assert first is not None
    assert first == secret_in(tmp_path / "cache") == file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(first) == SIZE
    assert first != secret_in(tmp_path / "other")
    assert os.listdir(tmp_path / "cache") == [file.name]


def altered(file, how):
    if how == "others may read it":
        file.chmod(0o644)
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif how == "long":
        file.write_bytes(file.read_bytes() + b"x")
    elif how == "a link":
        file.rename(file.with_name("elsewhere"))
        file.symlink_to("elsewhere")
    else:
        file.unlink()
        os.mkfifo(file, 0o600)


@pytest.mark.parametrize("how", ["others may read it", "cut", "long", "a link", "a pipe"])
def test_a_secret_that_is_none_is_not_used(tmp_path, with_core, how):
    """The whole file's SHA-256 stands for it, as where there is no core."""
    path, kept = tmp_path / "file", TraceCache(tmp_path / "cache", least=0)
    path.write_bytes(b"a trace")
    keyed = kept.key(path, ())
    altered(tmp_path / "cache" / "traces.secret", how)
    assert secret_in(tmp_path / "cache") is None
    by_sha = kept.key(path, ())
    assert by_sha != keyed
    assert by_sha == TraceCache(tmp_path / "file", least=0).key(path, ())  # where no secret can be kept


def test_without_the_core_the_key_is_by_sha256(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"a trace")
    engines.choose(monkeypatch, "numpy")
    assert core() is None
    assert keyed_fingerprint(path, ONE) is None
    assert TraceCache(tmp_path / "cache", least=0).key(path, ()) == TraceCache(tmp_path / "file", least=0).key(path, ())
    assert fingerprint(path) == hashlib.sha256(hashlib.sha256(b"a trace").digest() + b"7").hexdigest()
    assert not (tmp_path / "cache").exists()
