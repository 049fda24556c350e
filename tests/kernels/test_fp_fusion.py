"""Every Triton kernel of ours is launched with its floating-point fusion named: Triton 3.10 changes the default."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest
from aisp_prof import kernels
from triton_offline import needs_triton

ROOT = Path(kernels.__file__).parent
MODULES = sorted(path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("*/*_triton.py"))
FLAG = "enable_fp_fusion"


def launches(source: str) -> list[ast.Call]:
    """`kernel[grid](…)`, `kernel.warmup(…)`, and calls that hand options on as `_prepared` does."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        call
        for call in calls
        if isinstance(call.func, ast.Subscript) or (isinstance(call.func, ast.Attribute) and call.func.attr == "warmup")
    ]


@needs_triton
@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_launch_names_it(module: Path) -> None:
    found = import_module(f"aisp_prof.kernels.{module.parent}.{module.name}")
    source = (ROOT / module).with_suffix(".py").read_text("utf-8")
    made = launches(source)
    assert made
    for call in made:
        names = [keyword.arg for keyword in call.keywords]
        handed_on = [keyword.value.id for keyword in call.keywords if isinstance(keyword.value, ast.Name)]
        tables = [getattr(found, name) for name in handed_on if isinstance(getattr(found, name, None), dict)]
        local = f'"{FLAG}": True' in source and "options" in handed_on
        assert FLAG in names or any(table.get(FLAG) is True for table in tables) or local, ast.unparse(call)


@needs_triton
def test_prepared_launches_name_it() -> None:
    """`kv_append` and `kv_attend` get their options through a table each."""
    from aisp_prof.kernels.attention import paged_kv_triton

    assert paged_kv_triton.OPTIONS[FLAG] is True
    assert paged_kv_triton.APPEND[FLAG] is True
