"""The table of FLOP counters: every name exists on its chip, and nothing is counted twice. No GPU."""

from __future__ import annotations

import ctypes
import json
import re
import warnings
from pathlib import Path

import pytest
from aisp_prof.profiler.counters.table import minimal_metrics, table

LISTED = json.loads((Path(__file__).parent / "metric-names.json").read_text())
CHIPS = table().chips.values()


def counter(metric):
    """`lts__t_bytes.sum` is a rollup of the counter `lts__t_bytes`."""
    return metric.partition(".")[0]


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_every_metric_is_one_of_the_chip(chip):
    names = LISTED["chips"][chip.name]
    assert [metric for metric in minimal_metrics(chip.compute_capability) if counter(metric) not in names] == []


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_no_counter_stands_twice_or_beside_its_parts(chip):
    used = [counter(metric) for weights in chip.flops.values() for metric in weights]
    assert len(used) == len(set(used))
    assert not [name for name in used if "_ops_" in name.replace("__ops_path_", "") or "sparsity" in name]
    assert not [(a, b) for a in used for b in used if a != b and b.startswith(f"{a}_")]


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_no_floating_point_tensor_counter_of_the_chip_is_left_out(chip):
    used = {counter(metric) for weights in chip.flops.values() for metric in weights}
    tensor = {name for name in LISTED["chips"][chip.name] if name.startswith("sm__ops_path_tensor_src_")}
    parts = {name for name in tensor if "sparsity" in name}
    integer = {name for name in tensor if re.search(r"src_int\d", name)}
    assert tensor - parts - integer == {name for name in used if name.startswith("sm__ops_path")}


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_weights_follow_from_the_instruction(chip):
    for weights in chip.flops.values():
        for metric, weight in weights.items():
            op = re.search(r"_op_([dfh])(add|mul|fma)(2?)_pred_on", metric)
            expected = (2 if op[2] == "fma" else 1) * (2 if op[1] == "h" or op[3] else 1) if op else 1
            assert weight == expected, metric


def test_an_unknown_chip_gets_everything_but_flops():
    assert minimal_metrics("7.5") == minimal_metrics("9.0")[: len(minimal_metrics("7.5"))]
    assert not [metric for metric in minimal_metrics("7.5") if "_op" in metric]


class _Chip(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("private", ctypes.c_void_p), ("chip", ctypes.c_char_p),
                ("availability", ctypes.c_void_p), ("scratch", ctypes.c_size_t))  # fmt: skip


class _Evaluator(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("private", ctypes.c_void_p), ("scratch", ctypes.c_void_p),
                ("scratch_size", ctypes.c_size_t), ("chip", ctypes.c_char_p), ("availability", ctypes.c_void_p),
                ("image", ctypes.c_void_p), ("image_size", ctypes.c_size_t), ("evaluator", ctypes.c_void_p))  # fmt: skip


class _Names(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("private", ctypes.c_void_p), ("evaluator", ctypes.c_void_p),
                ("kind", ctypes.c_uint8), ("names", ctypes.c_void_p),
                ("begins", ctypes.POINTER(ctypes.c_size_t)), ("count", ctypes.c_size_t))  # fmt: skip


def _call(function, arguments):
    arguments.size = ctypes.sizeof(arguments)
    assert function(ctypes.byref(arguments)) == 0, function.__name__
    return arguments


def counters_of(library, chip):
    """Names of a chip's counters, by NVPW_MetricsEvaluator_GetMetricNames; needs no GPU and no driver."""
    sized = _call(library.NVPW_CUDA_MetricsEvaluator_CalculateScratchBufferSize, _Chip(chip=chip.encode()))
    scratch = ctypes.create_string_buffer(sized.scratch)
    made = _Evaluator(scratch=ctypes.addressof(scratch), scratch_size=sized.scratch, chip=chip.encode())
    evaluator = _call(library.NVPW_CUDA_MetricsEvaluator_Initialize, made).evaluator
    found = _call(library.NVPW_MetricsEvaluator_GetMetricNames, _Names(evaluator=evaluator, kind=0))
    return {ctypes.string_at(found.names + found.begins[i]).decode() for i in range(found.count)}


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_the_names_are_still_what_the_installed_ncu_report_lists(chip):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SWIG's types have no __module__
        package = pytest.importorskip("ncu_report")
    path = Path(package.__file__).with_name("libnvperf_host.so")
    if not path.is_file():
        pytest.skip("this ncu_report has no libnvperf_host.so")
    library = ctypes.CDLL(str(path))
    _call(library.NVPW_InitializeHost, _Chip())
    listed = counters_of(library, chip.name)
    assert set(LISTED["chips"][chip.name]) <= listed
