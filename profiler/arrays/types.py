"""The types of columns, and the room that 64 bits leave for moved times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROOM = 1 << 62
"""Windows of many groups lie on one line of time of this length, so that sums and differences stay within 64 bits."""
