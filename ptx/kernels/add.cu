// into += x.
//
// x, into [n], both f32 or both bf16; the sum is formed in f32 and rounded once.
// Launch: 256 threads a block, 16 bytes a thread.
// Bytes it must move: x and into once, into once more for the result: 3 n numbers. It moves
// those. Where a buffer is not aligned to 16 bytes, threads take single numbers, neighbours
// side by side: the same bytes in more instructions.

#include "vector.cuh"

enum { kThreads = 256 };

template <typename T>
__device__ __forceinline__ void add(const T* __restrict__ x, T* __restrict__ into, size_t n) {
    constexpr unsigned V = Vector<T>::kSize;
    const size_t block = (size_t)blockIdx.x * (kThreads * V);
    const size_t first = block + threadIdx.x * V;
    if (is_aligned(x) && is_aligned(into) && block + kThreads * V <= n) {
        float a[V], b[V];
        load_vector(x + first, a);
        load_vector(into + first, b);
#pragma unroll
        for (unsigned i = 0; i < V; ++i) b[i] += a[i];
        store_vector(into + first, b);
        return;
    }
#pragma unroll
    for (unsigned i = 0; i < V; ++i) {
        const size_t at = block + i * kThreads + threadIdx.x;
        if (at < n) into[at] = from_float<T>(to_float(into[at]) + to_float(x[at]));
    }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    add_f32(const float* x, float* into, size_t n) {
    add(x, into, n);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    add_bf16(const bf16* x, bf16* into, size_t n) {
    add(x, into, n);
}
