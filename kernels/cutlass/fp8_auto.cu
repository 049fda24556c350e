// fp8 as CUTLASS schedules it by itself: cooperative groups; sums leave the tensor cores every 128 values of k and are added up in
// fp32; threads store. Tile and cluster are given, as it has no choice of those.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm90, cute::Shape<cute::_128, cute::_128, cute::_128>,
                               cute::Shape<cute::_2, cute::_1, cute::_1>,
                               cutlass::gemm::collective::KernelScheduleAuto,
                               cutlass::epilogue::collective::EpilogueScheduleAuto, product::Fp8>;
PRODUCT(Kernel)
