"""The types of columns, and how much room 64 bits leave for shifted times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROOM = 1 << 62
"""The windows of many groups lie on one time line of this length, so that sums and differences stay within 64 bits."""
