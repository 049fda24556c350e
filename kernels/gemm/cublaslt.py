"""y = gelu(x·Wᵀ + bias) by cuBLASLt through nvmath-python: as its heuristics would have it, or as timed; the GELU apart or in the
epilogue; in fp32, TF32, bf16 and fp8 (e4m3).

The GELU is the tanh approximation, because that is what cuBLASLt's epilogue computes. cuBLASLt adds a bias along columns of a
column-major result, so it is asked for yᵀ = W·xᵀ, which is the same memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...errors import EnvironmentLacks
from ...machine.files import cache_folder, read_whole, write_whole

if TYPE_CHECKING:
    from torch import Tensor

Dtype = Literal["fp32", "tf32", "bf16", "fp8"]
CANDIDATES, ROUNDS = 16, 15
"""How many of the heuristics' algorithms are timed, and how often each."""
MOST_BYTES = 1 << 16
"""Of a choice in the cache folder."""
WORKSPACE = 64 << 20
"""Bytes that an algorithm may use, timed or not: without any, TF32 takes twice the time, bf16 the same (H200, 2026-11-30)."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The algorithm that a library runs, in its own words.

    Args:
        algorithm: its number.
        tile: rows and columns of the result that a block computes, "256x128".
        stages: of the ring of operands, "64x4".
        cluster: blocks that run together, "2x1x1".
        workspace: bytes that it uses.
        rank: its place among the `candidates` that the library proposed, from 1.
    """

    algorithm: int
    tile: str
    stages: str
    cluster: str
    workspace: int
    rank: int
    candidates: int

    def __str__(self) -> str:
        named = f"algorithm {self.algorithm}, tile {self.tile}, stages {self.stages}, cluster {self.cluster}"
        return f"{named}, workspace {self.workspace} B, {self.rank} of {self.candidates}"


class Layer:
    """One layer on given tensors, planned: `run` enqueues it on PyTorch's current stream and never waits.

    Args:
        x, w, bias, y: [m, k], [n, k], [n] and [m, n] on CUDA, rows contiguous. Of fp32 all are fp32; of bf16 all are bf16; of fp8 the
            first two are e4m3, the others bf16.
        dtype: how operands are multiplied; TF32 takes fp32.
        gelu: in the epilogue, behind the bias.
        scale: what the product of fp8 operands is multiplied by.
        like: a planned layer of the same kind, whose algorithm this one takes.
        timed: the heuristics' first `CANDIDATES` are to be timed (`tune`); otherwise the first is taken.

    Raises:
        EnvironmentLacks: nvmath-python is not there.
    """

    def __init__(
        self,
        x: Tensor,
        w: Tensor,
        bias: Tensor,
        y: Tensor,
        dtype: Dtype,
        *,
        gelu: bool = False,
        timed: bool = False,
        scale: float = 1.0,
        like: Layer | None = None,
    ) -> None:
        self._timed, self._epilogue, self._bias = timed, "GELU_BIAS" if gelu else "BIAS", bias
        options = {
            "inplace": True,
            "memory_limit": WORKSPACE,
            "fast_accumulation": dtype == "fp8",
            "compute_type": None if dtype != "tf32" else _api().compute.COMPUTE_32F_FAST_TF32,
        }
        scales = {"a": scale, "b": 1.0} if dtype == "fp8" else None
        self._matmul = _api().matmul(w, x.t(), y.t(), beta=0.0, quantization_scales=scales, options=options)
        self._plan(None if like is None else [like._matmul.algorithms[0]])
        self.chosen: Chosen = self._described() if like is None else like.chosen

    def tune(self, name: str) -> None:
        """Time the candidates on the present operands and take the fastest; y is left as it was. Waits for the device.

        The choice is kept in the cache folder under `name`: where candidates are alike, another process would choose another, and
        what is counted, traced and timed would not be the same kernel.

        Raises:
            EnvironmentLacks: the cache folder cannot be written to.
        """
        path = cache_folder() / "algorithms" / f"{name}.json"
        if (kept := _read(path)) is not None:
            algorithm, self.chosen = kept
            self._plan([algorithm])
            return
        before = tuple(self._matmul.algorithms)
        self._matmul.autotune(iterations=ROUNDS)
        best = self._matmul.algorithms[0]
        self.chosen = self._described(before.index(best) + 1)
        _write(path, best, self.chosen)

    def run(self) -> None:
        self._matmul.execute()

    def _plan(self, algorithms: list[Any] | None) -> None:
        self._matmul.plan(
            preferences={"limit": CANDIDATES if self._timed else 1},
            algorithms=algorithms,
            epilog=getattr(_api().epilogue, self._epilogue),
            epilog_inputs={"bias": self._bias},
        )

    def _described(self, rank: int = 1) -> Chosen:
        best = self._matmul.algorithms[0]
        return Chosen(
            int(best.algorithm_id),
            _shape(best, "tile"),
            _shape(best, "stages"),
            _shape(best, "cluster_shape"),
            int(best.algorithm.workspace_size),
            rank,
            len(self._matmul.algorithms),
        )


@dataclass(frozen=True, slots=True)
class _Api:
    """What is used of nvmath-python; `kind` is numpy's dtype of an algorithm."""

    matmul: Any
    epilogue: Any
    compute: Any
    algorithm: Any
    kind: Any
    version: Callable[[], int]


def _api() -> _Api:
    try:
        from nvmath.bindings import cublasLt
        from nvmath.linalg import ComputeType
        from nvmath.linalg.advanced import Algorithm, Matmul, MatmulEpilog
    except ImportError as error:
        raise EnvironmentLacks(
            f"nvmath-python cannot be imported: {error}", "pip install 'aisp-prof[cublaslt]'"
        ) from error
    kind = cublasLt.matmul_heuristic_result_dtype
    return _Api(Matmul, MatmulEpilog, ComputeType, Algorithm, kind, cublasLt.get_version)


def _read(path: Path) -> tuple[Any, Chosen] | None:
    """What `_write` wrote; None where it is not there, or by another version."""
    import numpy as np

    try:
        kept = json.loads(read_whole(path, MOST_BYTES))
        data, chosen = bytes.fromhex(kept["data"]), Chosen(**kept["chosen"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    kind = _api().kind
    return (_api().algorithm.from_numpy(np.frombuffer(data, kind)), chosen) if len(data) == kind.itemsize else None


def _write(path: Path, algorithm: Any, chosen: Chosen) -> None:
    data = {"chosen": asdict(chosen), "data": algorithm.as_numpy().tobytes().hex()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(data).encode())
    except OSError as error:
        raise EnvironmentLacks(
            f"cannot write to {path.parent}: {error.strerror}", "set AISP_CACHE to a folder that can be written to"
        ) from error


def key(x: Tensor, w: Tensor, dtype: Dtype) -> str:
    """What a choice hangs on: cuBLASLt's version, the GPU, format and sizes."""
    import torch

    gpu = torch.cuda.get_device_name(x.device).replace(" ", "_").replace("/", "_")
    return f"{_api().version()}-{gpu}-{dtype}-{x.shape[0]}x{w.shape[0]}x{x.shape[1]}"


def _shape(algorithm: Any, attribute: str) -> str:
    """As "256x128"; of an id that nvmath-python has no name for, the id."""
    try:
        found = getattr(algorithm, attribute)
    except KeyError as unnamed:
        return f"id {int(unnamed.args[0])}"
    return found if isinstance(found, str) else "x".join(map(str, found))


def gelu(sums: Tensor, out: Tensor) -> None:
    """out = gelu(sums), apart from any product, on the current stream."""
    import torch

    torch._C._nn.gelu(sums, approximate="tanh", out=out)


def reference(x: Tensor, w: Tensor, bias: Tensor, scale: float = 1.0) -> Tensor:
    """gelu(scale · x·Wᵀ + bias) in fp64."""
    import torch

    return torch.nn.functional.gelu(scale * (x.double() @ w.double().t()) + bias.double(), approximate="tanh")
