// Step 3 of the ladder to linear.cu: tensor cores. A block of four warps forms 64 x 64 numbers of
// y = x W^T; ldmatrix brings 16 x 16 numbers from shared memory into the registers of a warp, and
// one mma does 2048 multiply-adds with them. Launch: (outer / 64, rows / 64) blocks of 128 threads.
// A number is asked for 1/64 as often as in step 1. `inner` is a multiple of 8, rows start on 16 bytes.
//
// Tiles are 32 deep, rows of 64 bytes, one after the other as they come: the eight rows of a
// matrix meet only two groups of banks, so every matrix takes four passes. And between the
// barriers either copies are under way or products, never both. Step 4, linear.cu, lets copies
// run two tiles ahead and permutes the rows' 16-byte units.
#include "matrix.cuh"

extern "C" __global__ void __launch_bounds__(128)
    linear_3_tensor_cores_bf16(const bf16* x, const bf16* weight, bf16* out, unsigned rows,
                               unsigned inner, unsigned outer) {
    __shared__ __align__(16) bf16 left[64][32], right[64][32];
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
    float sums[2][4][4] = {};
    for (unsigned first = 0; first < inner; first += 32) {
        for (unsigned i = threadIdx.x; i < 64 * 4; i += 128) {
            unsigned row = blockIdx.y * 64 + i / 4, other = blockIdx.x * 64 + i / 4, k = first + i % 4 * 8;
            uint4 zero = {};
            *(uint4*)&left[i / 4][i % 4 * 8] =
                row < rows && k < inner ? *(const uint4*)(x + (size_t)row * inner + k) : zero;
            *(uint4*)&right[i / 4][i % 4 * 8] =
                other < outer && k < inner ? *(const uint4*)(weight + (size_t)other * inner + k) : zero;
        }
        __syncthreads();
#pragma unroll
        for (unsigned step = 0; step < 32; step += 16) {
            unsigned a[2][4], b[2][4];
#pragma unroll
            for (unsigned i = 0; i < 2; i++) {
                load_matrices<false>(
                    a[i], shared_address(&left[warp_row + i * 16 + lane % 16][step + lane / 16 * 8]));
                load_matrices<false>(
                    b[i], shared_address(&right[warp_column + i * 16 + lane % 8 + lane / 16 * 8]
                                               [step + lane / 8 % 2 * 8]));
            }
#pragma unroll
            for (unsigned i = 0; i < 2; i++)
#pragma unroll
                for (unsigned j = 0; j < 4; j++)
                    mma(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
        __syncthreads();
    }
#pragma unroll
    for (unsigned i = 0; i < 4; i++)
#pragma unroll
        for (unsigned j = 0; j < 8; j++) {
            unsigned row = blockIdx.y * 64 + warp_row + i * 8 + lane / 4;
            unsigned column = blockIdx.x * 64 + warp_column + j / 2 * 8 + lane % 4 * 2 + j % 2;
            if (row < rows && column < outer)
                out[(size_t)row * outer + column] = from_float<bf16>(sums[i / 2][j / 2][i % 2 * 2 + j % 2]);
        }
}
