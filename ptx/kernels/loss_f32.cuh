// The two passes of linear_cross_entropy in f32 for parity with the CPU: the structure of
// loss_bf16.cuh with fused multiply-adds. A block owns 32 rows and takes tiles of 16; the tile has
// one buffer.
//
// Eight warps, each with four owners from logits to sums, so P crosses lanes of one warp only:
//   logits    lane l forms owner l / 8 against rows l % 8 and l % 8 + 8 of the tile
//   products  lane l sums columns 4 l.. and every 128th after, for all four owners
// Rows of shared memory are CHUNK floats, 16-byte unit u of row r at u ^ (r % 8).
#pragma once
#include "matrix.cuh"

template <int CHUNK>
struct LossTilesF32 {
    enum {
        kOwners = 32,
        kOthers = 16,
        kThreads = 256,
        kOwnerFloats = kOwners * CHUNK,
        kOtherFloats = kOthers * CHUNK,
        kProbabilities = kOwnerFloats + kOtherFloats,  // [8 warps][16 of the tile][4 owners]
        kSharedBytes = (kProbabilities + kOwners * kOthers) * 4,
        kQuads = CHUNK / 128,
    };
    using Sums = float[4][kQuads][4];  // owner, step of 128 columns, column

    static __device__ __forceinline__ unsigned offset(unsigned row, unsigned unit) {
        return row * CHUNK + ((unit ^ (row & 7)) << 2);
    }

    // Columns first_column.. below `filled` (a multiple of 32) of ROWS rows; zeros beyond the
    // matrix. A warp copies 32 numbers of a row at a time, at any alignment.
    template <int ROWS>
    static __device__ __forceinline__ void load(float* tile, const float* source, unsigned first,
                                                unsigned end, unsigned first_column, unsigned width,
                                                unsigned filled) {
        unsigned lane = threadIdx.x % 32, shared = shared_address(tile);
        for (unsigned row = threadIdx.x / 32; row < ROWS; row += kThreads / 32)
            for (unsigned column = lane; column < filled; column += 32) {
                bool inside = first + row < end && first_column + column < width;
                const float* from = source + (size_t)(first + row) * width + (first_column + column);
                unsigned to = shared + (offset(row, column / 4) + column % 4) * 4;
                copy_async_4(to, inside ? from : source, inside ? 4 : 0);
            }
    }

    static __device__ __forceinline__ void logits(float (&s)[2], const float* owner, const float* other,
                                                  unsigned filled) {
        unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32 * 4 + lane / 8;
        for (unsigned unit = 0; unit < filled / 4; unit++) {
            float4 x = *(const float4*)(owner + offset(row, unit));
            float4 y = *(const float4*)(other + offset(lane % 8, unit));
            float4 z = *(const float4*)(other + offset(lane % 8 + 8, unit));
            s[0] = fmaf(x.x, y.x, s[0]), s[1] = fmaf(x.x, z.x, s[1]);
            s[0] = fmaf(x.y, y.y, s[0]), s[1] = fmaf(x.y, z.y, s[1]);
            s[0] = fmaf(x.z, y.z, s[0]), s[1] = fmaf(x.z, z.z, s[1]);
            s[0] = fmaf(x.w, y.w, s[0]), s[1] = fmaf(x.w, z.w, s[1]);
        }
    }

    static __device__ __forceinline__ void products(Sums& sums, const float* probabilities,
                                                    const float* other, unsigned filled) {
        unsigned lane = threadIdx.x % 32;
        for (unsigned j = 0; j < kOthers; j++) {
            float4 four = *(const float4*)(probabilities + j * 4);
            float p[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (unsigned q = 0; q < kQuads; q++) {
                if (lane * 4 + q * 128 >= filled) break;
                float4 y = *(const float4*)(other + offset(j, lane + q * 32));
#pragma unroll
                for (unsigned i = 0; i < 4; i++) {
                    sums[i][q][0] = fmaf(p[i], y.x, sums[i][q][0]);
                    sums[i][q][1] = fmaf(p[i], y.y, sums[i][q][1]);
                    sums[i][q][2] = fmaf(p[i], y.z, sums[i][q][2]);
                    sums[i][q][3] = fmaf(p[i], y.w, sums[i][q][3]);
                }
            }
        }
    }

    // The loop over tiles. `probabilities(s, first, sums)` turns this lane's two logits into P
    // and rescales the sums; both are done only where `products_wanted`, but for the first part.
    template <typename Probabilities>
    static __device__ __forceinline__ void run(float* shared, const float* owner, const float* others,
                                               unsigned owners, unsigned begin, unsigned end,
                                               unsigned width, Sums& sums, bool products_wanted,
                                               Probabilities probabilities) {
        const unsigned chunks = (width + CHUNK - 1) / CHUNK, slice = blockIdx.y;
        const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        float* tile = shared + kOwnerFloats;
        float* p = shared + kProbabilities + warp * (kOthers * 4);
        auto filled = [&](unsigned chunk) {
            return (min((unsigned)CHUNK, width - chunk * CHUNK) + 31) / 32 * 32;
        };
        for (unsigned first = begin; first < end; first += kOthers) {
            float s[2] = {};
            unsigned chunk = slice;
            for (unsigned i = 0; i < chunks; i++) {
                chunk = chunk + 1 == chunks ? 0 : chunk + 1;
                // All have done with the tile before.
                __syncthreads();
                if (chunks > 1 || first == begin)
                    load<kOwners>(shared, owner, blockIdx.x * kOwners, owners, chunk * CHUNK, width,
                                  filled(chunk));
                load<kOthers>(tile, others, first, end, chunk * CHUNK, width, filled(chunk));
                copy_async_commit();
                copy_async_wait<0>();
                __syncthreads();
                logits(s, shared, tile, filled(chunk));
            }
            probabilities(s, first, sums);
            if (!products_wanted) continue;
            p[lane % 8 * 4 + lane / 8] = s[0];
            p[(lane % 8 + 8) * 4 + lane / 8] = s[1];
            __syncwarp();
            products(sums, p, tile, filled(slice));
            __syncwarp();
        }
    }

    // out = sums * scale (+ addend), [owners, width], this block's slice.
    static __device__ __forceinline__ void store(const Sums& sums, float scale, const float* addend,
                                                 float* out, unsigned owners, unsigned width) {
        unsigned lane = threadIdx.x % 32;
        bool quads = rows_of_fours(width, out, addend);
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            unsigned row = blockIdx.x * kOwners + threadIdx.x / 32 * 4 + i;
            if (row >= owners) break;
#pragma unroll
            for (unsigned q = 0; q < kQuads; q++) {
                unsigned column = blockIdx.y * CHUNK + lane * 4 + q * 128;
                if (column >= width) break;
                size_t at = (size_t)row * width + column;
                if (quads) {
                    float4 add = addend ? *(const float4*)(addend + at) : float4{};
                    *(float4*)(out + at) =
                        make_float4(sums[i][q][0] * scale + add.x, sums[i][q][1] * scale + add.y,
                                    sums[i][q][2] * scale + add.z, sums[i][q][3] * scale + add.w);
                } else {
#pragma unroll
                    for (unsigned j = 0; j < 4; j++) {
                        if (column + j >= width) break;
                        float x = sums[i][q][j] * scale;
                        out[at + j] = addend ? x + addend[at + j] : x;
                    }
                }
            }
        }
    }
};

// As loss_hidden of loss_bf16.cuh.
template <int CHUNK>
__device__ __forceinline__ void loss_hidden(float* shared, const float* hidden, const float* weight,
                                            const int* targets, float* statistics, float* weighted,
                                            unsigned rows, unsigned width, unsigned vocab,
                                            unsigned cut_vocab) {
    using Tiles = LossTilesF32<CHUNK>;
    const unsigned begin = blockIdx.z * cut_vocab, end = min(vocab, begin + cut_vocab);
    const unsigned lane = threadIdx.x % 32;
    const unsigned row = blockIdx.x * Tiles::kOwners + threadIdx.x / 32 * 4 + lane / 8;
    const float low = __int_as_float(0xff800000);
    const unsigned target = row < rows ? (unsigned)targets[row] : 0xffffffffu;
    float largest = low, sum = 0.0f, target_logit = 0.0f;
    typename Tiles::Sums sums = {};

    auto probabilities = [&](float (&s)[2], unsigned first, typename Tiles::Sums& sums) {
        unsigned token = first + lane % 8;
        if (token == target) target_logit = s[0];
        if (token + 8 == target) target_logit = s[1];
        if (token >= end) s[0] = low;
        if (token + 8 >= end) s[1] = low;
        float grown = fmaxf(largest, fmaxf(s[0], s[1]));
        for (unsigned step = 1; step < 8; step *= 2)
            grown = fmaxf(grown, __shfl_xor_sync(0xffffffffu, grown, step));
        float factor = expf(largest - grown);
        largest = grown;
        s[0] = expf(s[0] - grown);
        s[1] = expf(s[1] - grown);
        sum = fmaf(sum, factor, s[0] + s[1]);
        if (!weighted) return;
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            float shrink = __shfl_sync(0xffffffffu, factor, i * 8);
            if (shrink == 1.0f) continue;
#pragma unroll
            for (unsigned q = 0; q < Tiles::kQuads; q++)
#pragma unroll
                for (unsigned j = 0; j < 4; j++) sums[i][q][j] *= shrink;
        }
    };
    Tiles::run(shared, hidden, weight, rows, begin, end, width, sums, weighted != nullptr, probabilities);

    if (weighted)
        Tiles::store(sums, 1.0f, nullptr, weighted + (size_t)blockIdx.z * rows * width, rows, width);
    for (unsigned step = 1; step < 8; step *= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
        target_logit += __shfl_xor_sync(0xffffffffu, target_logit, step);
    }
    if (blockIdx.y == 0 && lane % 8 == 0 && row < rows) {
        float* to = statistics + ((size_t)blockIdx.z * rows + row) * 3;
        to[0] = largest;
        to[1] = sum;
        to[2] = target_logit;
    }
}

// As loss_weight of loss_bf16.cuh.
template <int CHUNK>
__device__ __forceinline__ void loss_weight(float* shared, const float* hidden, const float* weight,
                                            const int* targets, const float* logsumexp, float* d_weight,
                                            float* partials, float scale, unsigned rows, unsigned width,
                                            unsigned vocab, unsigned cut_rows) {
    using Tiles = LossTilesF32<CHUNK>;
    const unsigned begin = blockIdx.z * cut_rows, end = min(rows, begin + cut_rows);
    const unsigned lane = threadIdx.x % 32;
    const int token = blockIdx.x * Tiles::kOwners + threadIdx.x / 32 * 4 + lane / 8;
    typename Tiles::Sums sums = {};

    auto probabilities = [&](float (&s)[2], unsigned first, typename Tiles::Sums&) {
#pragma unroll
        for (unsigned j = 0; j < 2; j++) {
            unsigned row = first + lane % 8 + j * 8;
            int target = row < end ? targets[row] : -1;
            float p = target >= 0 ? expf(s[j] - logsumexp[row]) : 0.0f;
            s[j] = target == token ? p - 1.0f : p;
        }
    };
    Tiles::run(shared, weight, hidden, vocab, begin, end, width, sums, true, probabilities);

    float* out = partials ? partials + (size_t)blockIdx.z * vocab * width : d_weight;
    Tiles::store(sums, scale, partials ? nullptr : d_weight, out, vocab, width);
}
