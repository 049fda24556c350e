"""The identity of a trace's file."""

from __future__ import annotations

import pytest
from aisp_prof.profiler.trace.cache.fingerprint import fingerprint

MIB = 1 << 20


def test_every_byte_and_the_length_count(tmp_path):
    path, content, seen = tmp_path / "t", bytes(3 * MIB), set()
    for changed in (content, content[:-1], content + b"\0", b"\1" + content[1:], content[:-1] + b"\1"):
        path.write_bytes(changed)
        assert fingerprint(path) == fingerprint(path)
        seen.add(fingerprint(path))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("size", "value"),
    [
        (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
        (102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"),
    ],
)
def test_it_is_blake3_of_the_whole_file(tmp_path, size, value):
    """Values of the test vectors that come with the algorithm, whose input is 0 … 250 over and over."""
    path = tmp_path / "t"
    path.write_bytes((bytes(range(251)) * (size // 251 + 1))[:size])
    assert fingerprint(path) == f"blake3-{value}"


def test_a_file_longer_than_one_read(tmp_path):
    from blake3 import blake3

    content = (bytes(range(251)) * (5 * MIB // 251 + 1))[: 5 * MIB + 17]
    path = tmp_path / "t"
    path.write_bytes(content)
    assert fingerprint(path) == f"blake3-{blake3(content).hexdigest()}"
