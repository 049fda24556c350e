"""The GEMM ladder: what is chosen and refused, without a GPU; on Hopper every rung against fp64, on any shape and any number."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.gemm import ladder
from aisp_prof.kernels.gemm.ladder import (
    DTYPES,
    NAMES,
    STEPS,
    WIDTHS,
    Output,
    Step,
    Tiling,
    cut,
    declared_bytes,
    declared_flops,
    fitting,
    matmul,
    reference,
    run,
)

LAST = STEPS[NAMES[-1]]
KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16}
ON_HOPPER = torch.cuda.is_available() and torch.cuda.get_device_capability() == (9, 0)
needs_hopper = pytest.mark.skipif(not ON_HOPPER, reason="no CUDA device of compute capability 9.0")


def test_the_output_is_laid_out_as_in_cuda() -> None:
    offsets = {name: getattr(Output, name).offset for name, _ in Output._fields_}
    assert offsets == {"c": 0, "m": 8, "n": 12, "stride": 16, "bias": 24, "gelu": 32}
    assert ctypes.sizeof(Output) == 40


def test_seven_rungs_in_order() -> None:
    assert [name[:2] for name in NAMES] == [f"{number:02}" for number in range(1, 8)]
    assert all(step.source.is_file() for step in STEPS.values())


@pytest.mark.parametrize(
    ("m", "n", "tiling"),
    [
        (8192, 8192, Tiling(256, 32, 32, 32, 0)),  # 1024 clusters in 16 rounds of 66
        (2048, 2048, Tiling(256, 8, 8, 8, 0)),  # one round
        (3072, 3072, Tiling(192, 12, 16, 12, 0)),  # 192 clusters in 3 rounds; 144 wider ones would take 3 rounds too
        (
            4096,
            4104,
            Tiling(208, 16, 20, 16, 0),
        ),  # 320 clusters in 5 rounds; 256 wide there would be 4 and 16 narrow ones
        (8200, 8200, Tiling(256, 33, 32, 32, 1)),  # 8 rows and 8 columns left over: cheap tiles behind the rounds
        (8, 8, Tiling(256, 1, 0, 0, 1)),
    ],
)
def test_the_last_rung_chooses_its_tiles_by_the_last_round(m: int, n: int, tiling: Tiling) -> None:
    assert fitting(LAST, m, n, 132) == tiling


def covered(tiling: Tiling) -> list[tuple[int, int, int]]:
    """The corner, in rows and columns, and the width of each tile, in the order of gemm/order.cuh."""
    wide = [(row, column) for row in range(tiling.rows) for column in range(tiling.columns)]
    tiles = [(256 * row, tiling.width * column, tiling.width) for row, column in wide]
    return tiles + [(256 * row, tiling.width * tiling.columns, 64) for row in range(tiling.rows * tiling.narrow)]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_element_lies_in_one_tile(width: int) -> None:
    chance = random.Random(5)
    for _ in range(50):
        m, n = chance.randint(1, 900), chance.randint(1, 900)
        tiling = cut(LAST, width, m, n)
        seen = torch.zeros(m, n, dtype=torch.int32)
        for row, column, columns in covered(tiling):
            seen[row : row + 256, column : column + columns] += 1
        assert (seen == 1).all(), (m, n, tiling)
        assert tiling.count == len(covered(tiling))
        # the row that is cheap holds rows of one group alone
        assert tiling.whole_rows == tiling.rows or 0 < m - 256 * tiling.whole_rows <= 64


def test_the_time_of_a_tiling_by_hand() -> None:
    # 6 whole tiles of 100 + 10 for 4 at once: two take two; one cheap tile of 50 + 10 goes to the third
    assert Tiling(100, 3, 3, 2, 0).time(4, 10) == 2 * 110 + 60
    assert Tiling(100, 2, 2, 2, 1).time(4, 10) == 110 + 74
    assert Tiling(100, 2, 2, 2, 1).time(3, 10) == 2 * 110


def test_half_a_tile_of_b_begins_where_the_swizzle_does() -> None:
    assert all(width % 16 == 0 for width in WIDTHS)


def test_what_is_declared() -> None:
    assert declared_flops(8192, 8192, 8192) == 2 * 8192**3
    assert declared_bytes(2, 3, 8) == 2 * (16 + 24 + 6)


@pytest.mark.parametrize("gelu", [False, True])
def test_the_reference(gelu: bool) -> None:
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [-1.0, -1.0]])
    expected = torch.tensor([[12.0, -1.0]], dtype=torch.float64)
    want = torch.nn.functional.gelu(expected, approximate="tanh") if gelu else expected
    assert torch.equal(reference(a, b, torch.tensor([1.0, 2.0]), gelu), want)


def matrix(rows: int, columns: int, kind: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(rows, columns, dtype=kind)


@pytest.mark.parametrize(
    ("a", "b", "c"),
    [
        (matrix(8, 8), matrix(8, 8), matrix(8, 8)),  # not on CUDA
        (matrix(8, 8, torch.float32), matrix(8, 8), matrix(8, 8)),
        (matrix(8, 8), matrix(8, 8, torch.float16), matrix(8, 8)),
    ],
)
def test_what_does_not_fit_is_refused(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="must be"):
        matmul(a, b, c)


def test_another_gpu_is_refused_and_nothing_runs_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "check", lambda *tensors: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (10, 0))
    monkeypatch.setattr(ladder, "run", lambda *anything: pytest.fail("it ran"))
    with pytest.raises(EnvironmentLacks, match=r"needs compute capability 9\.0, and this GPU is of 10\.0"):
        matmul(matrix(8, 8), matrix(8, 8), matrix(8, 8))


def operands(m: int, n: int, k: int, kind: torch.dtype, seed: int) -> tuple[torch.Tensor, ...]:
    source = torch.Generator("cuda").manual_seed(seed)
    return tuple(torch.randn(*shape, generator=source, device="cuda").to(kind) for shape in ((m, k), (n, k), (n,)))


def guarded(m: int, n: int, kind: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """C as a part of something larger, all NaN; rows 16-byte aligned whatever n."""
    width = -(-n // 8) * 8 + 8
    whole = torch.full((m + 2, width), float("nan"), dtype=kind, device="cuda")
    return whole, whole[1 : m + 1, :n]


def check(
    step: Step,
    m: int,
    n: int,
    k: int,
    kind: torch.dtype,
    seed: int,
    bias: bool,
    gelu: bool,
    width: int | None = None,
) -> None:
    a, b, shift = operands(m, n, k, kind, seed)
    added = shift if bias else None
    whole, c = guarded(m, n, kind)
    run(step, a, b, c, added, gelu, width)
    want = reference(a, b, added, gelu)
    error = float((c.double() - want).norm() / want.norm())
    assert error < (3e-3 if kind is torch.bfloat16 else 4e-4), (m, n, k, bias, gelu)
    assert float((c.double() - want).abs().max()) < 0.02 * k**0.5
    c.fill_(float("nan"))
    assert whole.isnan().all(), f"wrote outside of C: {m, n, k}"


def shapes(count: int) -> Iterator[tuple[int, int, int]]:
    """Edges of tiles, one less and one more; and any size."""
    chance = random.Random(18)
    yield from (
        (1, 1, 8),
        (128, 256, 64),
        (127, 255, 56),
        (129, 257, 72),
        (256, 512, 256),
        (2049, 8, 8),
        (8, 2049, 4096),
    )
    for _ in range(count):
        yield chance.randint(1, 1200), chance.randint(1, 1200), 8 * chance.randint(1, 150)


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_every_rung_over_a_hundred_shapes(step: Step, dtype: str) -> None:
    for seed, (m, n, k) in enumerate(shapes(100)):
        check(step, m, n, k, KINDS[dtype], seed, bias=seed % 3 > 0, gelu=seed % 2 > 0)


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_of_the_last_rung(width: int, dtype: str) -> None:
    for seed, (m, n, k) in enumerate(shapes(20)):
        check(LAST, m, n, k, KINDS[dtype], seed, bias=seed % 3 > 0, gelu=seed % 2 > 0, width=width)
    for m, n in ((3000, 6500), (4104, 4104), (2561, 40), (40, 5001)):  # a low row, a narrow column, both
        check(LAST, m, n, 520, KINDS[dtype], 99, bias=True, gelu=False, width=width)


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_many_tiles_a_block_and_sizes_that_fill_the_chip(step: Step) -> None:
    check(step, 4096, 4096, 4096, torch.bfloat16, 1, bias=False, gelu=False)
    check(step, 4100, 6152, 1032, torch.bfloat16, 2, bias=True, gelu=True)
    check(step, 20000, 300, 264, torch.bfloat16, 3, bias=True, gelu=False)


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_nan_and_infinity_go_where_arithmetic_puts_them(step: Step, dtype: str) -> None:
    m, n, k = 300, 520, 200
    a, b, _ = operands(m, n, k, KINDS[dtype], 7)
    a[3, 5], a[150, 199], b[17, 0], b[519, 64] = float("nan"), float("inf"), float("-inf"), float("nan")
    a[200, 7], b[100, 7] = float("inf"), 0
    whole, c = guarded(m, n, KINDS[dtype])
    run(step, a, b, c)
    want = reference(a, b)
    assert torch.equal(c.isnan(), want.isnan())
    assert torch.equal(c.isposinf(), want.isposinf())
    assert torch.equal(c.isneginf(), want.isneginf())
    finite = want.isfinite()
    assert 0 < int(finite.sum()) < m * n
    torch.testing.assert_close(c.double()[finite], want[finite], rtol=1e-2, atol=5e-2)
    c.fill_(float("nan"))
    assert whole.isnan().all()


@pytest.mark.gpu
@needs_hopper
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_denormals_count(step: Step, dtype: str) -> None:
    """Inputs below the least normal number, times powers of two that bring them back: nothing may be flushed to zero."""
    m, n, k = 130, 264, 72
    a, b, _ = operands(m, n, k, KINDS[dtype], 9)
    least, factor = (2.0**-130, 2.0**100) if dtype == "bf16" else (2.0**-18, 2.0**10)
    small = (a.double() * least).to(KINDS[dtype])
    large = (b.double() * factor).to(KINDS[dtype])
    assert float((small.double() != 0).double().mean()) > 0.5
    _, c = guarded(m, n, KINDS[dtype])
    run(step, small, large, c)
    want = reference(small, large)
    assert float((c.double() - want).norm() / want.norm()) < 4e-3


@pytest.mark.gpu
@needs_hopper
def test_another_stream_and_a_graph() -> None:
    a, b, _ = operands(512, 768, 640, torch.bfloat16, 4)
    want = reference(a, b)
    for rung in NAMES:
        c = torch.full((512, 768), float("nan"), dtype=torch.bfloat16, device="cuda")
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            matmul(a, b, c, rung=rung)
        side.synchronize()
        assert float((c.double() - want).norm() / want.norm()) < 3e-3
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            matmul(a, b, c, rung=rung)
        c.fill_(float("nan"))
        graph.replay()
        torch.cuda.synchronize()
        assert float((c.double() - want).norm() / want.norm()) < 3e-3
