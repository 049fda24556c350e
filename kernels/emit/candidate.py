"""A CUDA candidate: a source with a header, and its launch through the driver on the tensors of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from .header import Header
from .spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

    from ..driver.launch import Argument


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source file whose header says how to launch it, for one spec."""

    source: Path
    header: Header
    spec: Spec

    def run(self, inputs: Sequence[Tensor], output: Tensor) -> None:
        """Enqueue the kernel on PyTorch's current stream.

        Args:
            inputs: contiguous CUDA tensors of the spec's dtype, one per input, of `spec.input_shape`.
            output: contiguous, of the spec's output dtype and `spec.output_shape`; overlaps no input.

        Raises:
            EnvironmentLacks, AispError: as `launch.kernel`.
        """
        from ..driver.launch import kernel

        rows, columns = inputs[0].shape
        count = rows * columns if self.spec.flat else rows
        grid = -(-count // self.header.per_block)
        loaded = kernel(self.source, self.header.entry)
        loaded.launch(grid, self.header.block, self._arguments(inputs, output, rows, columns))

    def _arguments(self, inputs: Sequence[Tensor], output: Tensor, rows: int, columns: int) -> list[Argument]:
        from ..driver.launch import int64, pointer

        known = {one.name: pointer(tensor) for one, tensor in zip(self.spec.inputs, inputs, strict=True)}
        known |= {"out": pointer(output), "rows": int64(rows), "columns": int64(columns)}
        known["elements"] = int64(rows * columns)
        return [known[name] for name in self.header.arguments]


def read_candidate(source: Path, spec: Spec) -> Candidate:
    """The candidate in `source`, which must have been written for `spec`.

    Raises:
        UsageError: there is no such file, it has no header, or its header is for another spec.
    """
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the candidate {source}: {error}") from error
    header = Header.read(text, str(source))
    if header.spec != spec.digest:
        raise UsageError(
            f"{source} was written for another spec than {spec.name}", "aisp-prof kernels emit SPEC -o FILE.cu"
        )
    if header.arguments != spec.arguments:
        raise UsageError(
            f"{source}: its header's arguments are not the spec's: {', '.join(spec.arguments)}", "emit it anew"
        )
    return Candidate(source, header, spec)
