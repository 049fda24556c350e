"""Whether the outputs of every run were compared with the reference, and agree, by the numbers rather than by the word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...declaration import Declaration
from ..evidence import Finding
from ..manifest import Manifest, Number, Record, Validation

MOST_TOLERANCE = 0.1
"""An output of zeros is off by 1, and one that is off by a tenth is no result. The pairs accept 1e-6 to 0.02."""
MOST_BAND = 0.25
"""Of tracing's influence on the times; the pairs accept 0.05 and 0.1."""


def invalid(manifest: Manifest, declaration: Declaration) -> tuple[Finding, ...]:
    """Outputs that disagree with the reference, in any run, make everything else pointless.

    `valid` is what the harness concluded; its errors, held against the pair's own tolerance, must conclude the same.
    """
    for record in manifest.runs.values() if manifest.origin is None else ():
        validation = record.validation or Validation()
        if not _agrees(validation, declaration):
            errors = [float(error) for error in _errors(validation).values() if error is not None]
            accepted = "?" if validation.tolerance is None else min(validation.tolerance, declaration.tolerance)
            return (Finding("outputs_invalid", {"error": max(errors, default="?"), "tolerance": accepted}),)
    return ()


def _errors(validation: Validation) -> Mapping[str, Number | None]:
    return validation.max_relative_error or {}


def _agrees(validation: Validation, declaration: Declaration) -> bool:
    """Nothing that is said speaks against the outputs; an error of null is one that was not finite."""
    accepted = min(validation.tolerance or 0, declaration.tolerance)
    right = all(error is not None and 0 <= error <= accepted for error in _errors(validation).values())
    refused = all((validation.rejects or {}).values())
    return validation.valid is True and right and validation.bitwise is not False and refused


def unvalidated(manifest: Manifest, declaration: Declaration, traced: bool) -> tuple[Finding, ...]:
    """Runs whose outputs nobody says were compared, whole or in part: their times are those of any program."""
    if manifest.origin is not None:
        return ()  # nothing was: `named.doubts` says so
    wanted = ["untraced", *(["traced"] if traced else []), *_counted(manifest)]
    missing = {run: _lacks(manifest.runs.get(run), declaration) for run in wanted}
    return tuple(Finding("not_validated", {"run": run, "what": what}, "range") for run, what in missing.items() if what)


def _counted(manifest: Manifest) -> Sequence[str]:
    return ["counted"] if manifest.counters and manifest.counters.files else []


def _lacks(record: Record | None, declaration: Declaration) -> str:
    """Which part of the check is not there: "all" where there is none; "" where nothing is missing."""
    validation = record.validation if record else None
    if validation is None or validation == Validation():
        return "all"
    told = [f"max_relative_error.{variant}" for variant in declaration.names if variant not in _errors(validation)]
    if declaration.bitwise and validation.bitwise is None:
        told.append("bitwise")
    return ", ".join(told)


def loose(declaration: Declaration) -> Iterable[Finding]:
    """Limits that let anything through: a pair states its own, and this code how far it may."""
    for name, value, most in (
        ("tolerance", declaration.tolerance, MOST_TOLERANCE),
        ("perturbation_band", declaration.perturbation_band, MOST_BAND),
    ):
        if value > most:
            yield Finding("limit_too_wide", {"what": name, "says": value, "most": most}, "range")
