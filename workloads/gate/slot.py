"""Where a candidate takes its place: a function, or a pair of the harness, unchanged unless the flag is on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...declaration import Declaration
from ...errors import AispError
from ...kernels.emit.artifacts import Artifacts
from ...kernels.emit.reference import reference, torch_dtype
from ...kernels.emit.spec import Spec
from ..device import Device, Stream
from ..hardware import present_gpu
from ..pair import Pair, Sizes
from .cases import Case, fill
from .features import enabled
from .gate import admitted
from .runners import find_runner
from .spec_task import SpecTask, feature_name

if TYPE_CHECKING:
    from torch import Tensor

    from .spec_task import SpecRun


def chosen(
    current: SpecRun, candidate: str, spec: Spec, artifacts: Artifacts, device: Device, feature: str = ""
) -> SpecRun:
    """`current` itself if the feature is off, without reading anything of the candidate; the candidate if it is on.

    Raises:
        AispError: the feature is on, but the newest verdict on exactly this file, spec and device does not admit it.
    """
    name = feature or feature_name(spec)
    if not enabled(name):
        return current
    runner = find_runner(candidate)
    gpu = present_gpu(device)
    if not admitted(artifacts, runner, SpecTask(spec), gpu.name if gpu else "cpu"):
        mend = f"aisp-prof kernels gate {candidate} --spec SPEC --device {device.kind} --artifacts {artifacts.folder}"
        raise AispError(f"the feature {name} is on, but {candidate} is not admitted here", mend)
    run, case = runner.load(SpecTask(spec)), Case()
    return lambda inputs, output: run(case, inputs, [output])


class SpecWorkload:
    """A spec's chain as the work of a pair: `baseline` by one function and `optimized` by another, on one stream."""

    def __init__(self, spec: Spec, device: Device, shape: tuple[int, int], variants: dict[str, SpecRun]) -> None:
        import torch

        kind: Any = torch_dtype(spec.dtype)
        out_kind: Any = torch_dtype(spec.output)
        self._spec, self._device, self._variants, self._case = spec, device, variants, Case(shape)
        shapes = [spec.input_shape(one.layout, shape) for one in spec.inputs]
        self._inputs = [torch.empty(one, dtype=kind, device=device.kind) for one in shapes]
        self._output = torch.empty(spec.output_shape(shape), dtype=out_kind, device=device.kind)
        self._stream = device.stream()

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        return self._output

    def inputs(self, seed: int) -> None:
        fill(self._case, self._spec, self._inputs, seed)

    def poison(self) -> None:
        self._output.fill_(float("nan"))

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            self._variants[variant](self._inputs, self._output)

    def reference(self) -> Tensor:
        return reference(self._spec, self._inputs)

    def exact(self) -> None:
        return None


def candidate_pair(declaration: Declaration, spec: Spec, current: SpecRun, candidate: str, folder: Path) -> Pair:
    """A pair whose baseline is `current`, and whose optimized variant is the candidate where its feature is on.

    With the feature off both variants are `current`, so the pair's output is what it would be without a candidate, bit for
    bit, and its claims of a speedup fail. `sizes` are `rows` and `columns`.
    """

    def build(device: Device, sizes: Sizes) -> SpecWorkload:
        optimized = chosen(current, candidate, spec, Artifacts(folder), device)
        shape = (sizes["rows"], sizes["columns"])
        return SpecWorkload(spec, device, shape, {"baseline": current, "optimized": optimized})

    return Pair(declaration, build)
