// Root-mean-square normalisation (Zhang and Sennrich, 2019), with the residual add fused.
//
// Forward:  s = x + delta (s = x without a residual), inv = 1 / sqrt(mean(s^2) + eps),
//           out = s * inv * weight.
// Backward: u = d_out * weight, x^ = x * inv, d_x = inv * (u - x^ * mean(u * x^)),
//           d_weight += sum over rows of d_out * x^.
// x, delta, sum, out, d_out, d_x [rows, width] and weight [width] are all f32 or all bf16;
// inv_rms [rows] and d_weight [width] are f32. What is normalised is s as stored.
//
// Launch: blocks of (x, y) threads. A row belongs to the x threads of one y; each holds 16 of
// its numbers in registers, so that the row is read once. A block takes the rows
// [rows_per_block * blockIdx.x, ...), y at a time, and keeps the weight in shared memory, so
// that it is read once per block. Rows that are wider than 4096 or not aligned to 16 bytes are
// walked over in loops, and read twice.
// d_weight: the terms of a column are added over the rows of one y in ascending order, the sums
// of the y in order of y, and rms_norm_backward_weight_f32 adds the sums of the blocks in order.
// The partition depends on the shape and the alignment alone.
//
// Bytes it must move, in numbers per element: forward 1 in and 1 out (2 and 2 with a residual),
// backward 2 in and 1 out (and 1 in more to accumulate). It moves those, and per block one
// weight: 1 / 64 more at 32 rows a block forward, and at 64 rows a block backward 1 / 192 for
// the weight and 2 / 192 for writing and reading partial sums in f32.

#include "norm.cuh"
#include "vector.cuh"

enum {
    kHeld = 16,            // numbers of a row in the registers of a thread
    kThreads = 256,        // most threads of a block
    kWidest = 16 * 256,    // widest row that is held in registers
};

// The 16 numbers of an aligned row that a thread holds: vectors, side by side with those of the
// neighbouring threads. Zero beyond the end.
template <typename T>
struct Held {
    enum { V = Vector<T>::kSize, kGroups = kHeld / V };

    static __device__ __forceinline__ unsigned column(int group) {
        return (group * blockDim.x + threadIdx.x) * V;
    }

    static __device__ __forceinline__ void load(const T* row, unsigned end, float (&x)[kHeld]) {
#pragma unroll
        for (int k = 0; k < kGroups; ++k) {
#pragma unroll
            for (int i = 0; i < V; ++i) x[k * V + i] = 0.0f;
            if (column(k) < end) load_vector(row + column(k), x + k * V);
        }
    }

    static __device__ __forceinline__ void store(T* row, unsigned end, const float (&x)[kHeld]) {
#pragma unroll
        for (int k = 0; k < kGroups; ++k) {
            if (column(k) < end) store_vector(row + column(k), x + k * V);
        }
    }
};

// Sum over the threads of a row; every one of them gets it. All threads of the block call it.
__device__ __forceinline__ float row_sum(float x) {
    __shared__ float warps[kThreads / 32];
    x = warp_sum(x);
    if (blockDim.x == 32) return x;
    const unsigned per_row = blockDim.x / 32;
    const unsigned first = threadIdx.y * per_row;
    if (threadIdx.x % 32 == 0) warps[first + threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0.0f;
    for (unsigned w = 0; w < per_row; ++w) sum += warps[first + w];
    __syncthreads();
    return sum;
}

template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
    extern __shared__ __align__(16) unsigned char memory[];
    return reinterpret_cast<T*>(memory);
}

// Copies an aligned weight to shared memory, for all rows of the block.
template <typename T>
__device__ __forceinline__ void stage_weight(const T* weight, unsigned width) {
    if (threadIdx.y == 0) {
        float w[kHeld];
        Held<T>::load(weight, width, w);
        Held<T>::store(dynamic_shared<T>(), width, w);
    }
    __syncthreads();
}

template <typename T>
struct Forward {
    const T* x;
    const T* delta;
    T* sum;
    const T* weight;
    T* out;
    float* inv_rms;
    unsigned rows, width, rows_per_block;
    float eps;
};

template <typename T>
__device__ __forceinline__ void forward_held(const Forward<T>& a) {
    using Row = Held<T>;
    stage_weight(a.weight, a.width);
    for (unsigned r = threadIdx.y; r < a.rows_per_block; r += blockDim.y) {
        const unsigned row = blockIdx.x * a.rows_per_block + r;
        const unsigned end = row < a.rows ? a.width : 0;
        const size_t at = (size_t)row * a.width;
        float s[kHeld];
        Row::load(a.x + at, end, s);
        if (a.delta) {
            float d[kHeld];
            Row::load(a.delta + at, end, d);
#pragma unroll
            for (int i = 0; i < kHeld; ++i) s[i] = stored(s[i] + d[i], a.x);
            Row::store(a.sum + at, end, s);
        }
        float squares = 0.0f;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) squares += s[i] * s[i];
        const float inv = inverse_rms(row_sum(squares), a.width, a.eps);
        float w[kHeld];
        Row::load(dynamic_shared<T>(), a.width, w);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) s[i] = s[i] * inv * w[i];
        Row::store(a.out + at, end, s);
        if (end > 0 && threadIdx.x == 0) a.inv_rms[row] = inv;
    }
}

// Each thread reads back only what it wrote itself.
template <typename T>
__device__ __forceinline__ void forward_looped(const Forward<T>& a) {
    for (unsigned r = threadIdx.y; r < a.rows_per_block; r += blockDim.y) {
        const unsigned row = blockIdx.x * a.rows_per_block + r;
        const unsigned end = row < a.rows ? a.width : 0;
        const size_t at = (size_t)row * a.width;
        float squares = 0.0f;
        for (unsigned c = threadIdx.x; c < end; c += blockDim.x) {
            float s = to_float(a.x[at + c]);
            if (a.delta) {
                s = stored(s + to_float(a.delta[at + c]), a.x);
                a.sum[at + c] = from_float<T>(s);
            }
            squares += s * s;
        }
        const float inv = inverse_rms(row_sum(squares), a.width, a.eps);
        const T* normalised = a.delta ? a.sum : a.x;
        for (unsigned c = threadIdx.x; c < end; c += blockDim.x) {
            const float s = to_float(normalised[at + c]);
            a.out[at + c] = from_float<T>(s * inv * to_float(a.weight[c]));
        }
        if (end > 0 && threadIdx.x == 0) a.inv_rms[row] = inv;
    }
}

template <typename T>
__device__ __forceinline__ void forward(const Forward<T>& a) {
    const bool aligned = is_aligned(a.x) && is_aligned(a.delta) && is_aligned(a.sum) &&
                         is_aligned(a.weight) && is_aligned(a.out) &&
                         a.width % Vector<T>::kSize == 0;
    if (aligned && a.width <= kWidest) {
        forward_held(a);
    } else {
        forward_looped(a);
    }
}

template <typename T>
struct Backward {
    const T* d_out;
    const T* x;
    const T* weight;
    const float* inv_rms;
    T* d_x;
    float* partial;  // [blocks, width]
    unsigned rows, width, rows_per_block;
    bool accumulate;
};

// The sums of the y, added in order of y, to this block's partial sums.
template <typename T>
__device__ __forceinline__ void store_partial(const Backward<T>& a, const float (&sums)[kHeld]) {
    enum { V = Held<T>::V };
    float* block = dynamic_shared<float>();
    for (unsigned y = 0; y < blockDim.y; ++y) {
        __syncthreads();
        if (threadIdx.y != y) continue;
#pragma unroll
        for (int k = 0; k < kHeld; k += 4) {
            const unsigned c = Held<T>::column(k / V) + k % V;
            if (c >= a.width) continue;
            float before[4];
            if (y > 0) {
                load_vector(block + c, before);
            } else {
                before[0] = before[1] = before[2] = before[3] = 0.0f;
            }
#pragma unroll
            for (int i = 0; i < 4; ++i) before[i] += sums[k + i];
            store_vector(block + c, before);
        }
    }
    __syncthreads();
    float* to = a.partial + (size_t)blockIdx.x * a.width;
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (unsigned c = thread; c < a.width; c += blockDim.x * blockDim.y) to[c] = block[c];
}

template <typename T>
__device__ __forceinline__ void backward_held(const Backward<T>& a) {
    using Row = Held<T>;
    stage_weight(a.weight, a.width);
    float sums[kHeld];
#pragma unroll
    for (int i = 0; i < kHeld; ++i) sums[i] = 0.0f;
    for (unsigned r = threadIdx.y; r < a.rows_per_block; r += blockDim.y) {
        const unsigned row = blockIdx.x * a.rows_per_block + r;
        const unsigned end = row < a.rows ? a.width : 0;
        const size_t at = (size_t)row * a.width;
        const float inv = end > 0 ? a.inv_rms[row] : 0.0f;
        float d[kHeld], x[kHeld];
        Row::load(a.d_out + at, end, d);
        Row::load(a.x + at, end, x);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) sums[i] += d[i] * (x[i] * inv);
        if (!a.d_x) continue;
        float w[kHeld];
        Row::load(dynamic_shared<T>(), a.width, w);
        float projection = 0.0f;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            d[i] *= w[i];
            projection += d[i] * x[i];
        }
        const float shrink = shrinkage(row_sum(projection), inv, a.width);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) d[i] = inv * (d[i] - x[i] * shrink);
        if (a.accumulate) {
            Row::load(a.d_x + at, end, x);
#pragma unroll
            for (int i = 0; i < kHeld; ++i) d[i] += x[i];
        }
        Row::store(a.d_x + at, end, d);
    }
    if (a.partial) store_partial(a, sums);
}

// First the projection of every row, then, column by column, the gradients.
template <typename T>
__device__ __forceinline__ void backward_looped(const Backward<T>& a) {
    float* shrinks = dynamic_shared<float>();
    const unsigned first = blockIdx.x * a.rows_per_block;
    const unsigned rows = min(a.rows_per_block, a.rows - first);
    if (a.d_x) {
        for (unsigned r = threadIdx.y; r < a.rows_per_block; r += blockDim.y) {
            const unsigned end = r < rows ? a.width : 0;
            const size_t at = (size_t)(first + r) * a.width;
            float sum = 0.0f;
            for (unsigned c = threadIdx.x; c < end; c += blockDim.x) {
                sum += to_float(a.d_out[at + c]) * to_float(a.weight[c]) * to_float(a.x[at + c]);
            }
            sum = row_sum(sum);
            if (end > 0 && threadIdx.x == 0) {
                shrinks[r] = shrinkage(sum, a.inv_rms[first + r], a.width);
            }
        }
        __syncthreads();
    }
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (unsigned c = thread; c < a.width; c += blockDim.x * blockDim.y) {
        const float w = to_float(a.weight[c]);
        float sum = 0.0f;
        for (unsigned r = 0; r < rows; ++r) {
            const size_t at = (size_t)(first + r) * a.width + c;
            const float d = to_float(a.d_out[at]), x = to_float(a.x[at]);
            const float inv = a.inv_rms[first + r];
            sum += d * (x * inv);
            if (!a.d_x) continue;
            const float before = a.accumulate ? to_float(a.d_x[at]) : 0.0f;
            a.d_x[at] = from_float<T>(before + inv * (d * w - x * shrinks[r]));
        }
        if (a.partial) a.partial[(size_t)blockIdx.x * a.width + c] = sum;
    }
}

template <typename T>
__device__ __forceinline__ void backward(const Backward<T>& a) {
    const bool aligned = is_aligned(a.d_out) && is_aligned(a.x) && is_aligned(a.weight) &&
                         is_aligned(a.d_x) && a.width % Vector<T>::kSize == 0;
    if (aligned && a.width <= kWidest) {
        backward_held(a);
    } else {
        backward_looped(a);
    }
}

// d_weight += the sum over blocks of their partial sums. One thread a column.
extern "C" __global__ void __launch_bounds__(128)
    rms_norm_backward_weight_f32(const float* partial, float* d_weight, unsigned blocks,
                                 unsigned width) {
    const unsigned c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= width) return;
    float sum = 0.0f;
#pragma unroll 8
    for (unsigned b = 0; b < blocks; ++b) sum += partial[(size_t)b * width + c];
    d_weight[c] += sum;
}

#define FORWARD(NAME, T)                                                                         \
    extern "C" __global__ void __launch_bounds__(kThreads)                                       \
        NAME(const T* x, const T* delta, T* sum, const T* weight, T* out, float* inv_rms,        \
             unsigned rows, unsigned width, unsigned rows_per_block, float eps) {                \
        forward<T>({x, delta, sum, weight, out, inv_rms, rows, width, rows_per_block, eps});     \
    }

// Two blocks a processor: with three in mind the assembler spills on some architectures.
#define BACKWARD(NAME, T)                                                                        \
    extern "C" __global__ void __launch_bounds__(kThreads, 2)                                    \
        NAME(const T* d_out, const T* x, const T* weight, const float* inv_rms, T* d_x,          \
             float* partial, unsigned rows, unsigned width, unsigned rows_per_block,             \
             unsigned accumulate) {                                                              \
        backward<T>({d_out, x, weight, inv_rms, d_x, partial, rows, width, rows_per_block,       \
                     accumulate != 0});                                                          \
    }

FORWARD(rms_norm_forward_f32, float)
FORWARD(rms_norm_forward_bf16, bf16)
BACKWARD(rms_norm_backward_f32, float)
BACKWARD(rms_norm_backward_bf16, bf16)
