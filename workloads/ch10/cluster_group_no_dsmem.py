"""The same rows by teams of blocks that share maxima and sums through the L2 cache: without a cluster, and without DSMEM in one."""

from __future__ import annotations

from ...declaration import Declaration
from ..pair import Declared, Pair, Sizes
from .softmax_rows import FULL, SMALL, TOLERANCE, softmax
from .softmax_rows import declared as of_reads


def declared(sizes: Sizes, variant: str) -> Declared:
    return of_reads(sizes, 2 if variant == "baseline" else 1)


PAIR = Pair(
    Declaration(
        chapter="ch10",
        name="cluster_group_no_dsmem",
        topic={
            "en": "Teams of blocks without distributed shared memory",
            "ko": "분산 공유 메모리 없이 협력하는 블록들",
        },
        title={
            "en": "Softmax by teams of blocks that meet in the L2 cache",
            "ko": "L2 캐시에서 만나는 블록들의 소프트맥스",
        },
        sentence={
            "en": "A team that holds each row and shares its parts through the L2 cache finishes the same rows {speedup} than reading "
            "them twice.",
            "ko": "행을 담아 두고 L2 캐시로 부분 결과를 나누는 블록들은 같은 행들을 두 번 읽을 때보다 {speedup} 끝냅니다.",
        },
        compares={
            "en": "The same 2048 rows of 262,144 fp32 elements as in cluster_group, and the same baseline. In all other variants eight blocks "
            "hold a row and read it once; they differ in how the blocks tell each other their maximum and sum. In the first step they "
            "write them into each other's shared memory (DSMEM). In the second they are no cluster at all: a cooperative launch promises "
            "that all run at once, parts lie in device memory, and a counter there tells that all have arrived; any GPU with cp.async "
            "can do this. The optimized variant is a cluster again, whose parts lie in device memory and whose barrier is the cluster's: "
            "no instruction on another block's shared memory.",
            "ko": "cluster_group과 같은 fp32 원소 262,144개짜리 행 2048개이며 기준 변형도 같습니다. 나머지 변형에서는 모두 블록 여덟 개가 행을 담아 한 "
            "번만 읽으며, 최댓값과 합을 서로 알리는 방법이 다릅니다. 첫 단계는 서로의 공유 메모리에 씁니다(DSMEM). 둘째 단계는 클러스터가 아닙니다. 협력 "
            "실행이 모든 블록의 동시 실행을 보장하고, 부분 결과는 장치 메모리에 두며, 그곳의 계수기가 모두 도착했음을 알립니다. cp.async가 있는 GPU라면 "
            "모두 할 수 있습니다. 최적화 변형은 다시 클러스터로, 부분 결과는 장치 메모리에 두고 클러스터의 배리어를 씁니다. 다른 블록의 공유 메모리에 대한 "
            "명령은 없습니다.",
        },
        variants={
            "baseline": {
                "en": "A block a row, each row read twice (online softmax)",
                "ko": "행마다 블록 하나, 두 번 읽기 (온라인 소프트맥스)",
            },
            "dsmem": {"en": "A cluster of eight, through DSMEM", "ko": "블록 여덟 개의 클러스터, DSMEM"},
            "cooperative": {"en": "No cluster: a cooperative grid, through L2", "ko": "클러스터 없이 협력 그리드, L2"},
            "optimized": {
                "en": "A cluster of eight, through L2 and its barrier",
                "ko": "블록 여덟 개의 클러스터, L2와 클러스터 배리어",
            },
        },
        claims=(
            # by traffic 1.5
            "speedup >= 1.3",
            # what DSMEM itself is worth here: within a tenth
            "speedup(dsmem, optimized) >= 0.9",
            "speedup(dsmem, optimized) <= 1.1",
            "speedup(dsmem, cooperative) >= 0.85",
            "dsmem.dsmem_operations == 16384",
            "cooperative.dsmem_operations == 0",
            "optimized.dsmem_operations == 0",
            "baseline.dram_bytes >= 5.8 GB",
            "dsmem.dram_bytes <= 4.38 GB",
            "cooperative.dram_bytes <= 4.38 GB",
            "optimized.dram_bytes <= 4.38 GB",
            "optimized.kernels_per_iteration == 1",
        ),
        sizes={"default": FULL, "h200": FULL, "small": SMALL},
        tolerance=TOLERANCE,
        bitwise=False,  # the order of the sums is each variant's own
        perturbation_band=0.05,
        queued=True,  # the subject is traffic, not launches
        needs=("cuda", "cc>=9.0"),
    ),
    build=softmax(
        {"baseline": "online", "dsmem": "cluster", "cooperative": "cooperative", "optimized": "cluster_memory"}
    ),
    declared=declared,
)


if __name__ == "__main__":
    from ..bare import main

    raise SystemExit(main(PAIR))
