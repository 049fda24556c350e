// Two consumer groups that share a tile of twice the columns, which sums held twice would leave no registers for; four stages.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm90, cute::Shape<cute::_128, cute::_256, cute::_128>,
                               cute::Shape<cute::_2, cute::_1, cute::_1>,
                               cutlass::gemm::KernelTmaWarpSpecializedCooperativeFP8FastAccum,
                               cutlass::epilogue::TmaWarpSpecializedCooperative, product::Fp8, 4>;
PRODUCT(Kernel)
