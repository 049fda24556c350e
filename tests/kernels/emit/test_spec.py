"""The spec language: what it means, and that what it does not allow is said with the field's name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from aisp_prof.errors import UsageError
from aisp_prof.kernels.emit.cuda import describe, signature
from aisp_prof.kernels.emit.lowering import literal
from aisp_prof.kernels.emit.ops import OPS
from aisp_prof.kernels.emit.reference import evaluate, reference
from aisp_prof.kernels.emit.spec import SHIPPED, TOLERANCES, Input, Step, parse_spec, read_spec
from aisp_prof.kernels.norm.l2norm import reference as l2norm_reference

GOOD = """
version = 1
name = "norm"
dtype = "bf16"
shape = [8, 64]

[inputs]
x = "tensor"
gain = "column"

[[steps]]
op = "l2norm"

[[steps]]
op = "mul"
input = "gain"
"""


def test_a_spec_is_read() -> None:
    spec = parse_spec(GOOD, "good")
    assert (spec.name, spec.dtype, spec.output, spec.shape) == ("norm", "bf16", "bf16", (8, 64))
    assert spec.inputs == (Input("x", "tensor"), Input("gain", "column"))
    assert spec.steps == (Step("l2norm", (("eps", 1e-6),), None), Step("mul", (), "gain"))
    assert (spec.tolerance, spec.aligned, spec.edges, spec.flat, spec.reduces) == (
        TOLERANCES["bf16"],
        False,
        (),
        False,
        False,
    )
    assert spec.arguments == ("x", "gain", "out", "rows", "columns")


def test_the_digest_is_of_the_meaning() -> None:
    same = GOOD.replace('op = "l2norm"', 'eps = 1e-6 # the default\nop = "l2norm"')
    assert parse_spec(same, "a").digest == parse_spec(GOOD, "b").digest
    assert parse_spec(GOOD.replace("[8, 64]", "[8, 65]"), "a").digest != parse_spec(GOOD, "b").digest


WRONG = {
    "version": ("version = 1", "version = 2", "version is 2"),
    "no-version": ("version = 1", "", "version is None"),
    "toml": ("[8, 64]", "[8, 64", "is not TOML"),
    "unknown-field": ("shape", "shap", "the spec has no field 'shap'"),
    "dtype": ("bf16", "fp8", "dtype is 'fp8'"),
    "name": ('"norm"', '"Norm; rm"', "name is 'Norm; rm'"),
    "shape-zero": ("[8, 64]", "[8, 0]", r"shape is \[8, 0\]"),
    "shape-three": ("[8, 64]", "[8, 64, 2]", "shape is"),
    "shape-float": ("[8, 64]", "[8.0, 64]", "shape is"),
    "op": ('"l2norm"', '"l3norm"', r"steps\[1\].op is 'l3norm'"),
    "operand": ('input = "gain"', 'input = "gian"', r"steps\[2\].input is 'gian'"),
    "no-operand": ('input = "gain"', "", r"steps\[2\].input is missing"),
    "parameter": ('op = "l2norm"', 'op = "l2norm"\nepsilon = 1', r"steps\[1\] has no field 'epsilon'"),
    "eps": ('op = "l2norm"', 'op = "l2norm"\neps = 0', r"steps\[1\].eps is 0"),
    "not-finite": ('op = "l2norm"', 'op = "l2norm"\neps = nan', r"steps\[1\].eps is nan"),
    "missing-parameter": ('op = "l2norm"', 'op = "scale"', r"steps\[1\].by is missing"),
    "layout": ('"column"', '"columns"', "inputs.gain is 'columns'"),
    "first-input": ('x = "tensor"', 'x = "row"', "inputs.x comes first and is no tensor"),
    "reserved": ("x =", "out =", "inputs.out is 'out'"),
    "unused": ('op = "mul"\ninput = "gain"', 'op = "relu"', "inputs gain is used by no step"),
    "after-reduction": ('"l2norm"', '"sum"', r"steps\[2\] mul follows a reduction"),
    "tolerance": ("version = 1", "version = 1\ntolerance = 2", "tolerance is 2"),
    "aligned": ("version = 1", "version = 1\naligned = 1", "aligned is 1"),
    "edges": ("version = 1", "version = 1\nedges = [[1, -1]]", r"edges is \[1, -1\]"),
    "clamp": ('op = "l2norm"', 'op = "clamp"\nmin = 1\nmax = 0', r"steps\[1\] has min above max"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named(kind: str) -> None:
    old, new, message = WRONG[kind]
    assert old in GOOD
    with pytest.raises(UsageError, match=f"^bad.toml: {message}|^bad.toml is") as caught:
        parse_spec(GOOD.replace(old, new, 1), "bad.toml")
    assert kind == "toml" or caught.value.mend


def test_too_many_steps() -> None:
    with pytest.raises(UsageError, match="steps has 35 entries"):
        parse_spec(GOOD + '[[steps]]\nop = "relu"\n' * 33, "long")


def test_specs_ship_and_are_found_by_name(tmp_path: Path) -> None:
    assert read_spec("l2norm") == read_spec(SHIPPED / "l2norm.toml")
    for path in SHIPPED.glob("*.toml"):
        assert read_spec(path).name == tomllib.loads(path.read_text())["name"] == path.stem
    with pytest.raises(UsageError, match="no readable spec nothing") as caught:
        read_spec("nothing")
    assert "l2norm" in caught.value.mend
    with pytest.raises(UsageError):
        read_spec(tmp_path)


def test_l2norm_is_the_work_of_the_pair_fused_l2norm() -> None:
    spec = read_spec("l2norm")
    x, gain = torch.randn(16, 4096).bfloat16(), torch.randn(4096).bfloat16()
    torch.testing.assert_close(reference(spec, (x, gain)), l2norm_reference(x, gain), rtol=1e-12, atol=0)


def test_the_reference_does_not_depend_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = parse_spec(GOOD, "good")
    inputs = (torch.randn(9, 64).bfloat16(), torch.randn(64).bfloat16())
    whole = evaluate(spec, [one.double() for one in inputs])
    monkeypatch.setattr("aisp_prof.kernels.emit.reference._CHUNK_ELEMENTS", 130)
    assert torch.equal(reference(spec, inputs), whole)
    flat = parse_spec(GOOD[: GOOD.index("[inputs]")] + '[[steps]]\nop = "silu"', "flat")
    assert torch.equal(reference(flat, inputs[:1]), evaluate(flat, [inputs[0].double()]))


TORCH = {
    "gelu": lambda v: torch.nn.functional.gelu(v),
    "gelu_tanh": lambda v: torch.nn.functional.gelu(v, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "leaky_relu": lambda v: torch.nn.functional.leaky_relu(v, 0.01),
    "layernorm": lambda v: torch.nn.functional.layer_norm(v, v.shape[-1:], eps=1e-6),
    "rmsnorm": lambda v: torch.nn.functional.rms_norm(v, v.shape[-1:], eps=1e-6),
    "l2norm": lambda v: torch.nn.functional.normalize(v, dim=-1, eps=1e-6),
    "norm": lambda v: torch.linalg.vector_norm(v, dim=-1, keepdim=True),
}


@pytest.mark.parametrize("op", TORCH)
def test_references_agree_with_pytorchs_own(op: str) -> None:
    v = torch.randn(7, 33, dtype=torch.float64) * 3
    defaults = {name: value for name, value in OPS[op].parameters.items() if value is not None}
    torch.testing.assert_close(OPS[op].reference(v, v, defaults), TORCH[op](v), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1f"), (1.0, "1.0f"), (1e-6, "1e-06f"), (-2.0, "(-2.0f)"), (1e20, "1e+20f")]
)
def test_literals(value: float, text: str) -> None:
    assert literal(value) == text


def test_what_people_and_models_are_shown() -> None:
    spec = parse_spec(GOOD, "good")
    assert describe(spec)[1:] == ["l2norm eps=1e-06", "mul gain"]
    assert signature(spec).startswith("const __nv_bfloat16* __restrict__ in_x, ")
    assert signature(spec).endswith("__nv_bfloat16* __restrict__ out, int64_t rows, int64_t columns")
