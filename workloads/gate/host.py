"""A candidate's own process, a copy of the judge before it knew anything, or where walls are missing
`python -m aisp_prof.workloads.gate.host DESCRIPTOR`: it runs what the judge asks for, on the judge's memory. Nothing that it says or writes is decisive: the judge reads the outputs itself and has a clock of
its own.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
from dataclasses import dataclass
from math import prod
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AispError
from ..device import Kind, open_device
from .arena import Place, Ticket, close_block, open_block
from .cases import Case
from .confine import confine, end_with_parent
from .limits import bound
from .runners import Runner
from .task import Task

if TYPE_CHECKING:
    from torch import Tensor

    from .task import Run

DONE = b"done"
REFUSED = "cannot be run: "
UNSHARED = "memory cannot be shared: "


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a host is for: one runner, on one device, within so many bytes; it gets a copy of the folder `cubins`."""

    runner: Runner
    task: Task
    device: Kind
    memory_bytes: int
    cubins: Path
    walls: bool = True


def main() -> int:
    """Serve the judge at the other end of a descriptor."""
    number = int(sys.argv[1])
    os.set_inheritable(number, False)
    return attend(Connection(number))


def attend(judge: Connection) -> int:
    """Serve one judge until it closes the connection.

    An exception of the runner's ends the process with Python's traceback, like anything else that goes wrong in it.
    """
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # otherwise the waiting processes would dump core too
    assignment: Assignment = judge.recv()
    missing = _settle(assignment)
    judge.send_bytes(missing.encode())
    if not missing:
        _serve(judge, assignment)
    return 0


def _settle(assignment: Assignment) -> str:
    """Go behind the walls, open the device and bound memory; returns which walls are missing. All of the gate's own
    work comes before the candidate's.
    """
    scratch = Path(tempfile.mkdtemp(prefix="candidate-"))
    if assignment.walls and (missing := confine(scratch)):
        return missing
    for name in ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        os.environ[name] = str(scratch)
    tempfile.tempdir = None
    os.environ["AISP_CACHE"] = str(scratch / "cache")
    if assignment.cubins.is_dir():
        shutil.copytree(assignment.cubins, scratch / "cache" / "cubins")
    os.chdir(scratch)
    open_device(assignment.device).synchronize()
    bound(assignment.device, assignment.memory_bytes)
    return ""


def _serve(judge: Connection, assignment: Assignment) -> None:
    blocks: dict[int, tuple[Tensor, Any]] = {}
    while True:
        try:
            asked, *rest = judge.recv()
        except EOFError:
            return
        if asked == "load":
            try:
                run = assignment.runner.load(assignment.task)
            except AispError as error:
                judge.send_bytes(f"{REFUSED}{error}"[:1000].encode())
                return
        elif asked == "block":
            ticket: Ticket = rest[0]
            try:
                blocks[ticket.number] = open_block(ticket, -1 if ticket.handle else recv_handle(judge))
            except OSError as error:
                judge.send_bytes(f"{UNSHARED}{error}"[:1000].encode())
                return
        elif asked == "forget":
            _forget(blocks)
        else:
            case, *places = rest
            inputs, outputs = ([_tensor(blocks, one) for one in listed] for listed in places)
            _run(run, case, inputs, outputs, assignment.device)
        judge.send_bytes(DONE)


def _forget(blocks: dict[int, tuple[Tensor, Any]]) -> None:
    owners = [owner for _, owner in blocks.values()]
    blocks.clear()
    for owner in owners:
        close_block(owner)


def _run(run: Run, case: Case, inputs: list[Tensor], outputs: list[Tensor], device: Kind) -> None:
    import torch

    run(case, inputs, outputs)
    if device == "cuda":
        torch.cuda.synchronize()


def _tensor(blocks: dict[int, tuple[Tensor, Any]], place: Place) -> Tensor:
    import torch

    dtype = getattr(torch, place.dtype)
    end = place.start + prod(place.shape) * dtype.itemsize
    return blocks[place.number][0][place.start : end].view(dtype).view(place.shape)


if __name__ == "__main__":
    sys.exit(main())
