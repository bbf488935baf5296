// One step of AdamW (Loshchilov and Hutter, 2019), with the bits of the CPU path.
#pragma once

// Constants of a step, rounded once to f32 on the host, in the order in which they lie in memory.
struct Adam {
    float lr, keep, beta1, one_minus_beta1, beta2, one_minus_beta2, correction1, correction2, eps;

    // Every operation is rounded, in the order of `Adam::step` in engine/src/cpu/adamw.rs.
    // `kept` is 1 - lr * decay.
    __device__ __forceinline__ void step(float& p, float g, float& m, float& v, float kept) const {
        m = __fadd_rn(__fmul_rn(m, beta1), __fmul_rn(one_minus_beta1, g));
        v = __fadd_rn(__fmul_rn(v, beta2), __fmul_rn(__fmul_rn(one_minus_beta2, g), g));
        const float root = __fadd_rn(__fsqrt_rn(__fdiv_rn(v, correction2)), eps);
        const float change = __fdiv_rn(__fmul_rn(lr, __fdiv_rn(m, correction1)), root);
        p = __fsub_rn(__fmul_rn(p, kept), change);
    }
};
