// linear: y = x W^T (+ residual) and both gradients. x [rows, inner], W [outer, inner],
// y [rows, outer]; d_x (+)= d_out W; d_W += d_out^T x with d_W in f32.
//
// Launch: blockIdx.x counts the tiles of the result, columns fastest, so that blocks side by side
// read the same rows of the first operand. Of bf16 there are, for each of the three products,
//   (plain)  128 x 128 tiles, 8 warps of 64 x 32, 48 KiB of shared memory
//   _small   64 x 64 tiles, 4 warps of 32 x 32, 24 KiB: for results of few tiles
//   _ragged  as small, copying number by number, for rows that do not start on 16 bytes
// see product_bf16.cuh; f32 takes one path, product_f32.cuh. forward and backward_input may compute many
// products of one shape: blockIdx.y counts them; x, y and their gradients lie one after the other, W
// `weight_stride` numbers apart. There is no residual then. backward_weight sums over rows, of
// which there are many, into a matrix of few tiles: blockIdx.z cuts the rows, every cut writes its
// sum to `partials` [cuts, outer, inner], and backward_weight_combine adds them in ascending order.
// forward_vector serves up to 8 rows (decoding): one warp per output feature, four warps a block.
//
// Bytes, with b bytes a number, that must move: b (m k + n k + m n), once for each result m x n and
// inner extent k. Asked for: A once per column of tiles and B once per row of tiles,
// b m n k (1/BM + 1/BN) in all; the L2 cache serves the repeats, as neighbouring blocks run
// together. The result is written once, in whole sectors; cuts add 8 m n cuts bytes.
// forward_vector reads W once and x once per warp, from the L1 cache.
#include "product_bf16.cuh"
#include "product_f32.cuh"

// Entry points differ in the tile and in the copies only.
#define FORWARD(NAME, BM, BN, ROWS, COLUMNS, ALIGNED)                                               \
    extern "C" __global__ void __launch_bounds__(ROWS* COLUMNS * 32)                                \
        NAME(const bf16* x, const bf16* weight, const bf16* residual, bf16* out, unsigned rows,     \
             unsigned inner, unsigned outer, unsigned long long weight_stride) {                    \
        using P = Product<BM, BN, ROWS, COLUMNS, true, true, ALIGNED>;                              \
        __shared__ __align__(16) unsigned char shared[P::kSharedBytes];                             \
        const size_t group = blockIdx.y;                                                            \
        P::run(shared, x + group * rows * inner, weight + group * weight_stride,                    \
               Write<bf16>(residual, out + group * rows * outer, outer), rows, outer, inner, inner, \
               0, inner);                                                                           \
    }
FORWARD(linear_forward_bf16, 128, 128, 2, 4, true)
FORWARD(linear_forward_small_bf16, 64, 64, 2, 2, true)
FORWARD(linear_forward_ragged_bf16, 64, 64, 2, 2, false)

// `addend` is d_x to add to it, null to overwrite it.
#define BACKWARD_INPUT(NAME, BM, BN, ROWS, COLUMNS, ALIGNED)                                        \
    extern "C" __global__ void __launch_bounds__(ROWS* COLUMNS * 32)                                \
        NAME(const bf16* d_out, const bf16* weight, const bf16* addend, bf16* d_x, unsigned rows,   \
             unsigned inner, unsigned outer, unsigned long long weight_stride) {                    \
        using P = Product<BM, BN, ROWS, COLUMNS, true, false, ALIGNED>;                             \
        __shared__ __align__(16) unsigned char shared[P::kSharedBytes];                             \
        const size_t group = blockIdx.y;                                                            \
        P::run(shared, d_out + group * rows * outer, weight + group * weight_stride,                \
               Write<bf16>(addend, d_x + group * rows * inner, inner), rows, inner, outer, inner,   \
               0, outer);                                                                           \
    }
BACKWARD_INPUT(linear_backward_input_bf16, 128, 128, 2, 4, true)
BACKWARD_INPUT(linear_backward_input_small_bf16, 64, 64, 2, 2, true)
BACKWARD_INPUT(linear_backward_input_ragged_bf16, 64, 64, 2, 2, false)

// Rows of this block's cut, and where its sum goes: straight into d_weight if there is one cut.
struct Cut {
    unsigned begin, end;
    const float* addend;
    float* out;
    __device__ __forceinline__ Cut(float* d_weight, float* partials, unsigned rows, unsigned inner,
                                   unsigned outer, unsigned cut_rows) {
        begin = blockIdx.z * cut_rows;
        end = min(rows, begin + cut_rows);
        addend = partials ? nullptr : d_weight;
        out = partials ? partials + blockIdx.z * ((size_t)outer * inner) : d_weight;
    }
};

#define BACKWARD_WEIGHT(NAME, BM, BN, ROWS, COLUMNS, ALIGNED)                                       \
    extern "C" __global__ void __launch_bounds__(ROWS* COLUMNS * 32)                                \
        NAME(const bf16* d_out, const bf16* x, float* d_weight, float* partials, unsigned rows,     \
             unsigned inner, unsigned outer, unsigned cut_rows) {                                   \
        using P = Product<BM, BN, ROWS, COLUMNS, false, false, ALIGNED>;                            \
        __shared__ __align__(16) unsigned char shared[P::kSharedBytes];                             \
        Cut cut(d_weight, partials, rows, inner, outer, cut_rows);                                  \
        P::run(shared, d_out, x, Write<float>(cut.addend, cut.out, inner), outer, inner, outer,     \
               inner, cut.begin, cut.end);                                                          \
    }
BACKWARD_WEIGHT(linear_backward_weight_bf16, 128, 128, 2, 4, true)
BACKWARD_WEIGHT(linear_backward_weight_small_bf16, 64, 64, 2, 2, true)
BACKWARD_WEIGHT(linear_backward_weight_ragged_bf16, 64, 64, 2, 2, false)

extern "C" __global__ void __launch_bounds__(ProductF32::kThreads)
    linear_forward_f32(const float* x, const float* weight, const float* residual, float* out,
                       unsigned rows, unsigned inner, unsigned outer, unsigned long long weight_stride) {
    __shared__ __align__(16) float shared[ProductF32::kSharedBytes / 4];
    const size_t group = blockIdx.y;
    ProductF32::run<true, true>(shared, x + group * rows * inner, weight + group * weight_stride,
                                Write<float>(residual, out + group * rows * outer, outer), rows, outer,
                                inner, inner, 0, inner);
}

extern "C" __global__ void __launch_bounds__(ProductF32::kThreads)
    linear_backward_input_f32(const float* d_out, const float* weight, const float* addend,
                              float* d_x, unsigned rows, unsigned inner, unsigned outer,
                              unsigned long long weight_stride) {
    __shared__ __align__(16) float shared[ProductF32::kSharedBytes / 4];
    const size_t group = blockIdx.y;
    ProductF32::run<true, false>(shared, d_out + group * rows * outer, weight + group * weight_stride,
                                 Write<float>(addend, d_x + group * rows * inner, inner), rows, inner,
                                 outer, inner, 0, outer);
}

extern "C" __global__ void __launch_bounds__(ProductF32::kThreads)
    linear_backward_weight_f32(const float* d_out, const float* x, float* d_weight, float* partials,
                               unsigned rows, unsigned inner, unsigned outer, unsigned cut_rows) {
    __shared__ __align__(16) float shared[ProductF32::kSharedBytes / 4];
    Cut cut(d_weight, partials, rows, inner, outer, cut_rows);
    ProductF32::run<false, false>(shared, d_out, x, Write<float>(cut.addend, cut.out, inner), outer, inner,
                                  outer, inner, cut.begin, cut.end);
}

// d_weight += sum over cuts of partials, in ascending order; one thread per number.
extern "C" __global__ void __launch_bounds__(256)
    linear_backward_weight_combine_f32(const float* partials, float* d_weight,
                                       unsigned long long count, unsigned cuts) {
    size_t i = blockIdx.x * (size_t)256 + threadIdx.x;
    if (i >= count) return;
    float sum = 0.0f;
    for (unsigned cut = 0; cut < cuts; cut++) sum += partials[cut * (size_t)count + i];
    d_weight[i] += sum;
}

// Up to eight rows: a warp forms one output feature of all of them, its lanes striding over
// `inner` 16 bytes at a time (or number by number in rows that do not start on 16 bytes), then
// adds its 32 sums in a fixed order.
template <typename T>
__device__ __forceinline__ void forward_vector(const T* x, const T* weight, const T* residual,
                                               T* out, unsigned rows, unsigned inner,
                                               unsigned outer) {
    enum { kUnit = 16 / sizeof(T), kMostRows = 8 };
    unsigned lane = threadIdx.x % 32, feature = blockIdx.x * 4 + threadIdx.x / 32;
    if (feature >= outer) return;
    const T* w = weight + (size_t)feature * inner;
    float sums[kMostRows] = {};
    if (inner % kUnit == 0 && ((size_t)x | (size_t)weight) % 16 == 0) {
        for (unsigned k = lane * kUnit; k < inner; k += 32 * kUnit) {
            float4 w0 = load_four(w + k), w1 = {};
            if (kUnit == 8) w1 = load_four(w + k + 4);
#pragma unroll
            for (unsigned row = 0; row < kMostRows; row++) {
                if (row >= rows) break;
                const T* at = x + ((size_t)row * inner + k);
                float4 x0 = load_four(at);
                float sum = sums[row];
                sum = fmaf(w0.x, x0.x, sum), sum = fmaf(w0.y, x0.y, sum);
                sum = fmaf(w0.z, x0.z, sum), sum = fmaf(w0.w, x0.w, sum);
                if (kUnit == 8) {
                    float4 x1 = load_four(at + 4);
                    sum = fmaf(w1.x, x1.x, sum), sum = fmaf(w1.y, x1.y, sum);
                    sum = fmaf(w1.z, x1.z, sum), sum = fmaf(w1.w, x1.w, sum);
                }
                sums[row] = sum;
            }
        }
    } else {
        for (unsigned k = lane; k < inner; k += 32) {
            float y = to_float(w[k]);
#pragma unroll
            for (unsigned row = 0; row < kMostRows; row++)
                if (row < rows) sums[row] = fmaf(y, to_float(x[(size_t)row * inner + k]), sums[row]);
        }
    }
#pragma unroll
    for (unsigned row = 0; row < kMostRows; row++) {
        if (row >= rows) break;
        float sum = warp_sum(sums[row]);
        if (lane == 0) {
            size_t at = (size_t)row * outer + feature;
            out[at] = from_float<T>(residual ? sum + to_float(residual[at]) : sum);
        }
    }
}

extern "C" __global__ void __launch_bounds__(128)
    linear_forward_vector_bf16(const bf16* x, const bf16* weight, const bf16* residual, bf16* out,
                               unsigned rows, unsigned inner, unsigned outer) {
    forward_vector<bf16>(x, weight, residual, out, rows, inner, outer);
}
extern "C" __global__ void __launch_bounds__(128)
    linear_forward_vector_f32(const float* x, const float* weight, const float* residual, float* out,
                              unsigned rows, unsigned inner, unsigned outer) {
    forward_vector<float>(x, weight, residual, out, rows, inner, outer);
}
