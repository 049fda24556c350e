"""One training step of an MLP: fp32 with a sync and PyTorch's default optimizer, taken step by step to bf16 in one CUDA graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...declaration import Declaration, Phase
from ...errors import UsageError
from ..device import Device, Stream
from ..pair import Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import AdamW

LR, BETAS, EPS, DECAY = 2e-5, (0.9, 0.999), 1e-8, 0.01
TAKEN = 1000
"""Steps that the optimizer believes it has taken before the first."""

_GAIN = 1.5
"""Weights are N(0, _GAIN² / width): a GELU of N(0, 1) keeps 0.43 of the square, so the signal neither dies nor overflows."""

_FP32_BYTES, _OPTIMIZER_PASSES = 4, 7

_GUARDED, _DEFAULT = ("baseline",), ("baseline", "no_sync")
_TF32, _BF16 = ("tf32",), ("bf16", "optimized")


class TrainingStep:
    """zero_grad, forward, mean squared error, backward and AdamW of `layers` linear layers with GELUs between them.

    All variants train the same weights and moments in place, so a measured iteration goes on from where the last one ended;
    times do not depend on the values. `inputs` and `poison` go back to the seed's initial state. There the first moments are
    zero, but the second ones are those of a long training: from cold ones the first update is the gradient's sign, which
    near zero no rounding leaves as it was, while from these it is as good as linear in the gradient.

    Raises:
        UsageError: fewer than one layer.
    """

    def __init__(self, device: Device, sizes: Sizes) -> None:
        import torch
        from torch import nn

        layers, width, batch = sizes["layers"], sizes["width"], sizes["batch"]
        if layers < 1:
            raise UsageError(f"{layers} layers cannot be trained", "choose another size")
        self._device, self._stream = device, device.stream()
        linears = [nn.Linear(width, width, device=device.kind) for _ in range(layers)]
        between = [module for linear in linears for module in (linear, nn.GELU())]
        self._model = nn.Sequential(*between[:-1])
        self._params = list(self._model.parameters())
        self._initial = [torch.empty_like(param) for param in self._params]
        self._x, self._target = (torch.empty((batch, width), device=device.kind) for _ in range(2))
        # what a gradient's entry is like: d loss / d y = 2 (y - target) / (batch * width), summed over the batch
        self._variance = (2 / (width * math.sqrt(batch))) ** 2
        moments = [(torch.zeros_like(param), torch.zeros_like(param)) for param in self._params]
        self._default = self._adamw(moments, fused=None)
        self._fused = self._adamw(moments, fused=True)
        self.loss = torch.full((), math.nan, device=device.kind)
        self._replay = device.graph(self._stream, lambda: self._step("optimized"))
        self._graphed = self.loss

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        """(initial - present) / LR of every parameter, fp32, one after the other, biases times sqrt(width).

        After one step this is the update that AdamW made of the gradient; the difference itself is exact. Without their
        factor the biases would be a hundredth of its norm. It is computed here, outside the iteration.
        """
        pairs = zip(self._initial, self._params, strict=True)
        return _joined([(old - new.detach()).div_(LR) for old, new in pairs])

    def inputs(self, seed: int) -> None:
        for number, tensor in enumerate((self._x, self._target, *self._initial)):
            tensor.copy_(self._device.normal(tensor.numel(), seed + 1_000_003 * number).view(tensor.shape))
        for tensor in self._initial:
            tensor.mul_(0.1 if tensor.dim() == 1 else _GAIN * tensor.shape[1] ** -0.5)
        self.poison()

    def poison(self) -> None:
        """The loss becomes NaN and the gradients go; the state, which is input too, goes back to the initial one. A variant
        that then does nothing shows an update of zeros."""
        import torch

        self.loss = torch.full_like(self.loss, math.nan)
        self._graphed.fill_(math.nan)
        with torch.no_grad():
            for param, initial in zip(self._params, self._initial, strict=True):
                param.copy_(initial)
        for optimizer in (self._default, self._fused):
            optimizer.zero_grad(set_to_none=True)
            for state in optimizer.state.values():
                state["step"].fill_(TAKEN)
                state["exp_avg"].zero_()
                state["exp_avg_sq"].fill_(self._variance)

    def run(self, variant: str) -> None:
        if variant == "optimized" and self._device.kind == "cuda":
            self._replay()
            self.loss = self._graphed  # where the graph leaves it, and the gradients, which nobody else writes
            return
        with self._device.on(self._stream):
            self._step(variant)

    def _step(self, variant: str) -> None:
        """One step, enqueued on the current stream."""
        import torch

        optimizer = self._default if variant in _DEFAULT else self._fused
        with _matrix_products(tf32=variant in _TF32):
            optimizer.zero_grad(set_to_none=True)
            # a graph must make its casts itself, and no variant uses a weight twice in its forward pass
            with torch.autocast(self._device.kind, torch.bfloat16, enabled=variant in _BF16, cache_enabled=False):
                loss = torch.nn.functional.mse_loss(self._model(self._x), self._target)
            if variant in _GUARDED and not math.isfinite(value := loss.item()):
                raise FloatingPointError(f"the loss is {value}")
            loss.backward()
            optimizer.step()
            self.loss = loss.detach()

    def reference(self) -> Tensor:
        """The update in fp64: the gradient by autograd, AdamW by its formula."""
        import torch

        theta = [initial.double().requires_grad_() for initial in self._initial]
        hidden = self._x.double()
        for weight, bias in zip(theta[::2], theta[1::2], strict=True):
            activated = hidden if weight is theta[0] else torch.nn.functional.gelu(hidden)
            # the bias apart: in fp64 cuBLAS would make memsets of no bytes of it (kernels/gemm/matmul_gelu.py)
            hidden = activated @ weight.T + bias
        gradients = torch.autograd.grad((hidden - self._target.double()).square().mean(), theta)
        return _joined([self._update(t.detach(), g) for t, g in zip(theta, gradients, strict=True)])

    def exact(self) -> None:
        return None

    def _update(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """What AdamW subtracts, over LR: Loshchilov and Hutter's algorithm 2 in its decoupled form."""
        (beta1, beta2), step = BETAS, TAKEN + 1
        first = (1 - beta1) * gradient / (1 - beta1**step)
        second = (beta2 * self._variance + (1 - beta2) * gradient.square()) / (1 - beta2**step)
        return DECAY * theta + first / (second.sqrt() + EPS)

    def _adamw(self, moments: Sequence[tuple[Tensor, Tensor]], *, fused: bool | None) -> AdamW:
        """An optimizer of the parameters on these moments; both optimizers share them, each counts its own steps. With None
        PyTorch chooses, which on CUDA is an operation on all tensors at a time (foreach)."""
        import torch

        captured = bool(fused) and self._device.kind == "cuda"
        made = torch.optim.AdamW(
            self._params, lr=LR, betas=BETAS, eps=EPS, weight_decay=DECAY, fused=fused, capturable=captured
        )
        where = self._device.kind if fused else "cpu"  # as AdamW itself would place the count
        for param, (first, second) in zip(self._params, moments, strict=True):
            step = torch.tensor(float(TAKEN), device=where)
            made.state[param] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
        return made


def _joined(updates: Sequence[Tensor]) -> Tensor:
    """Weights' and biases' updates in one row; a bias times sqrt(width) counts as much as a row of its weights."""
    import torch

    return torch.cat([(u if u.dim() > 1 else u * math.sqrt(u.numel())).flatten() for u in updates])


@contextmanager
def _matrix_products(*, tf32: bool) -> Iterator[None]:
    """Inside it, fp32 matrix products may use TF32 or not; backward's threads obey too, as the setting is the process's."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def phases(sizes: Sizes, variant: str) -> tuple[Phase, ...]:
    """Products forward and backward, the first layer's gradient of its input aside, then the optimizer: it reads parameter, gradient
    and both moments, and writes all but the gradient, in fp32 and many times what the L2 cache holds. Where the loss is read the
    host waits once."""
    layers, width, batch = sizes["layers"], sizes["width"], sizes["batch"]
    kind = "tf32" if variant in _TF32 else "bf16" if variant in _BF16 else "fp32"
    products = Phase(flops={kind: 2 * batch * width**2 * (3 * layers - 1)}, launches=1 if variant in _GUARDED else 0)
    return products, Phase(dram=_OPTIMIZER_PASSES * _FP32_BYTES * layers * (width**2 + width))


_FULL = {"layers": 4, "width": 8192, "batch": 1024}

_CAPTIONS: Mapping[str, Mapping[str, str]] = {
    "baseline": {
        "en": "fp32, the loss read every step, PyTorch's default AdamW: one operation after the other over all tensors",
        "ko": "fp32, 매 스텝 손실 읽기, PyTorch의 기본 AdamW: 모든 텐서에 연산을 하나씩 차례로 적용",
    },
    "no_sync": {"en": "The loss stays on the GPU", "ko": "손실을 GPU에 두기"},
    "fused": {"en": "AdamW in fused kernels over all tensors", "ko": "모든 텐서를 함께 처리하는 융합 AdamW 커널"},
    "tf32": {"en": "Matrix products in TF32", "ko": "TF32 행렬 곱"},
    "bf16": {"en": "Matrix products in bf16 (autocast)", "ko": "bf16 행렬 곱(autocast)"},
    "optimized": {"en": "The whole step as one CUDA graph", "ko": "스텝 전체를 CUDA 그래프 하나로"},
}

PAIR = Pair(
    Declaration(
        chapter="ch20",
        name="training_single",
        topic={"en": "A training step on one GPU", "ko": "GPU 하나에서의 학습 스텝"},
        title={"en": "A training step from fp32 to bf16 in a graph", "ko": "fp32에서 bf16 그래프까지의 학습 스텝"},
        sentence={
            "en": "Without its sync, with fused AdamW and bf16 matrix products in one graph, the same training step ends {speedup}.",
            "ko": "동기화를 없애고 융합 AdamW와 bf16 행렬 곱을 그래프 하나로 실행하면 같은 학습 스텝이 {speedup} 끝납니다.",
        },
        compares={
            "en": "Every variant takes one step of the same four linear layers (268 M parameters) on the same batch: forward, "
            "mean squared error, backward and AdamW in fp32 master weights. The steps remove the read of the loss, fuse the "
            "optimizer, and only then change the dtype of the matrix products, to TF32 and to bf16; at last the step is one graph.",
            "ko": "모든 변형은 같은 배치로 같은 선형 층 네 개(파라미터 2억 6,800만 개)를 한 스텝 학습합니다. 순전파, 평균 제곱 오차, "
            "역전파, fp32 마스터 가중치의 AdamW입니다. 단계마다 손실 읽기를 없애고, 옵티마이저를 융합하고, 그다음에야 행렬 곱의 자료형을 "
            "TF32와 bf16으로 바꾸며, 마지막에는 스텝 전체를 그래프 하나로 실행합니다.",
        },
        variants=_CAPTIONS,
        claims=(
            # An H200 gave 35.4, 34.8, 31.8, 7.05 and 5.67 ms (2026-11-21). By formula 1.65 TFLOP: 33 ms at 50 TFLOP/s in fp32, 4.2 in TF32, 2.1 in bf16. AdamW: 80 bytes a
            # parameter, 5 ms, one operation at a time, 28 bytes, 1.75 ms, fused. Autocast copies the weights and casts their
            # gradients back: 12 bytes a parameter, 0.8 ms.
            # An H100 gave 5.65 in all (2026-11-27): its memory is slower, its tensor cores are not.
            "speedup >= 4.5",
            "speedup(no_sync, fused) >= 1.05",
            "speedup(fused, tf32) >= 3",
            "speedup(tf32, bf16) >= 1.1",
            # what a graph saves is the host's: its launches; on the GPU nothing may be lost
            "speedup(bf16, optimized) >= 0.97",
            "optimized.launch_calls_per_iteration <= 2",
            "bf16.launch_calls_per_iteration >= 40",
            # the harness waits once; the baseline's read of the loss is the second wait, and a copy
            "baseline.syncs_per_iteration == 2",
            "no_sync.syncs_per_iteration == 1",
            "optimized.syncs_per_iteration == 1",
            "baseline.copies_per_iteration == 1",
            "no_sync.copies_per_iteration == 0",
            # eight operations on 4096 chunks of 64 Ki elements, 320 a launch, are 104; fused they are 13, and one counts the steps
            "no_sync.kernels_per_iteration >= 80",
            "fused.kernels_per_iteration <= 50",
        ),
        sizes={"default": _FULL, "h200": _FULL, "small": {"layers": 4, "width": 128, "batch": 64}},
        # bf16 leaves 5e-3, fp32 6e-4, nearly all of it the rounding of weights that move by 1e-6 (on a CPU, at width 128)
        tolerance=2e-2,
        bitwise=False,  # the variants round differently
        perturbation_band=0.05,
        queued=False,  # the baseline waits for its loss
        needs=("cuda", "cc>=8.0"),
        attribution="process",  # autograd launches the backward pass from a thread of its own
    ),
    build=TrainingStep,
    phases=phases,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
