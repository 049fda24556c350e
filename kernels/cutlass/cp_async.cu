// wgmma out of shared memory, which a producer group's threads fill by cp.async: roles for warps, but no copy engine.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm90, cute::Shape<cute::_128, cute::_256, cute::_64>,
                               cute::Shape<cute::_1, cute::_1, cute::_1>,
                               cutlass::gemm::KernelCpAsyncWarpSpecializedCooperative,
                               cutlass::epilogue::NoSmemWarpSpecialized>;
PRODUCT(Kernel)
