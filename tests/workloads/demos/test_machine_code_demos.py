"""The demos that read machine code: roles by control flow, and what one guarded source becomes for two targets. No GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.building.contract import find_tools
from aisp_prof.kernels.building.nvcc import find_nvcc
from aisp_prof.kernels.gemm import tcgen05
from aisp_prof.kernels.nvfp4 import blackwell
from aisp_prof.workloads.demos import nvfp4_blackwell, tcgen05_pipelined
from aisp_prof.workloads.demos.registry import find
from aisp_prof.workloads.demos.warpgroup_specialization import RUNGS, roles
from aisp_prof.workloads.device import CpuDevice
from shared import fresh_cubins

builds = pytest.mark.skipif(
    find_nvcc() is None or find_tools() is None, reason="nvcc, cuobjdump and nvdisasm are not all there"
)


@pytest.fixture(autouse=True, scope="module")
def _fresh_cache() -> Iterator[None]:
    with fresh_cubins():
        yield


SASS = """
        /*0000*/                   ISETP.NE.AND P0, PT, R0, RZ, PT ;
        /*0010*/              @P0  BRA 0x70 ;
        /*0020*/                   USETMAXREG.DEALLOC.CTAPOOL 0x28 ;
        /*0030*/                   UTMALDG.2D [UR8], [UR4] ;
        /*0040*/              @P1  BRA 0x30 ;
        /*0050*/                   BRA 0xb0 ;
        /*0060*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4], RZ ;
        /*0070*/                   USETMAXREG.TRY_ALLOC.CTAPOOL UP0, 0xe8 ;
        /*0080*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*0090*/                   SYNCS.ARRIVE.TRANS64.A1T0 RZ, [UR4], RZ ;
        /*00a0*/              @P2  BRA 0x80 ;
        /*00b0*/                   STG.E desc[UR4][R2.64], R4 ;
        /*00c0*/                   EXIT ;
        /*00d0*/                   UTMALDG.2D [UR8], [UR4] ;
"""


def test_a_role_is_what_can_be_reached_from_its_setmaxnreg_alone() -> None:
    producer, consumer = roles(SASS)
    assert (producer.name, producer.registers) == ("producer", 40)
    assert (consumer.name, consumer.registers) == ("consumer", 232)
    assert {name: n for name, n in producer.counts.items() if n} == {"UTMALDG": 1}
    # neither what nothing reaches, nor the store that both reach
    assert {name: n for name, n in consumer.counts.items() if n} == {"HGMMA": 1, "arrivals": 1}


def test_a_kernel_without_setmaxnreg_has_no_roles() -> None:
    assert roles(SASS.replace("USETMAXREG", "NOP")) == []


@builds
@pytest.mark.parametrize("rung", RUNGS)
def test_only_producers_copy_and_only_consumers_multiply(rung: str) -> None:
    lines = find("ch10-warpgroup-specialization").run(["--rung", rung])
    names = lines[1].split()
    rows = {line.split()[0]: dict(zip(names[1:], map(int, line.split()[1:]), strict=True)) for line in lines[2:]}
    assert set(rows) == {"producer", "consumer"}
    assert (rows["producer"]["registers"], rows["consumer"]["registers"]) == (40, 232)
    assert (rows["producer"]["HGMMA"], rows["consumer"]["UTMALDG"]) == (0, 0)
    assert (rows["producer"]["UTMALDG"], rows["consumer"]["HGMMA"]) == (2, 4)
    assert rows["producer"]["STG"] == 0 < rows["consumer"]["STG"]


@builds
def test_one_source_is_tcgen05_for_blackwell_and_a_trap_for_hopper() -> None:
    lines = find("ch09-inline-ptx-example").run([])
    hopper, blackwell = (
        " ".join(line for line in lines if line.startswith(target)) for target in ("sm_90a", "sm_100a")
    )
    assert "BPT.TRAP" in hopper
    assert "UTC" not in hopper
    assert "4 x UTCHMMA.2CTA" in blackwell


def test_the_blackwell_demo_ends_at_once_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(tcgen05, "matmul", lambda *anything: pytest.fail("it ran"))
    with pytest.raises(EnvironmentLacks, match=r"unsupported: needs compute capability 10\.x"):
        tcgen05_pipelined.measure(CpuDevice(), None)  # type: ignore[arg-type]


def test_the_demo_of_nvfp4_ends_at_once_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(blackwell, "matmul", lambda *anything: pytest.fail("it ran"))
    with pytest.raises(EnvironmentLacks, match=r"unsupported: needs compute capability 10\.x"):
        nvfp4_blackwell.measure(CpuDevice(), None)  # type: ignore[arg-type]
