"""What the tracer calls itself in an export, and how readers name it."""

from __future__ import annotations

import re

from ...version import __version__

PRODUCT = "aisp-prof tracer"


def product_version(cupti: str) -> str:
    """This package's version, and that of CUPTI ("" where no process used CUDA)."""
    return f"{__version__} ({f'CUPTI {cupti}' if cupti else 'NVTX only'})"


def title(version: str) -> str:
    """The tracer of an export of this product version, for people: "aisp-prof tracer (CUPTI 13.0)"."""
    told = re.search(r"\(CUPTI [\d.]+\)", version)
    return f"{PRODUCT} {told[0]}" if told else PRODUCT
