// As cooperative.cu, but every block reads for itself.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm90, cute::Shape<cute::_128, cute::_256, cute::_64>,
                               cute::Shape<cute::_1, cute::_1, cute::_1>,
                               cutlass::gemm::KernelTmaWarpSpecializedCooperative,
                               cutlass::epilogue::TmaWarpSpecializedCooperative>;
PRODUCT(Kernel)
