"""Which kernels move data between GPUs: a list that a caller may extend; and which names sound as if they did.

The names are those of the libraries' own sources, in the versions named;
`tests/profiler/trace/communication-names.json` lists them with their repositories. They were last compared on
2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Library:
    """Regular expressions for a library's kernel names, by version; searched in a kernel's short and full name."""

    name: str
    versions: str
    patterns: tuple[str, ...]


LIBRARIES = (
    Library("NCCL, RCCL", "NCCL 2.0 to 2.30, RCCL of ROCm 6.2", (r"^nccl(Kernel|DevKernel|DevFunc|Sym|\w+Kernel_)",)),
    Library("NCCL", "1.3", (r"^(void )?(AllReduce|AllGather|ReduceScatter)Kernel",)),
    Library(
        "NCCL EP",
        "NCCL 2.30",
        (r"\bnccl_ep::", r"^nccl_ep_jit_ht_(dispatch|combine)", r"\bhybrid_ep::(dispatch|combine|device_sync)_kernel"),
    ),
    Library("MSCCL", "of RCCL, ROCm 6.2", (r"^mscclKernel_",)),
    Library("MSCCL++", "0.10", (r"\bmscclpp::", r"\ballreduce_(\dshotLL|LL)_\dnode")),
    Library(
        "NVSHMEM",
        "2 to 3.4",
        (
            r"^(void )?nvshmem",
            r"\b(alltoall|barrier|broadcast|fcollect|rdxn|reducescatter|sync)_on_stream_kernel",
        ),
    ),
    Library(
        "PyTorch's symmetric memory",
        "2.5 to 2.10",
        (
            r"(one|two)_shot_all_?reduce",
            r"multimem_(all_reduce|all_gather|one_shot|two_shot|reduce_scatter|broadcast)",
            r"\bc10d::(symmetric_memory|intra_node_comm|nccl_extension|nvshmem_extension)::",
            r"\b(lsa_(put|get)(_signal)?|nccl_wait_for_signal)_kernel",
            r"\b(allToAllV|exchangeSplitAndOffset)",
        ),
    ),
    Library(
        "vLLM",
        "0.2 to 0.20",
        (r"cross_device_(reduce|all_gather)", r"mnnvl_lamport_(all_gather|reduce_scatter)", r"allreduce_prototype_"),
    ),
    Library(
        "TensorRT-LLM, FlashInfer",
        "TensorRT-LLM 0.9 to 1.2, FlashInfer 0.2 to 0.6.17",
        (
            r"([Oo]ne|[Tt]wo)[Ss]hotAll[Rr]educe",
            r"allreduce_fusion_kernel",
            r"\brmsNormLamport",
            r"\blowPrecisionTwoShot|minimax_reduce_rms_kernel_lamport",
            r"\bmoeA2A(Dispatch|Combine)Kernel|\b(moe|helix)AllToAllKernel|\ballToAllMetadataDevice",
            r"\bmixed_comm::|\b_fp8_blockscale_2shot_kernel",
        ),
    ),
    Library("SGLang", "0.4 to 0.5", (r"all_reduce_(one|two)_shot(_\w+)?_kernel",)),
    Library("TransformerEngine, TensorRT-LLM: userbuffers", "TransformerEngine 0.6 to 2.18", (r"\bk?userbuffers_",)),
    Library("DeepEP", "1.0 to 2", (r"^(void )?deep_ep::",)),
    Library("pplx-kernels", "2025", (r"\bpplx::",)),
    Library(
        "Flux",
        "1.0 to 1.1",
        (r"\bflux::(\w*all2all|ag_a2a_mode|CudaIpcBarrierAll|\w*gather_rs|packed_ring_reduction|transport_kernel)",),
    ),
    Library(
        "AITER",
        "0.1.20",
        (
            r"\baiter::(allgather_|reduce_scatter_|(ar|ag|rs)_(ll_)?gfx)|\ballreduce_mhc_post",
            r"^_(all_gather|reduce_scatter)_kernel",
        ),
    ),
)

PATTERNS = tuple(pattern for library in LIBRARIES for pattern in library.patterns)

_WORDS = (
    *("nccl", "msccl", "nvshmem", "allreduce", "AllReduce", "AllGather", "ReduceScatter", "hybrid_ep::", "multimem_"),
    *(
        "_on_stream_kernel",
        "_shot_all",
        "hotAll",
        "c10d::",
        "lsa_",
        "allToAll",
        "AllToAll",
        "exchangeSplit",
        "cross_device_",
    ),
    *("mnnvl_", "amport", "TwoShot", "moeA2A", "mixed_comm::", "_2shot_", "all_reduce_", "userbuffers_", "deep_ep::"),
    *("pplx::", "flux::", "aiter::", "_all_gather", "_reduce_scatter"),
)
"""Whatever matches one of `PATTERNS` contains one of these: looking for them costs a hundredth of trying thirty
patterns at every character."""

_WRITTEN_BY_INDUCTOR = re.compile(r"triton_\w*fused_")
"""PyTorch's compiler names a kernel after the operators that it was made of: `triton_poi_fused_add_all_reduce_4` adds."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_FUNCTION = re.compile(r"[^<(]*")
_ANONYMOUS = "(anonymous namespace)::"
_COLLECTIVE = re.compile(r"_(all_?reduce|all_?gather|reduce_?scatter|all_?(to|2)_?all|send_?recv)v?_")
_A2A = re.compile(r"(?<![^\W_])a2a(?![^\W_])", re.IGNORECASE)  # as a separate word: a hash may contain these letters
_PART = re.compile(r"_(reduce|gather|scatter|dispatch|combine|broadcast|exchange|barrier|put|push|pull|send|recv)_")
_BETWEEN = re.compile(
    r"_(ranks?|peers?|inter_?node|intra_?node|nvlink|nvls|mnnvl|multimem|ipc|p_2_p|rdma|ibgda|remote|cross_device|multi_gpu"
    r"|symm|symmetric|nvshmem|lamport|comm)_"
)
_EXPERTS = re.compile(r"_((ep|moe|expert|token)s?_)+(dispatch|combine)_|^(_void)?_dispatch_(kernel|impl)?_?$")


@dataclass(frozen=True, slots=True)
class Known:
    """The patterns by which communication kernels are recognised: those listed here, and a caller's own."""

    own: re.Pattern[str] | None = None

    def part(self, name: str) -> str:
        """The part of a kernel's short or full name that marks a communication kernel; "" for any other name."""
        if _WRITTEN_BY_INDUCTOR.match(name):
            return ""
        match = _LISTED.search(name) if any(word in name for word in _WORDS) else None
        match = match or (self.own.search(name) if self.own else None)
        return match[0] if match else ""


def _one(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_LISTED = _one(PATTERNS)


def matcher(extra: Iterable[str] = ()) -> Known:
    """Recognises communication kernels by all of `PATTERNS` and by `extra`."""
    extra = tuple(extra)
    return Known(_one(extra) if extra else None)


def sounds_like_communication(name: str) -> bool:
    """Whether a kernel that no pattern matches has a name like one: a collective's, or that of a step between ranks.

    `reduce_kernel`, `vectorized_gather_kernel` and `splitKreduce_kernel` are named after what every GPU does alone.
    """
    if _WRITTEN_BY_INDUCTOR.match(name):
        return False
    function = _FUNCTION.match(name.replace(_ANONYMOUS, ""))
    bare = function[0] if function else ""
    words = f"_{'_'.join(_WORD.findall(bare)).lower()}_"
    between = _PART.search(words) and _BETWEEN.search(words)
    return bool(_COLLECTIVE.search(words) or _A2A.search(bare) or between or _EXPERTS.search(words))
