// For Blackwell: tcgen05 by two multiprocessors together, each of which holds a half of B.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm100, cute::Shape<cute::_256, cute::_256, cute::_64>,
                               cute::Shape<cute::_2, cute::_1, cute::_1>, cutlass::gemm::KernelTmaWarpSpecialized2SmSm100,
                               cutlass::epilogue::TmaWarpSpecialized2Sm>;
PRODUCT(Kernel)
