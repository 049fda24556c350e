"""A kernel as its module declares it, and how all of them are found: every module below `kernels/` may have `RUNGS`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .. import kernels
from ..errors import EnvironmentLacks, UsageError
from .building.contract import Contract
from .driver.launch import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Trial:
    """What a kernel made of random inputs, in an output that was NaN before, against the same in fp64."""

    output: Tensor
    reference: Tensor
    tolerance: float
    """‖output − reference‖ / ‖reference‖ at most."""

    def error(self) -> float:
        """‖output − reference‖ / ‖reference‖; NaN where an element was not written."""
        wide = self.reference.double()
        return float((self.output.double() - wide).norm() / wide.norm())


@dataclass(frozen=True, slots=True)
class Rung:
    """One CUDA kernel: a step of a ladder, or the only implementation of an operation.

    Args:
        operation: what it computes; rungs of one operation agree in arguments and result.
        name: of this way to compute it.
        launch: how its blocks are launched.
        needs: the least target of nvcc's that it compiles for (`70`); with the chip's own instructions, the only one (`90a`).
        trial: runs it once on CUDA, on inputs of this seed (sizes too, where the kernel allows several).
    """

    operation: str
    name: str
    source: Path
    launch: Shape
    contract: Contract
    needs: str
    trial: Callable[[int], Trial]

    @property
    def entry(self) -> str:
        """The `extern "C"` kernel in the source."""
        return self.contract.kernel

    def runs_on(self, arch: str) -> bool:
        """Whether it compiles for nvcc's target `arch` (`86`, `90a`)."""
        if self.needs.endswith("a"):
            return arch == self.needs
        return int(arch.rstrip("a")) >= int(self.needs)

    def require(self, arch: str) -> None:
        """Does nothing if it runs on a device of this target.

        Raises:
            EnvironmentLacks: it does not; nothing else is run in its place.
        """
        if not self.runs_on(arch):
            number = self.needs.rstrip("a")
            least = "" if self.needs.endswith("a") else " or later"
            raise EnvironmentLacks(
                f"unsupported: {self.operation} {self.name} needs compute capability {number[:-1]}.{number[-1]}{least}, "
                f"and this GPU is of {arch.rstrip('a')[:-1]}.{arch.rstrip('a')[-1]}",
                "run it on a GPU that has it",
            )


@dataclass(frozen=True, slots=True)
class Library:
    """One kernel that comes with its own launcher, in a source of its own: CUTLASS's, built as a shared library.

    Args:
        operation, name: as of a rung.
        contract: of the only kernel in the library, whose name is the compiler's; its own is a label.
        needs: the only target that it is built for (`90a`).
        code: a cubin of what it has for the device, compiled unless the cache has it.
        trial: as of a rung.
    """

    operation: str
    name: str
    source: Path
    contract: Contract
    needs: str
    code: Callable[[], Path]
    trial: Callable[[int], Trial]


def libraries() -> tuple[Library, ...]:
    """Those that modules declare as `LIBRARIES`, by operation and name; nothing is built."""
    found = [one for module in _modules() for one in getattr(importlib.import_module(module), "LIBRARIES", ())]
    return tuple(sorted(found, key=lambda one: (one.operation, one.name)))


def rungs() -> tuple[Rung, ...]:
    """All rungs by operation and name. Imports their modules, none of which imports torch.

    Raises:
        UsageError: two have the same operation and name.
    """
    declared = sorted(
        (rung for module in _modules() for rung in _declared(module)), key=lambda r: (r.operation, r.name)
    )
    for one, two in pairwise(declared):
        if (one.operation, one.name) == (two.operation, two.name):
            raise UsageError(f"two rungs are called {one.operation} {one.name}", f"rename one in {two.source.parent}")
    return tuple(declared)


def _modules() -> Iterator[str]:
    """Modules that import Triton when loaded declare no CUDA sources, and are skipped."""
    for info in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}."):
        if not info.ispkg and not info.name.endswith("_triton"):
            yield info.name


def _declared(module: str) -> tuple[Rung, ...]:
    return tuple(getattr(importlib.import_module(module), "RUNGS", ()))
