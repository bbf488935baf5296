// The gated activation: out = silu(gate) * up, silu(g) = g * s(g), s(g) = 1 / (1 + e^-g).
//
// gate_up, d_gate_up [rows, 2, width]: gate, then up; out, d_out [rows, width]; all f32 or all
// bf16. Backward: d_gate = d_out * up * s * (1 + g * (1 - s)), d_up = d_out * g * s.
// In f32 every operation is rounded as on the CPU and gives its bits. In bf16 the exponential
// and the division are the approximate ones, whose error is far below the rounding of the result.
// Launch: blocks of (x, y) threads; a row of x threads walks over one row, y rows a block.
// Bytes it must move, in numbers per hidden feature: forward 2 in and 1 out, backward 3 in and
// 2 out. It moves those; rows that are not aligned to 16 bytes go by single numbers.

#include "gate.cuh"
#include "vector.cuh"

template <typename T>
__device__ __forceinline__ void forward(const T* __restrict__ gate_up, T* __restrict__ out,
                                        unsigned rows, unsigned width) {
    constexpr unsigned V = Vector<T>::kSize;
    const unsigned row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const T* gate = gate_up + (size_t)row * 2 * width;
    const T* up = gate + width;
    T* to = out + (size_t)row * width;
    if (is_aligned(gate_up) && is_aligned(out) && width % V == 0) {
        for (unsigned c = threadIdx.x * V; c < width; c += blockDim.x * V) {
            float g[V], u[V];
            load_vector(gate + c, g);
            load_vector(up + c, u);
#pragma unroll
            for (unsigned i = 0; i < V; ++i) g[i] = forward_one<T>(g[i], u[i]);
            store_vector(to + c, g);
        }
        return;
    }
    for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
        to[c] = from_float<T>(forward_one<T>(to_float(gate[c]), to_float(up[c])));
    }
}

template <typename T>
__device__ __forceinline__ void backward(const T* __restrict__ gate_up,
                                         const T* __restrict__ d_out, T* __restrict__ d_gate_up,
                                         unsigned rows, unsigned width) {
    constexpr unsigned V = Vector<T>::kSize;
    const unsigned row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const T* gate = gate_up + (size_t)row * 2 * width;
    const T* up = gate + width;
    const T* from = d_out + (size_t)row * width;
    T* d_gate = d_gate_up + (size_t)row * 2 * width;
    T* d_up = d_gate + width;
    if (is_aligned(gate_up) && is_aligned(d_out) && is_aligned(d_gate_up) && width % V == 0) {
        for (unsigned c = threadIdx.x * V; c < width; c += blockDim.x * V) {
            float g[V], u[V], d[V];
            load_vector(gate + c, g);
            load_vector(up + c, u);
            load_vector(from + c, d);
#pragma unroll
            for (unsigned i = 0; i < V; ++i) backward_one<T>(d[i], g[i], u[i], g[i], u[i]);
            store_vector(d_gate + c, g);
            store_vector(d_up + c, u);
        }
        return;
    }
    for (unsigned c = threadIdx.x; c < width; c += blockDim.x) {
        float d_g, d_u;
        backward_one<T>(to_float(from[c]), to_float(gate[c]), to_float(up[c]), d_g, d_u);
        d_gate[c] = from_float<T>(d_g);
        d_up[c] = from_float<T>(d_u);
    }
}

extern "C" __global__ void __launch_bounds__(512)
    swiglu_forward_f32(const float* gate_up, float* out, unsigned rows, unsigned width) {
    forward(gate_up, out, rows, width);
}

extern "C" __global__ void __launch_bounds__(512)
    swiglu_forward_bf16(const bf16* gate_up, bf16* out, unsigned rows, unsigned width) {
    forward(gate_up, out, rows, width);
}

extern "C" __global__ void __launch_bounds__(512)
    swiglu_backward_f32(const float* gate_up, const float* d_out, float* d_gate_up, unsigned rows,
                        unsigned width) {
    backward(gate_up, d_out, d_gate_up, rows, width);
}

extern "C" __global__ void __launch_bounds__(512)
    swiglu_backward_bf16(const bf16* gate_up, const bf16* d_out, bf16* d_gate_up, unsigned rows,
                         unsigned width) {
    backward(gate_up, d_out, d_gate_up, rows, width);
}
