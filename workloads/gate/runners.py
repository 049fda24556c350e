"""What can be run for a task: a CUDA candidate, a Python module, PyTorch's operators, or the same through torch.compile."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from ...errors import AispError, UsageError
from ...kernels.emit.artifacts import digest

if TYPE_CHECKING:
    from .task import Run, Task

BUILT_IN = ("eager", "inductor")


@dataclass(frozen=True, slots=True)
class Runner:
    """`name` is what the user typed: a file, or one of BUILT_IN; `sha256` identifies exactly what runs."""

    name: str
    kind: str
    sha256: str
    source: Path | None

    def load(self, task: Task) -> Run:
        """What runs it. For a Python module this imports it, so only a child process may call it.

        Raises:
            AispError: the file no longer matches its hash.
            UsageError: it is no candidate for this task.
        """
        if self.source is None:
            return task.inductor() if self.name == "inductor" else task.eager()
        data = self.source.read_bytes()
        if digest(data) != self.sha256:
            raise AispError(f"{self.name} changed after it was hashed: {self.source} holds another program now")
        if self.kind == "python":
            return task.python(module_of(self.source, data, "aisp_candidate"), str(self.source))
        return task.cuda(self.source)


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


class _Hashed(importlib.abc.InspectLoader):
    """Loads a module from the bytes that were hashed, not from the file, which may have changed."""

    def __init__(self, source: Path, data: bytes) -> None:
        self._source, self._data = source, data

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._data)

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._data, str(self._source))


def module_of(source: Path, data: bytes, name: str) -> ModuleType:
    """The module `name` of these bytes, imported; among the loaded ones, as dataclasses and pickles of its own need it.

    Raises:
        AispError: Python makes no module of such a file.
    """
    loader = _Hashed(source, data)
    spec = importlib.util.spec_from_file_location(name, source, loader=loader)
    if spec is None:
        raise AispError(f"{source} cannot be imported")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _torch_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "none"
