// As on Ampere: every warp copies (cp.async, a ring of stages) and multiplies (mma.sync). CUTLASS 2's kernel.
#include "product.cuh"

#include <cutlass/epilogue/thread/linear_combination.h>
#include <cutlass/gemm/device/gemm_universal.h>

struct Multistage {
    using Device = cutlass::gemm::device::GemmUniversal<
        product::Bf16, product::Rows, product::Bf16, product::Columns, product::Bf16, product::Rows, float,
        cutlass::arch::OpClassTensorOp, cutlass::arch::Sm80, cutlass::gemm::GemmShape<256, 128, 32>,
        cutlass::gemm::GemmShape<64, 64, 32>, cutlass::gemm::GemmShape<16, 8, 16>,
        cutlass::epilogue::thread::LinearCombination<product::Bf16, product::kAligned<product::Bf16>, float, float,
                                                     cutlass::epilogue::thread::ScaleType::Nothing>,
        cutlass::gemm::threadblock::GemmIdentityThreadblockSwizzle<product::kSwizzle>, 4>;

    static auto arguments(void const* a, void const* b, void* c, float scale, int m, int n, int k, int) {
        return typename Device::Arguments{
            cutlass::gemm::GemmUniversalMode::kGemm, {m, n, k}, 1, {scale, 0.0f}, a, b, c, c, 0, 0, 0, 0, k, k, n, n};
    }
};

PRODUCT(Multistage)
