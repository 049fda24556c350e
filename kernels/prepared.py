"""A launch whose arguments lie ready in memory: for work whose subject is how fast the host submits it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from . import launch
from .launch import Argument, Kernel

Cell = ctypes.c_void_p | ctypes.c_int32
"""An argument that may differ from launch to launch, and that several launches may share: assign to its `value`."""


class Prepared:
    """One launch of `kernel` on one stream, to be made again and again; cells are read when it is made.

    `Kernel.launch` builds a configuration and packs its arguments each time, which takes longer than the driver's own work.
    `arguments` must be those of the kernel's signature, in order and type; `shared` is its dynamic shared memory in bytes.
    """

    def __init__(
        self,
        kernel: Kernel,
        grid: tuple[int, int],
        block: int,
        arguments: Sequence[Argument | Cell],
        stream: int,
        shared: int = 0,
    ) -> None:
        driver = launch._driver()
        self._submit, self._doing = driver.cuLaunchKernel, f"launching {kernel.name}"
        self._cells = [kind[1](kind[0]) if isinstance(kind, tuple) else kind for kind in arguments]
        self._table = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, self._cells))
        where = (driver.CUstream(stream), ctypes.addressof(self._table), 0)
        self._call = (kernel._function, *grid, 1, block, 1, 1, shared, *where)

    def __call__(self) -> None:
        """Enqueue it.

        Raises:
            AispError: the driver refuses the launch.
        """
        launch._checked(self._submit(*self._call), self._doing)
