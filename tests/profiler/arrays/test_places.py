import numpy as np
import pytest
from aisp_prof.profiler.arrays import places as module
from aisp_prof.profiler.arrays.places import Places
from hypothesis import given
from hypothesis import strategies as st

values = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.sets(values, max_size=200), st.lists(values, max_size=20), st.booleans())
def test_places_are_those_of_bisection(distinct, others, hashed):
    known = np.array(sorted(distinct), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST", 200 if hashed else 0)
        places = Places(known)
    assert places.of(known).tolist() == list(range(len(known)))
    if len(known):
        found = places.of(np.array(others, np.int64))
        assert ((found >= 0) & (found < len(known))).all()
