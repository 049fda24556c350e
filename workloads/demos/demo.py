"""What a demo is, how it is run, and how it prints times."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from ...errors import EnvironmentLacks, UsageError
from ..device import Device, enough_memory, open_device
from ..hardware import _missing, present_gpu


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo module exports one as `DEMO`. `measure` returns the lines to print; `options` adds the arguments it takes
    after `--`; `needs` are as in a pair's declaration. A demo that needs no GPU, because it reads machine code, is
    given the CPU."""

    name: str
    about: str
    needs: tuple[str, ...]
    options: Callable[[argparse.ArgumentParser], None]
    measure: Callable[[Device, argparse.Namespace], list[str]]

    def run(self, arguments: Sequence[str]) -> list[str]:
        """Run it on this machine's GPU and return the lines.

        Raises:
            EnvironmentLacks: no GPU, or the machine lacks what the demo needs.
            SystemExit: the arguments ask for help, or do not fit.
        """
        parser = argparse.ArgumentParser(prog=f"aisp-prof demos {self.name} --", description=self.about)
        self.options(parser)
        asked = parser.parse_args(arguments)
        device = self._device()
        with enough_memory():
            return self.measure(device, asked)

    def _device(self) -> Device:
        if not self.needs:
            return open_device("cpu")
        try:
            device = open_device("cuda")
        except EnvironmentLacks as error:
            mend = "run the demo on a machine with an NVIDIA GPU, its driver and a CUDA build of PyTorch"
            raise EnvironmentLacks(str(error), mend) from error
        gpu = present_gpu(device)
        for need in self.needs:
            lacking = _missing(need, gpu) if gpu else None
            if lacking is not None:
                raise EnvironmentLacks(f"unsupported: {self.name} needs {need}, and this machine lacks it", lacking)
        return device


def positive(text: str) -> int:
    """A positive number on the command line."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def quantile(values: Sequence[int], share: float) -> int:
    """By nearest rank: the smallest value that at least `share` of all values do not exceed.

    Raises:
        UsageError: there are no values.
    """
    if not values:
        raise UsageError("nothing was measured", "ask for more")
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def spread(times_ns: Sequence[int]) -> str:
    """`median 5.512 ms  n 20  min 5.490, max 5.600`."""
    ms = [time / 1e6 for time in times_ns]
    return f"median {median(ms):.4f} ms  n {len(ms)}  min {min(ms):.4f}, max {max(ms):.4f}"
