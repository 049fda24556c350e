"""Checks that all variants compute the right thing, and shows that the check would notice if they did not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..declaration import Declaration
from .annotate import Notes
from .device import Device
from .pair import Rounding, Workload
from .record import Validation

if TYPE_CHECKING:
    from torch import Tensor

TRIALS = 2
"""Two, on different inputs: a variant that reuses the first inputs it sees, or their results, is right only once."""

_PIECE = 1 << 24
"""Elements that are compared at a time: in fp64 the difference of whole outputs would be the most that a pair keeps in memory."""


def validate(declaration: Declaration, workload: Workload, device: Device, notes: Notes, seed: int) -> Validation:
    """Run each variant on fresh inputs of each trial (seeds `seed`, `seed + 1`, …) and compare its whole output.

    The outputs are filled with NaN before every run, so that no leftovers can pass.

    Raises:
        ValueError: the pair declares `bitwise` and its workload has no exact run, or a shape differs from the reference's.
    """
    errors: dict[str, list[float]] = {variant: [] for variant in declaration.names}
    equal: list[bool] = []
    stale: Tensor | None = None
    with notes.range(f"{declaration.key}.verify", "verify"):
        for trial in range(TRIALS):
            workload.inputs(seed + trial)
            reference = workload.reference()
            exact = _exact(declaration, workload)
            for variant in declaration.names:
                if isinstance(workload, Rounding):
                    reference = workload.reference_of(variant)
                output = _fresh_output(workload, device, variant)
                errors[variant].append(relative_error(output, reference))
                if exact is not None:
                    equal.append(same_bits(output, exact))
            stale = output.clone() if stale is None else stale
        rejects = _rejects(output, stale, reference, declaration.tolerance)
    worst = {variant: _finite(max(trials, key=_nan_last)) for variant, trials in errors.items()}
    return Validation(worst, declaration.tolerance, all(equal) if declaration.bitwise else None, rejects)


def relative_error(output: Tensor, reference: Tensor) -> float:
    """‖output − reference‖₂ / ‖reference‖₂ in fp64, on the reference's device; NaN where the output holds one.

    Raises:
        ValueError: the shapes differ.
    """
    if output.shape != reference.shape:
        raise ValueError(f"output has shape {tuple(output.shape)}, its reference {tuple(reference.shape)}")
    wrong = whole = 0.0
    for some, right in zip(*(one.flatten().split(_PIECE) for one in (output, reference)), strict=True):
        wrong += float((some.to(right.device, right.dtype) - right).square_().sum())
        whole += float(right.square().sum())
    return math.sqrt(wrong) / math.sqrt(whole) if whole else math.nan


def same_bits(output: Tensor, exact: Tensor) -> bool:
    """Whether two contiguous tensors of one dtype are the same bit for bit (0.0 and -0.0 differ)."""
    import torch

    same_form = output.shape == exact.shape and output.dtype == exact.dtype
    return same_form and bool(torch.equal(output.view(torch.uint8), exact.to(output.device).view(torch.uint8)))


def _exact(declaration: Declaration, workload: Workload) -> Tensor | None:
    exact = workload.exact() if declaration.bitwise else None
    if declaration.bitwise and exact is None:
        raise ValueError(f"{declaration.key} declares bitwise, but its workload has no exact run")
    return exact


def _fresh_output(workload: Workload, device: Device, variant: str) -> Tensor:
    workload.poison()
    device.synchronize()
    workload.run(variant)
    device.synchronize()
    return workload.output


def _rejects(output: Tensor, stale: Tensor, reference: Tensor, tolerance: float) -> dict[str, bool]:
    """Whether the tolerance alone refuses wrong outputs. Permuted is the mildest kind: every element shifted by one."""
    wrong = {
        "zeros": output.new_zeros(output.shape),
        "stale": stale,
        "permuted": output.flatten().roll(1).view(output.shape),
    }
    return {name: not relative_error(tensor, reference) <= tolerance for name, tensor in wrong.items()}


def _nan_last(error: float) -> float:
    return math.inf if math.isnan(error) else error


def _finite(error: float) -> float | None:
    return error if math.isfinite(error) else None
