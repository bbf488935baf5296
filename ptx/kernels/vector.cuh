// 16-byte accesses of rows, widened to f32, and how a block walks over rows.
#pragma once

#include "common.cuh"

// Numbers in 16 bytes.
template <typename T>
struct Vector {
    enum { kSize = 16 / sizeof(T) };
};

__device__ __forceinline__ bool is_aligned(const void* p) {
    return ((unsigned long long)p & 15) == 0;
}

__device__ __forceinline__ void load_vector(const float* from, float* x) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
}

// The lower half of a word is the number at the lower address.
__device__ __forceinline__ void widen_pair(unsigned word, float* x) {
    x[0] = __uint_as_float(word << 16);
    x[1] = __uint_as_float(word & 0xffff0000u);
}

__device__ __forceinline__ void load_vector(const bf16* from, float* x) {
    const uint4 v = *reinterpret_cast<const uint4*>(from);
    widen_pair(v.x, x), widen_pair(v.y, x + 2), widen_pair(v.z, x + 4), widen_pair(v.w, x + 6);
}

__device__ __forceinline__ void store_vector(float* to, const float* x) {
    *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
}

// Two numbers rounded to nearest, ties to even.
__device__ __forceinline__ unsigned narrow_pair(float low, float high) {
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

__device__ __forceinline__ void store_vector(bf16* to, const float* x) {
    *reinterpret_cast<uint4*>(to) =
        make_uint4(narrow_pair(x[0], x[1]), narrow_pair(x[2], x[3]), narrow_pair(x[4], x[5]),
                   narrow_pair(x[6], x[7]));
}

// Four numbers: 16 bytes of f32, 8 of bf16.
__device__ __forceinline__ void load_four(const float* from, float* x) { load_vector(from, x); }
__device__ __forceinline__ void load_four(const bf16* from, float* x) {
    const uint2 v = *reinterpret_cast<const uint2*>(from);
    widen_pair(v.x, x), widen_pair(v.y, x + 2);
}
// Four floats to global memory in one access: behind branches the compiler would split it.
__device__ __forceinline__ void store_four(float* to, const float* x) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
                 "f"(x[0]), "f"(x[1]), "f"(x[2]), "f"(x[3])
                 : "memory");
}
__device__ __forceinline__ void store_four(bf16* to, const float* x) {
    *reinterpret_cast<uint2*>(to) = make_uint2(narrow_pair(x[0], x[1]), narrow_pair(x[2], x[3]));
}

// x as it reads after a round trip through memory.
__device__ __forceinline__ float stored(float x, const float*) { return x; }
__device__ __forceinline__ float stored(float x, const bf16*) {
    return to_float(from_float<bf16>(x));
}
