// Two consumer groups with a tile each, a ring of six stages, stores by the copy engine: while one stores, the other multiplies.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm90, cute::Shape<cute::_128, cute::_128, cute::_128>,
                               cute::Shape<cute::_2, cute::_1, cute::_1>,
                               cutlass::gemm::KernelTmaWarpSpecializedPingpongFP8FastAccum,
                               cutlass::epilogue::TmaWarpSpecialized, product::Fp8, 6>;
PRODUCT(Kernel)
