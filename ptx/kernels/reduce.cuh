// Sums over the threads of a block, in an order that its size alone decides.
#pragma once

#include "common.cuh"

// Sum over a one-dimensional block of kThreads threads; every one of them calls it, and thread 0
// gets it: lanes pairwise, then warps in order.
template <int kThreads>
__device__ __forceinline__ double block_sum(double x) {
    __shared__ double warps[kThreads / 32];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < kThreads / 32; ++w) x += warps[w];
    }
    return x;
}
