"""Read the ridge of a device's measured roofline from what `aisp-prof calibrate -o FILE` stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

_BANDWIDTHS = ("copy", "read")
_MEND = "make one on this GPU: aisp-prof calibrate -o FILE"


@dataclass(frozen=True, slots=True)
class Ridge:
    """Where the roofs of arithmetic and of memory meet: FLOP a second of `ceiling` over bytes a second."""

    ceiling: str
    flop_per_s: float
    bytes_per_s: float

    @property
    def intensity(self) -> float:
        """In FLOP/B."""
        return self.flop_per_s / self.bytes_per_s

    def __str__(self) -> str:
        return f"{self.ceiling} {self.flop_per_s / 1e12:.4g} TFLOP/s over {self.bytes_per_s / 1e12:.4g} TB/s, measured"


def read_ridge(path: Path, ceiling: str) -> Ridge:
    """The ridge at the matrix rate `ceiling` ("bf16", "fp32", …); memory is as fast as the faster of copy and read.

    Raises:
        UsageError: it was not written by `calibrate`, or lacks the rate or the bandwidth.
    """
    try:
        rates = {str(row["name"]): float(row["value"]) for row in json.loads(path.read_bytes())["ceilings"]}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", _MEND) from error
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} holds no ceilings: {error!r}", _MEND) from error
    bandwidth = max((rates[name] for name in _BANDWIDTHS if name in rates), default=0.0)
    if not bandwidth or ceiling not in rates:
        lacking = f"rate of {ceiling!r}" if bandwidth else "bandwidth"
        raise UsageError(f"{path} holds no {lacking}; it has: {', '.join(rates) or 'nothing'}", _MEND)
    return Ridge(ceiling, rates[ceiling], bandwidth)
