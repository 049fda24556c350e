"""Which kernels move data between GPUs: a list kept as data, that a caller may extend."""

from __future__ import annotations

import re
from collections.abc import Iterable

PATTERNS = (
    r"^nccl(Kernel|DevKernel|DevFunc|Sym)",
    r"^(void )?nvshmem",
    r"one_shot_all_?reduce",
    r"two_shot_all_?reduce",
    r"cross_device_reduce",
    r"^(void )?deep_ep::",
)
"""NCCL, NVSHMEM, the custom all-reduces of vLLM, TensorRT-LLM and PyTorch, DeepEP; searched in the short and full name."""


def matcher(extra: Iterable[str] = ()) -> re.Pattern[str]:
    """One pattern for all of `PATTERNS` and `extra`."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in (*PATTERNS, *extra)))
