// Factors of root-mean-square normalisation, shared by rms_norm and linear_rms_norm.
#pragma once
#include "common.cuh"

__device__ __forceinline__ float inverse_rms(float square_sum, unsigned width, float eps) {
    return __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(square_sum, (float)width) + eps));
}

// Factor of x in d_x.
__device__ __forceinline__ float shrinkage(float projection, float inv, unsigned width) {
    return __fdiv_rn(projection * inv * inv, (float)width);
}
