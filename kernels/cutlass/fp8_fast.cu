// As fp8_auto.cu, but sums stay where the tensor cores keep them, in fewer bits than fp32 has.
#include "product.cuh"

using Kernel = product::Kernel<cutlass::arch::Sm90, cute::Shape<cute::_128, cute::_128, cute::_128>,
                               cute::Shape<cute::_2, cute::_1, cute::_1>,
                               cutlass::gemm::KernelTmaWarpSpecializedCooperativeFP8FastAccum,
                               cutlass::epilogue::NoSmemWarpSpecialized, product::Fp8>;
PRODUCT(Kernel)
