"""The page's colours on light and dark backgrounds, in one place; a test checks contrast and colour-blind legibility."""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "ground": "#ffffff",
    "ink": "#14171c",
    "soft": "#4b5361",
    "line": "#d9dce1",
    "lane": "#f3f5f7",
    "baseline": "#6b7280",
    "optimized": "#0b4f8a",
    "step": "#3f7cb8",
    "kernel": "#7c3fd6",
    "copyin": "#9a5b00",
    "copyout": "#d16aae",
    "holds": "#0b6e4f",
    "fails": "#b3261e",
}
"""On paper and on a light screen. A colour means one thing: `baseline` is always grey, `optimized` blue and all other steps
a lighter blue; kernels are violet, copies in brown, copies out pink, and other operations `soft`."""

DARK: Final = {
    "ground": "#14171c",
    "ink": "#eceff3",
    "soft": "#a6afbc",
    "line": "#343a44",
    "lane": "#1e2329",
    "baseline": "#9aa2ae",
    "optimized": "#6aa9ee",
    "step": "#4a80b8",
    "kernel": "#9d7bff",
    "copyin": "#f3cf86",
    "copyout": "#d4589f",
    "holds": "#4fc296",
    "fails": "#ff8a80",
}
"""On a dark screen."""

OF_VARIANT: Final = {"baseline": "baseline", "optimized": "optimized"}
OF_KIND: Final = {"compute": "kernel", "graph": "kernel", "h2d": "copyin", "d2h": "copyout"}


def of_variant(name: str) -> str:
    """The colour's name for a variant: one each for baseline and optimized, one for all other steps."""
    return OF_VARIANT.get(name, "step")


def of_kind(kind: str) -> str:
    """The colour's name for an operation of this class; anything but kernels and copies in or out is soft."""
    return OF_KIND.get(kind, "soft")


def as_css(colours: dict[str, str]) -> str:
    """The colours as CSS custom properties."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())
