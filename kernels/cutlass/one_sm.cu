// For Blackwell: tcgen05 by one multiprocessor, sums in tensor memory; warps with roles for copies, products and the epilogue.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm100, cute::Shape<cute::_128, cute::_256, cute::_64>,
                               cute::Shape<cute::_1, cute::_1, cute::_1>, cutlass::gemm::KernelTmaWarpSpecialized1SmSm100,
                               cutlass::epilogue::TmaWarpSpecialized1Sm>;
PRODUCT(Kernel)
