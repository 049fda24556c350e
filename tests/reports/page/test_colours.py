"""Colours that can be read, on both grounds and by colour-blind readers."""

from __future__ import annotations

from itertools import combinations
from itertools import product as product_of

import pytest
from aisp_prof.reports.page.colours import DARK, LIGHT, OF_KIND, of_variant

TEXT = ("ink", "soft", "holds", "fails", "baseline", "optimized", "kernel", "copyin")
MARKS = ("baseline", "step", "optimized", "kernel", "copyin", "copyout")
OF_WORK = ("kernel", "copyin", "copyout")
OF_VARIANTS = ("baseline", "step", "optimized")
GROUNDS = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
Vector = tuple[float, float, float]

# Machado, Oliveira, Fernandes (2009), severity 1.0, for linear RGB.
SIGHTS: dict[str, tuple[Vector, Vector, Vector]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def linear(colour: str) -> Vector:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return straight(red), straight(green), straight(blue)


def straight(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def product(matrix: tuple[Vector, Vector, Vector], vector: Vector) -> Vector:
    a, b, c = (sum(x * y for x, y in zip(row, vector, strict=True)) for row in matrix)
    return a, b, c


def luminance(colour: str) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Vector) -> Vector:
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    x, y, z = (root(value / white) for value, white in zip(product(to_xyz, rgb), (0.9505, 1.0, 1.089), strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def root(value: float) -> float:
    return float(max(value, 0) ** (1 / 3)) if value > 0.008856 else 7.787 * value + 16 / 116


@GROUNDS
@pytest.mark.parametrize("name", TEXT)
def test_words_reach_aa(colours: dict[str, str], name: str) -> None:
    assert contrast(colours[name], colours["ground"]) >= 4.5


@GROUNDS
@pytest.mark.parametrize("name", MARKS)
def test_marks_reach_aa_on_the_ground_and_on_their_lane(colours: dict[str, str], name: str) -> None:
    assert contrast(colours[name], colours["ground"]) >= 3
    assert contrast(colours[name], colours["lane"]) >= 2.9


@GROUNDS
@pytest.mark.parametrize("sight", SIGHTS)
def test_every_reader_can_tell_the_marks_apart(colours: dict[str, str], sight: str) -> None:
    for a, b in combinations(("optimized", "copyin", "copyout"), 2):
        assert apart(colours, a, b, sight) >= 20, (a, b)  # the just noticeable difference is near 2.3
    for a, b in combinations(OF_WORK, 2):
        assert apart(colours, a, b, sight) >= 20, (a, b)


@GROUNDS
def test_a_kind_of_work_has_no_variants_colour(colours: dict[str, str]) -> None:
    """So that no reader takes what kernels do for what the optimized variant does. Kernels fill their lane, so that only they are
    held against the variants' blues by colour-blind eyes too; copies hang or stand."""
    for a, b in product_of(OF_WORK, OF_VARIANTS):
        assert apart(colours, a, b, "usual") >= 40, (a, b)
    for variant, sight in product_of(("step", "optimized"), SIGHTS):
        assert apart(colours, "kernel", variant, sight) >= 10, (variant, sight)
    assert {*OF_KIND.values()}.isdisjoint(map(of_variant, ("baseline", "a step", "optimized")))


def apart(colours: dict[str, str], a: str, b: str, sight: str) -> float:
    seen = (lab(product(SIGHTS[sight], linear(colours[name]))) for name in (a, b))
    return sum((x - y) ** 2 for x, y in zip(*seen, strict=True)) ** 0.5
