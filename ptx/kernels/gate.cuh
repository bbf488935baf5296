// The gated activation of one number: silu(g) u with silu(g) = g s(g), s(g) = 1 / (1 + e^-g), and its
// gradient. Shared by swiglu and linear_swiglu.
//
// In f32 every operation is rounded as on the CPU and gives its bits. In bf16 the exponential
// and the division are the approximate ones, whose error is far below the rounding of the result.
#pragma once
#include "common.cuh"
#include "elementary.cuh"

template <typename T>
struct Gate;

template <>
struct Gate<float> {
    static __device__ __forceinline__ float sigmoid(float g) {
        return __fdiv_rn(1.0f, __fadd_rn(1.0f, exp_rounded(-g)));
    }
};

template <>
struct Gate<bf16> {
    static __device__ __forceinline__ float sigmoid(float g) {
        return __fdividef(1.0f, 1.0f + __expf(-g));
    }
};

template <typename T>
__device__ __forceinline__ float forward_one(float g, float u) {
    return __fmul_rn(__fmul_rn(g, Gate<T>::sigmoid(g)), u);
}

// d_g and d_u may be g and u.
template <typename T>
__device__ __forceinline__ void backward_one(float d, float g, float u, float& d_g, float& d_u) {
    const float s = Gate<T>::sigmoid(g);
    const float slope = __fmul_rn(s, __fadd_rn(1.0f, __fmul_rn(g, __fsub_rn(1.0f, s))));
    d_g = __fmul_rn(__fmul_rn(d, u), slope);
    d_u = __fmul_rn(d, __fmul_rn(g, s));
}
