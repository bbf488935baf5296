// Step 1 of the ladder to linear.cu: the definition. y = x W^T, x [rows, inner], W [outer, inner],
// one thread per number of y. Launch: (outer / 32, rows / 8) blocks of 32 x 8 threads.
//
// Every number of x is asked for `outer` times and every number of W `rows` times. Lanes of a
// warp read 32 different rows of W at once, two bytes of each 32-byte sector.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
    linear_1_naive_bf16(const bf16* x, const bf16* weight, bf16* out, unsigned rows, unsigned inner,
                        unsigned outer) {
    unsigned feature = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 8 + threadIdx.y;
    if (row >= rows || feature >= outer) return;
    float sum = 0.0f;
    for (unsigned k = 0; k < inner; k++)
        sum = fmaf(to_float(x[(size_t)row * inner + k]), to_float(weight[(size_t)feature * inner + k]), sum);
    out[(size_t)row * outer + feature] = from_float<bf16>(sum);
}
