// Step 2 of the ladder to linear.cu: shared memory. A block forms 32 x 32 numbers of y = x W^T and
// brings 32 x 32 tiles of x and W into shared memory, where all its threads use them: a number is
// asked for once per block, 1/32 of step 1, and lanes read side by side. Launch:
// (outer / 32, rows / 32) blocks of 32 x 8 threads, four numbers of y each.
//
// Rows of a tile are 33 floats, so that lanes reading a column meet 32 banks. Each product now
// costs two reads of shared memory, and that bounds it.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256)
    linear_2_shared_tiles_bf16(const bf16* x, const bf16* weight, bf16* out, unsigned rows,
                               unsigned inner, unsigned outer) {
    __shared__ float left[32][33], right[32][33];
    unsigned feature = blockIdx.x * 32 + threadIdx.x;
    float sums[4] = {};
    for (unsigned first = 0; first < inner; first += 32) {
        unsigned k = first + threadIdx.x;
        for (unsigned i = threadIdx.y; i < 32; i += 8) {
            unsigned row = blockIdx.y * 32 + i, other = blockIdx.x * 32 + i;
            left[i][threadIdx.x] = row < rows && k < inner ? to_float(x[(size_t)row * inner + k]) : 0.0f;
            right[i][threadIdx.x] =
                other < outer && k < inner ? to_float(weight[(size_t)other * inner + k]) : 0.0f;
        }
        __syncthreads();
        for (unsigned j = 0; j < 32; j++)
            for (unsigned i = 0; i < 4; i++)
                sums[i] = fmaf(left[threadIdx.y + 8 * i][j], right[threadIdx.x][j], sums[i]);
        __syncthreads();
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = blockIdx.y * 32 + threadIdx.y + 8 * i;
        if (row < rows && feature < outer) out[(size_t)row * outer + feature] = from_float<bf16>(sums[i]);
    }
}
