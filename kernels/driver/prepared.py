"""A launch whose arguments lie ready in memory, for workloads about how fast the host can submit."""

from __future__ import annotations

from collections.abc import Sequence

from .arguments import Argument, Cell, Table
from .binding import binding, checked
from .launch import Kernel


class Prepared:
    """One launch of `kernel` on one stream, to be repeated; its cells are read each time.

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
        driver = binding()
        self._submit, self._doing = driver.cuLaunchKernel, f"launching {kernel.name}"
        self._table = Table(arguments)
        where = (driver.CUstream(stream), self._table.address, 0)
        self._call = (kernel._function, *grid, 1, block, 1, 1, shared, *where)

    def __call__(self) -> None:
        """Enqueue it.

        Raises:
            AispError: the driver refuses the launch.
        """
        checked(self._submit(*self._call), self._doing)
