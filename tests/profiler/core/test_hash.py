"""BLAKE3 by the core, held against values of the reference implementation (its test vectors' input: 0…250 over and over)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from aisp_prof.profiler.core.library import core
from aisp_prof.profiler.trace.cache.fingerprint import blake3, fingerprint

REFERENCE = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    63: "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b",
    64: "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98",
    65: "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    2048: "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
    2049: "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
    3072: "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
    16384: "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4",
    16385: "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f",
    31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
    32768: "162183d1f9184474f5a5c9e6224e66720cdb6523f822e52d9b1efa30893f48f9",
    102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
    1048575: "f32b849d19684c18c138cf13e29dbadc776f4bc2a56b477680ef546b39ac3f71",
    1048576: "74cb441fd087764ca9c3694da742ebe30cbeb3060a17009ca81825c7a8d10343",
    1048577: "2f053cd7472cf0cd2f9adaf45c1180255b91b9a865404a63671a0ee5f792ed33",
    3145728: "c9e03344ea01f416e5fd2c4aa87b32f2b13e731d034be31898de3ce251926b1c",
    5255225: "4f6f706f56439f9ecb9e0347cbe6d68235fac93c2336c68c14222c5b1bf924fb",
}
"""By the number of bytes what the package `blake3` 1.0 says of them."""


def can() -> bool:
    return core() is not None and "avx512f" in Path("/proc/cpuinfo").read_text()


needs_core = pytest.mark.skipif(not can(), reason="no core (python profiler/core/building.py), or no AVX-512")


@pytest.fixture
def held(tmp_path):
    """An open file of so many bytes."""
    opened = []

    def hold(size):
        path = tmp_path / str(size)
        path.write_bytes((bytes(range(251)) * (size // 251 + 1))[:size])
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    yield hold
    for descriptor in opened:
        os.close(descriptor)


@needs_core
def test_it_is_blake3(held):
    assert {size: blake3(held(size), size) for size in REFERENCE} == {
        size: f"blake3-{value}" for size, value in REFERENCE.items()
    }


@needs_core
def test_a_file_that_ends_before_is_not_hashed(held):
    descriptor = held(2 << 20)
    assert blake3(descriptor, (2 << 20) + 1) is None
    assert blake3(descriptor, 100_000_000) is None


@pytest.mark.parametrize("engine", ["auto", "numpy"])
def test_every_byte_and_the_length_count(tmp_path, monkeypatch, engine):
    monkeypatch.setenv("AISP_ENGINE", engine)
    path, content = tmp_path / "t", bytes(3 << 20)
    seen = set()
    for changed in (content, content[:-1], content + b"\0", b"\1" + content[1:], content[:-1] + b"\1"):
        path.write_bytes(changed)
        assert fingerprint(path) == fingerprint(path)
        seen.add(fingerprint(path))
    assert len(seen) == 5
