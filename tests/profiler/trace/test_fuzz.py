"""A bounded run of the fuzzer on a built capture; tests/support/fuzz.py runs longer, on any trace."""

from busy_capture import capture
from fuzz import fuzz


def test_three_hundred_mutations(tmp_path):
    outcomes = fuzz(capture(tmp_path / "t.sqlite").read_bytes(), 300, seed=20261120)
    assert sum(outcomes.values()) == 300
    assert min(outcomes[word] for word in ("refused", "found", "read")) > 10
