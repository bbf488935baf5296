// AdamW with decoupled weight decay (Loshchilov and Hutter, 2019) on all tensors in one launch,
// and the norm of all gradients that clips them.
//
// g = factor * gradient; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// p = (1 - lr * decay) p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
// params, gradients, moments [n] f32; copy [n] bf16, the parameters rounded to nearest even, or
// null; clip [2] f64, the norm and the factor, or null for a factor of 1; step [9] f32, the
// constants: in memory, so that a recorded launch serves every step. Every f32 operation is rounded
// as on the CPU, whose bits it gives. Nothing is done where the norm is not finite: one bad number
// among the gradients would be in every parameter.
// Segments: `ends` [segments] holds where each ends; they decay and do not decay in turn, the
// first if `first_decays`. A thread looks for that of its elements by bisection.
//
// Norm: norm = sqrt(sum of g^2) in f64, factor = min(1, limit / (norm + 1e-6)), or 1 for a limit
// of 0. A first pass leaves one sum per 16,384 elements, a second adds them: lanes, warps and
// passes in fixed order.
//
// Launch: adamw 256 threads a block, four elements a thread; global_norm_partial 256 threads per
// 16,384 elements; global_norm one block of 256.
// Bytes it must move: adamw 16 in and 12 out per parameter, and 2 for the copy; the norm 4 in.
// It moves those.

#include "adam.cuh"
#include "reduce.cuh"
#include "vector.cuh"

enum { kThreads = 256, kChunk = 16384 };

// The segment of element `i`: the first that ends beyond it.
__device__ __forceinline__ unsigned segment_of(const unsigned long long* __restrict__ ends,
                                               unsigned segments, size_t i) {
    unsigned low = 0, high = segments - 1;
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        if (ends[middle] > i) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

extern "C" __global__ void __launch_bounds__(kThreads)
    adamw_f32(float* params, const float* gradients, float* first_moment, float* second_moment,
              bf16* copy, const double* clip, const unsigned long long* ends, size_t n,
              const float* step, unsigned segments, unsigned first_decays) {
    if (clip && !isfinite(clip[0])) return;
    // One request of a warp for all constants.
    const unsigned lane = threadIdx.x % 32;
    const float constant = lane < 9 ? step[lane] : 0.0f;
    float c[9];
#pragma unroll
    for (int i = 0; i < 9; ++i) c[i] = __shfl_sync(kFullWarp, constant, i);
    const Adam adam = {c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]};
    const float factor = clip ? (float)clip[1] : 1.0f;
    // Segments that are not of this parity decay.
    const unsigned turn = first_decays ? 1 : 0;
    const size_t block = (size_t)blockIdx.x * (kThreads * 4);
    const bool aligned = is_aligned(params) && is_aligned(gradients) && is_aligned(first_moment) &&
                         is_aligned(second_moment) && is_aligned(copy);
    if (aligned && block + kThreads * 4 <= n) {
        const size_t at = block + threadIdx.x * 4;
        float p[4], g[4], m[4], v[4];
        load_vector(params + at, p);
        load_vector(gradients + at, g);
        load_vector(first_moment + at, m);
        load_vector(second_moment + at, v);
        unsigned segment = segment_of(ends, segments, at);
        const unsigned last = segment_of(ends, segments, at + 3);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (segment != last) segment = segment_of(ends, segments, at + i);
            const bool decay = (segment & 1) != turn;
            adam.step(p[i], __fmul_rn(g[i], factor), m[i], v[i], decay ? adam.keep : 1.0f);
        }
        store_vector(params + at, p);
        store_vector(first_moment + at, m);
        store_vector(second_moment + at, v);
        if (copy) store_four(copy + at, p);
        return;
    }
    for (int i = 0; i < 4; ++i) {
        const size_t at = block + i * kThreads + threadIdx.x;
        if (at >= n) return;
        float p = params[at], m = first_moment[at], v = second_moment[at];
        const bool decay = (segment_of(ends, segments, at) & 1) != turn;
        adam.step(p, __fmul_rn(gradients[at], factor), m, v, decay ? adam.keep : 1.0f);
        params[at] = p;
        first_moment[at] = m;
        second_moment[at] = v;
        if (copy) copy[at] = from_float<bf16>(p);
    }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    global_norm_partial_f32(const float* gradients, double* partial, size_t n) {
    const size_t block = (size_t)blockIdx.x * kChunk;
    double sum = 0.0;
    if (is_aligned(gradients) && block + kChunk <= n) {
#pragma unroll 4
        for (unsigned i = threadIdx.x * 4; i < kChunk; i += kThreads * 4) {
            float g[4];
            load_vector(gradients + block + i, g);
#pragma unroll
            for (int k = 0; k < 4; ++k) sum += (double)g[k] * g[k];
        }
    } else {
        // The same elements to the same threads in the same order.
        for (unsigned i = threadIdx.x * 4; i < kChunk; i += kThreads * 4) {
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const double g = block + i + k < n ? gradients[block + i + k] : 0.0f;
                sum += g * g;
            }
        }
    }
    sum = block_sum<kThreads>(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(kThreads)
    global_norm_f32(const double* partial, double* out, unsigned count, double limit) {
    double sum = 0.0;
    for (unsigned i = threadIdx.x; i < count; i += kThreads) sum += partial[i];
    sum = block_sum<kThreads>(sum);
    if (threadIdx.x != 0) return;
    const double norm = sqrt(sum);
    out[0] = norm;
    out[1] = limit > 0.0 ? fmin(limit / (norm + 1e-6), 1.0) : 1.0;
}
