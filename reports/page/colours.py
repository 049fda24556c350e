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
    "kernel": "#0b4f8a",
    "copyin": "#9a5b00",
    "copyout": "#d16aae",
    "holds": "#0b6e4f",
    "fails": "#b3261e",
}
"""On paper and on a light screen. `optimized` is always the kernels' blue, `baseline` always grey."""

DARK: Final = {
    "ground": "#14171c",
    "ink": "#eceff3",
    "soft": "#a6afbc",
    "line": "#343a44",
    "lane": "#1e2329",
    "baseline": "#9aa2ae",
    "kernel": "#6aa9ee",
    "copyin": "#f3cf86",
    "copyout": "#d4589f",
    "holds": "#4fc296",
    "fails": "#ff8a80",
}
"""On a dark screen."""

OF_VARIANT: Final = {"baseline": "baseline", "optimized": "kernel"}
OF_KIND: Final = {"compute": "kernel", "graph": "kernel", "h2d": "copyin", "d2h": "copyout"}


def of_kind(kind: str) -> str:
    """The colour's name for an operation of this class; anything but kernels and copies in or out is soft."""
    return OF_KIND.get(kind, "soft")


def as_css(colours: dict[str, str]) -> str:
    """The colours as CSS custom properties."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())
