"""What can be run for a spec: a CUDA candidate, a Python module, PyTorch's operators, or the same through torch.compile."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

from ...errors import AispError, UsageError
from ...kernels.emit.artifacts import digest
from ...kernels.emit.candidate import read_candidate
from ...kernels.emit.reference import evaluate
from ...kernels.emit.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

    Run = Callable[[Sequence[Tensor], Tensor], None]
    """Enqueues the work on the current stream: the spec's inputs in order, and the output, which it fills."""

BUILT_IN = ("eager", "inductor")


@dataclass(frozen=True, slots=True)
class Runner:
    """`name` is what the user typed: a file, or one of BUILT_IN; `sha256` identifies exactly what runs."""

    name: str
    kind: str
    sha256: str
    source: Path | None

    def load(self, spec: Spec) -> Run:
        """What runs it. For a Python module this imports it, so only a child process may call it.

        Raises:
            AispError: the file no longer matches its hash.
            UsageError: a module has no `run`; or as `read_candidate`.
        """
        if self.source is None:
            return inductor(spec) if self.name == "inductor" else eager(spec)
        data = self.source.read_bytes()
        if digest(data) != self.sha256:
            raise AispError(f"{self.name} changed after it was hashed: {self.source} holds another program now")
        return _module_run(self.source, data) if self.kind == "python" else read_candidate(self.source, spec).run


def find_runner(name: str) -> Runner:
    """The runner of a `.cu` or `.py` file, or a built-in; nothing of it is run.

    Raises:
        UsageError: there is no such file, or it is neither.
    """
    if name in BUILT_IN:
        return Runner(name, name, hashlib.sha256(f"{name} {_torch_version()}".encode()).hexdigest(), None)
    path, kinds = Path(name), {".cu": "cuda", ".py": "python"}
    if path.suffix not in kinds:
        raise UsageError(f"{name} is no candidate", f"a .cu or .py file, or one of: {', '.join(BUILT_IN)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
    return Runner(name, kinds[path.suffix], digest(data), path.resolve())  # a child has a different working directory


def eager(spec: Spec) -> Run:
    """PyTorch's operators one by one, in fp32, rounded once at the end: the baseline without any candidate."""

    def run(inputs: Sequence[Tensor], output: Tensor) -> None:
        output.copy_(evaluate(spec, [one.float() for one in inputs]))

    return run


def inductor(spec: Spec) -> Run:
    """The eager chain compiled by torch.compile, for any shape."""
    import torch

    def chain(*inputs: Tensor) -> Tensor:
        return evaluate(spec, [one.float() for one in inputs])

    compiled = torch.compile(chain, dynamic=True, fullgraph=True)

    def run(inputs: Sequence[Tensor], output: Tensor) -> None:
        output.copy_(compiled(*inputs))

    return run


class _Hashed(importlib.abc.InspectLoader):
    """Loads a module from the bytes that were hashed, not from the file, which may have changed."""

    def __init__(self, source: Path, data: bytes) -> None:
        self._source, self._data = source, data

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._data)

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._data, str(self._source))


def _module_run(source: Path, data: bytes) -> Run:
    loader = _Hashed(source, data)
    spec = importlib.util.spec_from_file_location("aisp_candidate", source, loader=loader)
    if spec is None:
        raise AispError(f"{source} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    run = getattr(module, "run", None)
    if not callable(run):
        raise UsageError(f"{source} has no function run(inputs, output)", "def run(inputs, output): ...")
    chosen: Run = run
    return chosen


def _torch_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "none"
