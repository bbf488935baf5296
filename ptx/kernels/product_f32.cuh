// One block's tile of a matrix product A B in f32, handed to an epilogue, for parity with the CPU:
// 64 x 64 numbers by 128 threads, eight rows by four columns each, one fused multiply-add per
// product, in ascending order of the inner index.
//
// Tiles of 16 along the inner dimension go through three stages of shared memory, filled by
// four-byte asynchronous copies, so any extents and any alignment take the same path. Both tiles lie with
// the inner index slowest, in rows of 68 floats: a warp copies 8 x 4 numbers of an
// inner-contiguous operand (whole sectors of 32 bytes, and 8 rows x 4 floats cover the 32 banks),
// or 32 numbers of a row of the other order.
#pragma once
#include "epilogue.cuh"
#include "matrix.cuh"

struct ProductF32 {
    enum {
        kTile = 64,
        kInner = 16,
        kThreads = 128,
        kPitch = kTile + 4,
        kStages = 3,
        kTileFloats = kInner * kPitch,
        kSharedBytes = kStages * 2 * kTileFloats * 4,
    };

    template <bool INNER_CONTIGUOUS, class Index>
    static __device__ __forceinline__ void load(float* tile, const float* source, size_t stride,
                                                Index index, unsigned extent, unsigned inner,
                                                unsigned inner_end) {
        unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        unsigned shared = shared_address(tile);
#pragma unroll
        for (unsigned i = 0; i < kTile * kInner / kThreads; i++) {
            unsigned part = warp * (kTile * kInner / kThreads) + i;
            unsigned k, outer;
            if (INNER_CONTIGUOUS) {
                k = part % 2 * 8 + lane % 8;
                outer = part / 2 * 4 + lane / 8;
            } else {
                k = part / 2;
                outer = part % 2 * 32 + lane;
            }
            bool inside = index(outer) < extent && inner + k < inner_end;
            const float* from = INNER_CONTIGUOUS ? source + index(outer) * stride + (inner + k)
                                                 : source + (inner + k) * stride + index(outer);
            copy_async_4(shared + (k * kPitch + outer) * 4, inside ? from : source, inside ? 4 : 0);
        }
    }

    // Arguments as in Product::run of product_bf16.cuh.
    template <bool A_INNER, bool B_INNER, class Epilogue>
    static __device__ __forceinline__ void run(float* shared, const float* a, const float* b,
                                               const Epilogue& epilogue, unsigned m, unsigned n,
                                               size_t a_stride, size_t b_stride, unsigned inner_begin,
                                               unsigned inner_end) {
        unsigned column_tiles = (n + kTile - 1) / kTile;
        unsigned first_row = blockIdx.x / column_tiles * kTile;
        unsigned first_tile_column = blockIdx.x % column_tiles * kTile;
        unsigned row = threadIdx.x / 16 * 8, column = threadIdx.x % 16 * 4;

        auto load_tile = [&](unsigned tile) {
            float* stage = shared + tile % kStages * (2 * kTileFloats);
            unsigned inner = inner_begin + tile * kInner;
            load<A_INNER>(stage, a, a_stride, Consecutive{first_row}, m, inner, inner_end);
            load<B_INNER>(stage + kTileFloats, b, b_stride, epilogue.columns(first_tile_column), epilogue.extent(n),
                          inner, inner_end);
        };

        float sums[8][4] = {};
        unsigned tiles = (inner_end - inner_begin + kInner - 1) / kInner;
        for (unsigned tile = 0; tile < kStages - 1; tile++) {
            if (tile < tiles) load_tile(tile);
            copy_async_commit();
        }
        for (unsigned tile = 0; tile < tiles; tile++) {
            copy_async_wait<kStages - 2>();
            __syncthreads();
            if (tile + kStages - 1 < tiles) load_tile(tile + kStages - 1);
            copy_async_commit();
            const float* stage = shared + tile % kStages * (2 * kTileFloats);
#pragma unroll 4
            for (unsigned k = 0; k < kInner; k++) {
                const float* at = stage + k * kPitch;
                float4 lower = *(const float4*)(at + row), upper = *(const float4*)(at + row + 4);
                float4 right = *(const float4*)(at + kTileFloats + column);
                float x[8] = {lower.x, lower.y, lower.z, lower.w, upper.x, upper.y, upper.z, upper.w};
                float y[4] = {right.x, right.y, right.z, right.w};
#pragma unroll
                for (unsigned i = 0; i < 8; i++)
#pragma unroll
                    for (unsigned j = 0; j < 4; j++) sums[i][j] = fmaf(x[i], y[j], sums[i][j]);
            }
        }

        bool quads = epilogue.quads();
        unsigned first_column = first_tile_column + column;
#pragma unroll
        for (unsigned i = 0; i < 8; i++) {
            unsigned r = first_row + row + i;
            if (r >= m) break;
            if (quads) {
                if (first_column >= n) break;
                epilogue.four(r, first_column, make_float4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]));
            } else {
#pragma unroll
                for (unsigned j = 0; j < 4; j++) {
                    if (first_column + j >= n) break;
                    epilogue.one(r, first_column + j, sums[i][j]);
                }
            }
        }
    }
};
