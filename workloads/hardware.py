"""Which hardware this is, the key of its sizes and expectations, and whether it has what a pair needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from ..declaration import Declaration
from ..errors import EnvironmentLacks, UsageError
from .device import Device
from .pair import Memory, Sizes

MEMORY_SHARE = 0.9
"""Of a GPU's memory: the rest is for its context, for libraries' workspaces, and for what an allocator cannot use."""

# For names whose own words make no good key, and products with several names.
_KEYS = {
    "h100_80gb_hbm3": "h100_sxm",
    "gh200_480gb": "gh200",
    "b300_sxm6_ac": "b300",
    "a100_sxm4_40gb": "a100_sxm_40gb",
    "a100_sxm4_80gb": "a100_sxm_80gb",
    "a100_80gb_pcie": "a100_pcie_80gb",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU of a run, as its driver names it; `uuid` in the form of nvidia-smi, `GPU-…`."""

    name: str
    uuid: str
    compute_capability: str
    sm_count: int
    memory_bytes: int
    l2_bytes: int


def hardware_key(gpu_name: str) -> str:
    """The key of a GPU by its exact driver name: `NVIDIA H200` -> `h200`, `NVIDIA H100 PCIe` -> `h100_pcie`.

    Names without an entry of their own become a slug: `NVIDIA GeForce RTX 4090` -> `rtx_4090`.
    """
    words = re.sub(r"[^a-z0-9]+", "_", gpu_name.lower()).strip("_")
    slug = re.sub(r"^(nvidia_)?(geforce_|tesla_|quadro_)?", "", words)
    return _KEYS.get(slug, slug) or "unknown"


def present_gpu(device: Device) -> Gpu | None:
    """The GPU behind `device`; None for a CPU."""
    if device.kind == "cpu":
        return None
    import torch

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return Gpu(
        name=str(properties.name),
        uuid=f"GPU-{properties.uuid}",
        compute_capability=f"{properties.major}.{properties.minor}",
        sm_count=int(properties.multi_processor_count),
        memory_bytes=int(properties.total_memory),
        l2_bytes=int(properties.L2_cache_size),
    )


def versions() -> dict[str, str | None]:
    """Versions of what a result depends on; None for a part that is absent."""
    import platform

    import torch

    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "triton": _version("triton"),
        "nvtx": _version("nvtx"),
    }


def check_needs(declaration: Declaration, gpu: Gpu | None) -> None:
    """Refuse a GPU that lacks what the pair needs. On a CPU nothing is checked: only the code's logic is exercised there.

    Raises:
        EnvironmentLacks: a capability is missing; the message names it. Such a pair gets no times.
        UsageError: the declaration states a need that is not known.
    """
    if gpu is None:
        return
    for need in declaration.needs:
        mend = _missing(need, gpu)
        if mend is not None:
            raise EnvironmentLacks(f"unsupported: {declaration.key} needs {need}, and this machine lacks it", mend)


def choose_size(
    declaration: Declaration, gpu: Gpu | None, asked: str | None, memory: Memory | None = None
) -> tuple[str, Sizes]:
    """The key and the sizes to run: as asked, else `small` on a CPU, else the GPU's own, else `default`; `fitting` it where not asked.

    `asked` is a key, or numbers such as "4096x4096x8192", one for each name of the pair's sizes in their order.

    Raises:
        UsageError: the pair has no such size, or takes another number of them.
        EnvironmentLacks: as `fitting`.
    """
    if asked and re.fullmatch(r"\d+(x\d+)*", asked):
        return asked, _by_position(declaration, [int(number) for number in asked.split("x")])
    wanted = asked or ("small" if gpu is None else hardware_key(gpu.name))
    key = wanted if wanted in declaration.sizes or asked else "default"
    if key not in declaration.sizes:
        raise UsageError(f"{declaration.key} has no size {key!r}", f"--size one of: {', '.join(declaration.sizes)}")
    sizes = declaration.sizes[key]
    if asked or gpu is None or memory is None:
        return key, sizes
    return fitting(declaration.key, key, sizes, memory, gpu.memory_bytes)


def fitting(pair: str, key: str, sizes: Sizes, memory: Memory, total: int) -> tuple[str, Sizes]:
    """The first of these sizes, whole, halved, halved again, …, that fits into `MEMORY_SHARE` of a GPU with `total` bytes.

    The key of a halved size is its numbers, as `asked` of `choose_size`.

    Raises:
        EnvironmentLacks: none does.
    """
    steps = [{**sizes, memory.halved: sizes[memory.halved] >> times} for times in range(memory.halvings + 1)]
    for step in steps:
        if memory.bytes(step) <= MEMORY_SHARE * total:
            return ("x".join(map(str, step.values())), step) if step != sizes else (key, sizes)
    needs = memory.bytes(steps[-1]) / 2**30
    raise EnvironmentLacks(
        f"{pair} takes {needs:.3g} GiB of device memory at {memory.halved} {steps[-1][memory.halved]}, and this GPU has "
        f"{total / 2**30:.3g}",
        "run on a GPU with more memory, or add --size small, at which its claims need not hold",
    )


def shrunk(declaration: Declaration, key: str, memory: Memory | None, total: int) -> str:
    """What to say of a size that `fitting` halved; "" where it did not."""
    usual = declaration.sizes["default"]
    if memory is None or key in declaration.sizes:
        return ""
    found = _by_position(declaration, [int(number) for number in key.split("x")])
    name, needs = memory.halved, memory.bytes(usual) / 2**30
    return (
        f"{name} {found[name]} instead of {usual[name]}, which take {needs:.3g} GiB of this GPU's {total / 2**30:.3g}"
    )


def _by_position(declaration: Declaration, numbers: list[int]) -> Sizes:
    names = list(declaration.sizes["default"])
    if len(numbers) != len(names) or not all(numbers):
        raise UsageError(
            f"{declaration.key} takes {len(names)} sizes above 0, not {numbers}", f"--sizes {' '.join(names).upper()}"
        )
    return dict(zip(names, numbers, strict=True))


def _missing(need: str, gpu: Gpu) -> str | None:
    """How to get what is missing; None where nothing is."""
    capability, gpus = re.fullmatch(r"cc(>=|<)(\d+)\.(\d+)", need), re.fullmatch(r"gpus>=(\d+)", need)
    if need == "cuda":
        return None  # a GPU is there
    if need == "triton":
        return None if find_spec("triton") else "pip install 'aisp-prof[gpu]'"
    if gpus is not None:
        visible = _visible_gpus()
        return None if visible >= int(gpus[1]) else f"run on a machine with {gpus[1]} GPUs; {visible} is visible here"
    if capability is None:
        raise UsageError(f"unknown need {need!r}", "cuda, triton, gpus>=NUMBER, cc>=MAJOR.MINOR or cc<MAJOR.MINOR")
    major, minor = gpu.compute_capability.split(".")
    reaches = (int(major), int(minor)) >= (int(capability[2]), int(capability[3]))
    if reaches == (capability[1] == ">="):
        return None
    return f"{gpu.name} has compute capability {gpu.compute_capability}; run on a GPU that has it"


def _visible_gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
