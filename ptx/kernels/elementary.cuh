// Elementary functions whose f32 results have the bits of the CPU path, and Philox.
#pragma once

// e^x with the operations of `exp` in engine/src/cpu/math.rs, in their order and without
// contraction, so that both give the same bits: within 2 ulp; 0 below -87.3, infinity above
// 88.72.
__device__ __forceinline__ float exp_rounded(float x) {
    const float lowest = -87.3f, highest = 88.72f;
    const float clamped = fminf(fmaxf(x, lowest), highest);
    // Adding 1.5 * 2^23 rounds to an integer.
    const float shifted = __fadd_rn(__fmul_rn(clamped, 1.44269504088896340736f), 12582912.0f);
    const float n = __fsub_rn(shifted, 12582912.0f);
    // ln 2 in two parts; the product with the first is exact.
    float r = __fsub_rn(clamped, __fmul_rn(n, 0.6933594f));
    r = __fsub_rn(r, __fmul_rn(n, -2.1219444e-4f));
    float p = 1.9875692e-4f;
    p = __fadd_rn(__fmul_rn(p, r), 1.3982e-3f);
    p = __fadd_rn(__fmul_rn(p, r), 8.333452e-3f);
    p = __fadd_rn(__fmul_rn(p, r), 4.1665796e-2f);
    p = __fadd_rn(__fmul_rn(p, r), 1.6666665e-1f);
    p = __fadd_rn(__fmul_rn(p, r), 0.5f);
    const float y = __fadd_rn(__fadd_rn(__fmul_rn(p, __fmul_rn(r, r)), r), 1.0f);
    // Times 2^n: the integer stands in the low bits of the shifted number.
    const float scaled = __uint_as_float(__float_as_uint(y) + (__float_as_uint(shifted) << 23));
    if (x <= highest) return x < lowest ? 0.0f : scaled;
    // Infinity, or NaN for NaN.
    return __fadd_rn(x, __uint_as_float(0x7f800000u));
}

// Philox4x32-10 (Salmon et al., SC 2011): 128 random bits for one counter under one key.
__device__ __forceinline__ uint4 philox4x32_10(uint4 c, uint2 k) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned long long p0 = (unsigned long long)c.x * 0xD2511F53u;
        const unsigned long long p1 = (unsigned long long)c.z * 0xCD9E8D57u;
        c = make_uint4((unsigned)(p1 >> 32) ^ c.y ^ k.x, (unsigned)p1,
                       (unsigned)(p0 >> 32) ^ c.w ^ k.y, (unsigned)p0);
        k.x += 0x9E3779B9u;
        k.y += 0xBB67AE85u;
    }
    return c;
}
