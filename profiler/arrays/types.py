"""The arrays that everything computes on: a time in ns, a row's place and a code are 64-bit integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
