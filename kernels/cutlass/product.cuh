// What the products of this folder share: C = scale · A·Bᵀ with sums in fp32 and C in bf16, A [m, k], B [n, k] and C [m, n] in
// row-major order, by a CUTLASS kernel behind two C functions.
#pragma once

#include <cuda_runtime.h>

#include <cute/tensor.hpp>
#include <cutlass/bfloat16.h>
#include <cutlass/cutlass.h>
#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/float8.h>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/device/gemm_universal_adapter.h>
#include <cutlass/gemm/kernel/gemm_universal.hpp>

namespace product {

using Bf16 = cutlass::bfloat16_t;
using Fp8 = cutlass::float_e4m3_t;
using Rows = cutlass::layout::RowMajor;
using Columns = cutlass::layout::ColumnMajor;  // B [n, k] in row-major order, as CUTLASS sees its transpose
template <class Element>
constexpr int kAligned = 16 / sizeof(Element);
constexpr int kSwizzle = 8;  // blocks work on so many columns of tiles at a time, so that the L2 cache serves them
constexpr int kMostShared = 227 << 10;  // bytes of a block, on Hopper and on Blackwell

// A kernel of CUTLASS 3: `Architecture` and the two schedules say how operands come and results go. Without `Stages` the ring has as
// many as there is shared memory for.
template <class Architecture, class Tile, class Cluster, class Mainloop, class Epilogue, class Element = Bf16, int Stages = 0>
struct Kernel {
    using Epilog = typename cutlass::epilogue::collective::CollectiveBuilder<
        Architecture, cutlass::arch::OpClassTensorOp, Tile, Cluster, cutlass::epilogue::collective::EpilogueTileAuto, float,
        float, void, Rows, kAligned<Bf16>, Bf16, Rows, kAligned<Bf16>, Epilogue>::CollectiveOp;
    using Ring = cute::conditional_t<
        Stages == 0,
        cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(sizeof(typename Epilog::SharedStorage))>,
        cutlass::gemm::collective::StageCount<Stages>>;
    using Main = typename cutlass::gemm::collective::CollectiveBuilder<
        Architecture, cutlass::arch::OpClassTensorOp, Element, Rows, kAligned<Element>, Element, Columns, kAligned<Element>,
        float, Tile, Cluster, Ring, Mainloop>::CollectiveOp;
    using Universal = cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Main, Epilog>;
    using Device = cutlass::gemm::device::GemmUniversalAdapter<Universal>;
    static_assert(Universal::SharedStorageSize <= kMostShared, "so many stages do not fit beside the epilogue's tiles");

    static auto arguments(void const* a, void const* b, void* c, float scale, int m, int n, int k, int multiprocessors) {
        using namespace cute;
        typename Device::Arguments all{
            cutlass::gemm::GemmUniversalMode::kGemm,
            {m, n, k, 1},
            {static_cast<Element const*>(a), make_stride(static_cast<int64_t>(k), _1{}, int64_t{0}),
             static_cast<Element const*>(b), make_stride(static_cast<int64_t>(k), _1{}, int64_t{0})},
            {{scale, 0.0f},
             nullptr,
             make_stride(static_cast<int64_t>(n), _1{}, int64_t{0}),
             static_cast<Bf16*>(c),
             make_stride(static_cast<int64_t>(n), _1{}, int64_t{0})}};
        all.hw_info.sm_count = multiprocessors;
        all.scheduler.max_swizzle_size = kSwizzle;
        return all;
    }
};

// Null, or what CUTLASS says is wrong.
inline char const* said(cutlass::Status status) {
    return status == cutlass::Status::kSuccess ? nullptr : cutlassGetStatusString(status);
}

}  // namespace product

// `K` has a `Device` of CUTLASS and makes its arguments. Bytes of scratch memory that a product needs; then the product,
// enqueued on `stream`: null, or why not.
#define PRODUCT(K)                                                                                                          \
    extern "C" size_t product_workspace(int m, int n, int k, int multiprocessors) {                                         \
        return K::Device::get_workspace_size(K::arguments(nullptr, nullptr, nullptr, 1.0f, m, n, k, multiprocessors));      \
    }                                                                                                                       \
    extern "C" char const* product_run(void const* a, void const* b, void* c, float scale, int m, int n, int k,             \
                                       int multiprocessors, void* workspace, cudaStream_t stream) {                         \
        auto const all = K::arguments(a, b, c, scale, m, n, k, multiprocessors);                                            \
        if (auto const* wrong = product::said(K::Device::can_implement(all))) return wrong;                                 \
        return product::said(K::Device{}(all, workspace, stream));                                                          \
    }
