// Linear maps with the root-mean-square norm beside them in their epilogue, for rows of at most BN
// numbers in bf16.
//
//   forward   out = x W^T (+ residual), inv = 1 / sqrt(mean(out^2) + eps), normed = out * inv * gain
//   backward  d = d_out V, u = d * gain, x^ = x * inv, d_x (+)= inv * (u - x^ * mean(u * x^)):
//             from the gradient of (the norm of x) V^T to that of x
//
// Shapes: x [rows, inner], W [outer, inner], residual, out, normed [rows, outer], gain [outer];
// d_out [rows, outer], V [outer, width], x, d_x [rows, width], gain [width]; inv [rows] f32. out and d
// are rounded to storage first, and a lane holds the columns that one of rms_norm.cu does: the
// results have the bits of the product (linear.cu) followed by the norm (rms_norm.cu).
//
// Launch: 256 threads, blockIdx.x counts tiles of 64 whole rows, see product_rows.cuh; the tile has
// 128, 256 or 512 columns, and dynamic shared memory holds RowsProduct::kSharedBytes. All that is
// read starts on 16 bytes, and extents are multiples of 8.
//
// Bytes, with 2 a number: both factors, the results, and what is added or normalised, once each. Asked
// for: the second factor once per 64 rows, the repeats served by the L2 cache, as in linear.cu, and
// the gain with it. Apart, the norm would read out once more, or write and read d.
#include "norm.cuh"
#include "product_rows.cuh"
#include "vector.cuh"

// What a lane holds of a row: eight numbers side by side, once or twice, 256 columns apart, as they lie
// in memory. Zeros beyond the end.
template <int BN>
struct Part {
    enum { kGroups = BN > 256 ? 2 : 1, kNumbers = kGroups * 8 };
    uint4 units[kGroups];

    static __device__ __forceinline__ unsigned column(unsigned group) {
        return (group * 32 + threadIdx.x % 32) * 8;
    }
    static __device__ __forceinline__ Part load(const bf16* row, unsigned end) {
        Part part;
#pragma unroll
        for (unsigned k = 0; k < kGroups; k++)
            part.units[k] = column(k) < end ? *(const uint4*)(row + column(k)) : make_uint4(0, 0, 0, 0);
        return part;
    }
    __device__ __forceinline__ void widen(float (&x)[kNumbers]) const {
#pragma unroll
        for (unsigned k = 0; k < kGroups; k++) {
            widen_pair(units[k].x, x + k * 8), widen_pair(units[k].y, x + k * 8 + 2);
            widen_pair(units[k].z, x + k * 8 + 4), widen_pair(units[k].w, x + k * 8 + 6);
        }
    }
    static __device__ __forceinline__ void take(const StagedRow& staged, unsigned end, float (&x)[kNumbers]) {
#pragma unroll
        for (unsigned k = 0; k < kGroups; k++) {
#pragma unroll
            for (unsigned i = 0; i < 8; i++) x[k * 8 + i] = 0.0f;
            if (column(k) < end) staged.eight(column(k), x + k * 8);
        }
    }
    static __device__ __forceinline__ void store(bf16* row, unsigned end, const float (&x)[kNumbers]) {
#pragma unroll
        for (unsigned k = 0; k < kGroups; k++)
            if (column(k) < end) store_vector(row + column(k), x + k * 8);
    }
};

template <int BN>
struct Forward {
    using Row = Part<BN>;
    using Operands = Row;
    const bf16 *residual, *gain;
    bf16 *out, *normed;
    float* inv_rms;
    unsigned rows, width;
    float eps;
    Row weights;

    __device__ __forceinline__ void begin() { weights = Row::load(gain, width); }
    __device__ __forceinline__ Operands fetch(unsigned row) const {
        return Row::load(residual + (size_t)row * width, residual && row < rows ? width : 0);
    }
    __device__ __forceinline__ void row(unsigned row, const StagedRow& staged, const Operands& added) const {
        const size_t at = (size_t)row * width;
        float s[Row::kNumbers], w[Row::kNumbers];
        Row::take(staged, width, s);
        if (residual) {
            added.widen(w);
#pragma unroll
            for (unsigned i = 0; i < Row::kNumbers; i++) s[i] += w[i];
        }
        float squares = 0.0f;
#pragma unroll
        for (unsigned i = 0; i < Row::kNumbers; i++) {
            s[i] = stored(s[i], out);
            squares += s[i] * s[i];
        }
        Row::store(out + at, width, s);
        const float inv = inverse_rms(warp_sum(squares), width, eps);
        weights.widen(w);
#pragma unroll
        for (unsigned i = 0; i < Row::kNumbers; i++) s[i] = s[i] * inv * w[i];
        Row::store(normed + at, width, s);
        if (threadIdx.x % 32 == 0) inv_rms[row] = inv;
    }
};

template <int BN>
struct Backward {
    using Row = Part<BN>;
    struct Operands {
        Row x, before;
        float inv;
    };
    const bf16 *x, *gain;
    const float* inv_rms;
    const bf16* addend;  // d_x to add to it, null to overwrite it
    bf16* d_x;
    unsigned rows, width;
    Row weights;

    __device__ __forceinline__ void begin() { weights = Row::load(gain, width); }
    __device__ __forceinline__ Operands fetch(unsigned row) const {
        const size_t at = (size_t)row * width;
        const unsigned end = row < rows ? width : 0;
        return {Row::load(x + at, end), Row::load(addend + at, addend ? end : 0), row < rows ? inv_rms[row] : 0.0f};
    }
    __device__ __forceinline__ void row(unsigned row, const StagedRow& staged, const Operands& of_row) const {
        const float inv = of_row.inv;
        float d[Row::kNumbers], x[Row::kNumbers], w[Row::kNumbers];
        Row::take(staged, width, d);
        of_row.x.widen(x);
        weights.widen(w);
        float projection = 0.0f;
#pragma unroll
        for (unsigned i = 0; i < Row::kNumbers; i++) {
            d[i] = stored(d[i], d_x) * w[i];
            projection += d[i] * x[i];
        }
        const float shrink = shrinkage(warp_sum(projection), inv, width);
#pragma unroll
        for (unsigned i = 0; i < Row::kNumbers; i++) d[i] = inv * (d[i] - x[i] * shrink);
        if (addend) {
            of_row.before.widen(x);
#pragma unroll
            for (unsigned i = 0; i < Row::kNumbers; i++) d[i] += x[i];
        }
        Row::store(d_x + (size_t)row * width, width, d);
    }
};

extern __shared__ __align__(16) unsigned char dynamic_shared[];

#define FORWARD(NAME, BN)                                                                           \
    extern "C" __global__ void __launch_bounds__(256)                                               \
        NAME(const bf16* x, const bf16* weight, const bf16* residual, const bf16* gain, bf16* out,  \
             bf16* normed, float* inv_rms, unsigned rows, unsigned inner, unsigned outer,           \
             float eps) {                                                                           \
        RowsProduct<BN, true>::run(                                                                 \
            dynamic_shared, x, weight,                                                              \
            Forward<BN>{residual, gain, out, normed, inv_rms, rows, outer, eps}, rows, outer,       \
            inner, inner, inner);                                                                   \
    }
FORWARD(linear_rms_norm_forward_128_bf16, 128)
FORWARD(linear_rms_norm_forward_256_bf16, 256)
FORWARD(linear_rms_norm_forward_512_bf16, 512)

#define BACKWARD(NAME, BN)                                                                          \
    extern "C" __global__ void __launch_bounds__(256)                                               \
        NAME(const bf16* d_out, const bf16* weight, const bf16* x, const bf16* gain,                \
             const float* inv_rms, const bf16* addend, bf16* d_x, unsigned rows, unsigned width,    \
             unsigned outer) {                                                                      \
        RowsProduct<BN, false>::run(dynamic_shared, d_out, weight,                                  \
                                    Backward<BN>{x, gain, inv_rms, addend, d_x, rows, width}, rows, \
                                    width, outer, width, outer);                                    \
    }
BACKWARD(linear_rms_norm_backward_128_bf16, 128)
BACKWARD(linear_rms_norm_backward_256_bf16, 256)
BACKWARD(linear_rms_norm_backward_512_bf16, 512)
