// The two passes of linear_cross_entropy on tensor cores. Both have the shape of flash attention
// with keys equal to values, and share one loop: a block owns 64 rows of one matrix (its owners),
// runs over the rows of the other in tiles of 16, forms the 64 x 16 logits, turns them into
// probabilities P, and adds P times the tile to 64 x CHUNK sums in registers.
//
//   pass      owners          tiles           P
//   hidden    hidden states   vocabulary      e^(l - largest so far), sums rescaled as it grows
//   weight    vocabulary      hidden states   e^(l - logsumexp) - onehot(target)
//
// Eight warps, each with an eighth of the columns of everything: warp w keeps its columns of the
// owners in registers, copies its columns of the tiles, multiplies the two to its part of the
// logits, and adds P times its columns. So a tile is seen by one warp only, comes three deep
// without a barrier, and only 64 x 16 numbers cross warps, twice per tile: the eight parts of the
// logits, which are added in ascending order of the columns (f32, shared memory), and P (bf16).
//
// The width is taken in chunks of CHUNK columns. Where it has one (up to 512), the owners stay in
// registers. Wider models sum one slice of CHUNK columns per block (blockIdx.y) and bring owners
// and tile in again chunk by chunk, the slice's own chunk last.
//
// 16-byte unit u of row r of a tile lies at u ^ (r % 8), so copies and ldmatrix meet no bank twice.
#pragma once
#include "matrix.cuh"

struct LossProblem {
    const bf16* owner;  // [owners, width]
    const bf16* other;  // [others, width]
    unsigned owners, others_begin, others_end, width;
    // A float and an int of each of the others, or null: handed to the probabilities.
    const float* logsumexp;
    const int* targets;
};

template <int CHUNK>
struct LossTiles {
    enum {
        kOwners = 64,
        kOthers = 16,
        kThreads = 256,
        kStages = 3,
        kRowBytes = CHUNK * 2,
        kStageBytes = kOthers * kRowBytes,
        kParts = kStages * kStageBytes,             // f32 [8 warps][64][16]
        kProbabilities = kParts + 8 * 64 * 16 * 4,  // bf16 [64][16]
        kShrink = kProbabilities + 64 * 16 * 2,     // f32 [64]
        kOfOthers = kShrink + 64 * 4,               // f32 [16], i32 [16] of each stage
        kSharedBytes = kOfOthers + kStages * 128,
        kOwnersStaged = kStageBytes,  // from the second stage into the parts, before these exist
        kWarpColumns = CHUNK / 8,
        kWarpUnits = kWarpColumns / 8,
        kSteps = kWarpColumns / 16,
        kMmaColumns = kWarpColumns / 8,
    };
    static_assert(kOwnersStaged + kOwners * kRowBytes <= kProbabilities, "the owners find room");
    using Owners = unsigned[4][kSteps][4];
    using Sums = float[4][kMmaColumns][4];

    static __device__ __forceinline__ unsigned offset(unsigned row, unsigned unit) {
        return row * kRowBytes + ((unit ^ (row & 7)) << 4);
    }
    // Of unit 0 or 1 of a row of P: 32-byte rows, so that four of them pass the banks once.
    static __device__ __forceinline__ unsigned probability_offset(unsigned row, unsigned unit) {
        return kProbabilities + row * 32 + ((unit ^ (row >> 2 & 1)) << 4);
    }
    // Of unit 0 to 3 of a row of logits: 64-byte rows, two of which pass the banks once; mma leaves
    // half a unit per lane, of which four rows are written at once.
    static __device__ __forceinline__ unsigned part_offset(unsigned row, unsigned unit) {
        return row * 64 + ((unit ^ (row & 2)) << 4);
    }

    // This warp's columns of ROWS rows, of a chunk of the width; zeros beyond the matrix.
    // `whole`: rows start on 16 bytes and hold whole units.
    template <int ROWS>
    static __device__ __forceinline__ void load(unsigned char* tile, const bf16* source, unsigned first,
                                                unsigned end, unsigned chunk, unsigned width,
                                                bool whole) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        unsigned first_column = chunk * CHUNK + warp * kWarpColumns;
        if (whole) {
            unsigned shared = shared_address(tile);
            unsigned unit = lane % kWarpUnits, column = first_column + unit * 8;
#pragma unroll
            for (unsigned i = 0; i < ROWS * kWarpUnits / 32; i++) {
                unsigned row = lane / kWarpUnits + i * (32 / kWarpUnits);
                bool inside = first + row < end && column < width;
                const bf16* from = source + (size_t)(first + row) * width + column;
                copy_async_16(shared + offset(row, warp * kWarpUnits + unit), inside ? from : source,
                              inside ? 16 : 0);
            }
        } else {
#pragma unroll 1
            for (unsigned i = 0; i < ROWS * kWarpColumns / 32; i++) {
                unsigned row = (i * 32 + lane) / kWarpColumns, column = (i * 32 + lane) % kWarpColumns;
                bool inside = first + row < end && first_column + column < width;
                const bf16* from = source + (size_t)(first + row) * width + (first_column + column);
                unsigned at = offset(row, warp * kWarpUnits + column / 8) + column % 8 * 2;
                *(bf16*)(tile + at) = inside ? *from : (bf16)0;
            }
        }
    }

    static __device__ __forceinline__ void take_owners(Owners& owners, unsigned staged) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
        for (unsigned i = 0; i < 4; i++)
#pragma unroll
            for (unsigned k = 0; k < kSteps; k++)
                load_matrices<false>(
                    owners[i][k],
                    staged + offset(i * 16 + lane % 16, warp * kWarpUnits + k * 2 + lane / 16));
    }

    // s += owners times the tile, over this warp's columns.
    static __device__ __forceinline__ void logits(float (&s)[4][2][4], const Owners& owners, unsigned tile) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
        for (unsigned k = 0; k < kSteps; k++) {
            unsigned b[4];
            load_matrices<false>(b, tile + offset(lane % 8 + lane / 16 * 8,
                                                  warp * kWarpUnits + k * 2 + lane / 8 % 2));
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                mma(s[i][0], owners[i][k], b[0], b[1]);
                mma(s[i][1], owners[i][k], b[2], b[3]);
            }
        }
    }

    static __device__ __forceinline__ void store_part(unsigned shared, const float (&s)[4][2][4]) {
        unsigned lane = threadIdx.x % 32;
        unsigned part = shared + kParts + threadIdx.x / 32 * (kOwners * kOthers * 4);
#pragma unroll
        for (unsigned i = 0; i < 8; i++)
#pragma unroll
            for (unsigned j = 0; j < 2; j++) {
                unsigned at = part_offset(i * 8 + lane / 4, j * 2 + lane % 4 / 2) + lane % 2 * 8;
                store_shared_pair(part + at, s[i / 2][j][i % 2 * 2], s[i / 2][j][i % 2 * 2 + 1]);
            }
    }

    // This thread's four logits: owner threadIdx.x / 4, others 4 (threadIdx.x % 4)..
    static __device__ __forceinline__ float4 add_parts(const unsigned char* shared, unsigned warps) {
        const unsigned char* part = shared + kParts + part_offset(threadIdx.x / 4, threadIdx.x % 4);
        float4 sum = *(const float4*)part;
#pragma unroll
        for (unsigned warp = 1; warp < 8; warp++) {
            if (warp >= warps) break;
            float4 x = *(const float4*)(part + warp * (kOwners * kOthers * 4));
            sum = make_float4(sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w);
        }
        return sum;
    }

    // sums += P times this warp's columns of the tile.
    static __device__ __forceinline__ void products(Sums& sums, unsigned shared, unsigned tile) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        unsigned a[4][4];
#pragma unroll
        for (unsigned i = 0; i < 4; i++)
            load_matrices<false>(a[i], shared + probability_offset(i * 16 + lane % 16, lane / 16));
#pragma unroll
        for (unsigned j = 0; j < kMmaColumns / 2; j++) {
            unsigned b[4];
            load_matrices<true>(b, tile + offset(lane % 16, warp * kWarpUnits + j * 2 + lane / 16));
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                mma(sums[i][2 * j], a[i], b[0], b[1]);
                mma(sums[i][2 * j + 1], a[i], b[2], b[3]);
            }
        }
    }

    // The loop over tiles. `probabilities(l, first, stage)` turns this thread's four logits, the
    // first of them with other `first`, into P; `rescale(sums)` runs before P is used.
    template <typename Probabilities, typename Rescale>
    static __device__ __forceinline__ void run(unsigned char* shared, const LossProblem& problem,
                                               Sums& sums, bool products_wanted,
                                               Probabilities probabilities, Rescale rescale) {
        const unsigned width = problem.width, begin = problem.others_begin, end = problem.others_end;
        const unsigned chunks = (width + CHUNK - 1) / CHUNK, slice = blockIdx.y;
        const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const unsigned warps = chunks > 1 ? 8 : (width + kWarpColumns - 1) / kWarpColumns;
        const bool busy = warp < warps;
        const bool whole =
            width % 8 == 0 && ((size_t)problem.owner | (size_t)problem.other) % 16 == 0;
        const unsigned address = shared_address(shared);
        auto load_owners = [&](unsigned chunk) {
            load<kOwners>(shared + kOwnersStaged, problem.owner, blockIdx.x * kOwners, problem.owners,
                          chunk, width, whole);
        };
        auto load_others = [&](unsigned stage, unsigned first, unsigned chunk) {
            load<kOthers>(shared + stage * kStageBytes, problem.other, first, end, chunk, width, whole);
        };
        auto load_of_others = [&](unsigned stage, unsigned first) {
            if (!problem.targets || warp != 0) return;
            bool inside = first + lane % 16 < end;
            const void* from = lane < 16 ? (const void*)(problem.logsumexp + first + lane)
                                         : (const void*)(problem.targets + first + lane - 16);
            copy_async_4(address + kOfOthers + stage * 128 + lane * 4,
                         inside ? from : (const void*)problem.targets, inside ? 4 : 0);
        };
        // One group of copies, empty beyond the last tile.
        auto fetch = [&](unsigned stage, unsigned first) {
            if (first < end) {
                if (busy) load_others(stage, first, 0);
                load_of_others(stage, first);
            }
            copy_async_commit();
        };

        Owners owners;
        if (chunks == 1) {
            if (busy) load_owners(0);
            copy_async_commit();
            fetch(0, begin);
            copy_async_wait<1>();
            __syncwarp();
            if (busy) take_owners(owners, address + kOwnersStaged);
            // All have taken theirs: the second stage is free.
            __syncthreads();
            fetch(1, begin + kOthers);
        }
        unsigned stage = 0;
        for (unsigned first = begin; first < end; first += kOthers) {
            float s[4][2][4] = {};
            const unsigned tile = address + stage * kStageBytes;
            if (chunks == 1) {
                // The tile has landed for all lanes, and they have done with the one before it.
                copy_async_wait<1>();
                __syncwarp();
                fetch(stage == 0 ? 2 : stage - 1, first + 2 * kOthers);
                if (busy) logits(s, owners, tile);
            } else {
                unsigned chunk = slice;
                for (unsigned i = 0; i < chunks; i++) {
                    chunk = chunk + 1 == chunks ? 0 : chunk + 1;
                    __syncwarp();
                    load_owners(chunk);
                    load_others(0, first, chunk);
                    if (i == 0) load_of_others(0, first);
                    copy_async_commit();
                    copy_async_wait<0>();
                    __syncwarp();
                    take_owners(owners, address + kOwnersStaged);
                    logits(s, owners, tile);
                }
                // The owners of every warp are taken: their place is free for the parts.
                __syncthreads();
            }
            if (busy) store_part(address, s);
            __syncthreads();
            float4 l = add_parts(shared, warps);
            probabilities(l, first + threadIdx.x % 4 * 4, stage);
            *(uint2*)(shared + probability_offset(threadIdx.x / 4, threadIdx.x % 4 / 2) +
                      threadIdx.x % 2 * 8) = make_uint2(pack(l.x, l.y), pack(l.z, l.w));
            __syncthreads();
            if (products_wanted) {
                rescale(sums);
                if (busy) products(sums, address, tile);
            }
            if (chunks == 1) stage = stage == kStages - 1 ? 0 : stage + 1;
        }
        copy_async_wait<0>();
    }

    // out = sums * scale (+ addend), f32 [owners, width], this block's slice.
    static __device__ __forceinline__ void store(const Sums& sums, float scale, const float* addend,
                                                 float* out, unsigned owners, unsigned width) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        bool pairs = width % 2 == 0 && ((size_t)out | (size_t)addend) % 8 == 0;
#pragma unroll
        for (unsigned i = 0; i < 8; i++) {
            unsigned row = blockIdx.x * kOwners + i * 8 + lane / 4;
            if (row >= owners) break;
#pragma unroll
            for (unsigned j = 0; j < kMmaColumns; j++) {
                unsigned column = blockIdx.y * CHUNK + warp * kWarpColumns + j * 8 + lane % 4 * 2;
                if (column >= width) break;
                size_t at = (size_t)row * width + column;
                float x = sums[i / 2][j][i % 2 * 2] * scale, y = sums[i / 2][j][i % 2 * 2 + 1] * scale;
                if (pairs) {
                    float2 add = addend ? *(const float2*)(addend + at) : make_float2(0.0f, 0.0f);
                    *(float2*)(out + at) = make_float2(x + add.x, y + add.y);
                } else {
                    out[at] = addend ? x + addend[at] : x;
                    if (column + 1 < width) out[at + 1] = addend ? y + addend[at + 1] : y;
                }
            }
        }
    }
};

// Largest logit, sum of e^(l - largest) and target's logit of this block's vocabulary, for each of
// its rows, and unless `weighted` is null the sums of e^(l - largest) times the weight's rows.
template <int CHUNK>
__device__ __forceinline__ void loss_hidden(unsigned char* shared, const bf16* hidden, const bf16* weight,
                                            const int* targets, float* statistics, float* weighted,
                                            unsigned rows, unsigned width, unsigned vocab,
                                            unsigned cut_vocab) {
    using Tiles = LossTiles<CHUNK>;
    const unsigned begin = blockIdx.z * cut_vocab, end = min(vocab, begin + cut_vocab);
    const unsigned lane = threadIdx.x % 32, row = blockIdx.x * Tiles::kOwners + threadIdx.x / 4;
    const float low = __int_as_float(0xff800000);
    float* shrink = (float*)(shared + Tiles::kShrink);
    const unsigned target = row < rows ? (unsigned)targets[row] : 0xffffffffu;
    float largest = low, sum = 0.0f, target_logit = 0.0f;
    typename Tiles::Sums sums = {};

    auto probabilities = [&](float4& four, unsigned token, unsigned) {
        float l[4] = {four.x, four.y, four.z, four.w};
        float grown = largest;
#pragma unroll
        for (unsigned j = 0; j < 4; j++) {
            if (token + j == target) target_logit = l[j];
            if (token + j >= end) l[j] = low;
            grown = fmaxf(grown, l[j]);
        }
        grown = fmaxf(grown, __shfl_xor_sync(0xffffffffu, grown, 1));
        grown = fmaxf(grown, __shfl_xor_sync(0xffffffffu, grown, 2));
        float factor = expf(largest - grown);
        largest = grown;
        if (lane % 4 == 0) shrink[threadIdx.x / 4] = factor;
#pragma unroll
        for (unsigned j = 0; j < 4; j++) l[j] = expf(l[j] - grown);
        sum = fmaf(sum, factor, (l[0] + l[1]) + (l[2] + l[3]));
        four = make_float4(l[0], l[1], l[2], l[3]);
    };
    auto rescale = [&](typename Tiles::Sums& sums) {
#pragma unroll
        for (unsigned i = 0; i < 8; i++) {
            float factor = shrink[i * 8 + lane / 4];
            if (factor == 1.0f) continue;
#pragma unroll
            for (unsigned j = 0; j < Tiles::kMmaColumns; j++) {
                sums[i / 2][j][i % 2 * 2] *= factor;
                sums[i / 2][j][i % 2 * 2 + 1] *= factor;
            }
        }
    };
    LossProblem problem = {hidden, weight, rows, begin, end, width, nullptr, nullptr};
    Tiles::run(shared, problem, sums, weighted != nullptr, probabilities, rescale);

    if (weighted)
        Tiles::store(sums, 1.0f, nullptr, weighted + (size_t)blockIdx.z * rows * width, rows, width);
    for (unsigned step = 1; step < 4; step *= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
        target_logit += __shfl_xor_sync(0xffffffffu, target_logit, step);
    }
    if (blockIdx.y == 0 && lane % 4 == 0 && row < rows) {
        float* to = statistics + ((size_t)blockIdx.z * rows + row) * 3;
        to[0] = largest;
        to[1] = sum;
        to[2] = target_logit;
    }
}

// d_weight += scale (softmax - onehot)^T hidden over this block's cut of the rows, or the same
// product into its part of `partials`.
template <int CHUNK>
__device__ __forceinline__ void loss_weight(unsigned char* shared, const bf16* hidden, const bf16* weight,
                                            const int* targets, const float* logsumexp, float* d_weight,
                                            float* partials, float scale, unsigned rows, unsigned width,
                                            unsigned vocab, unsigned cut_rows) {
    using Tiles = LossTiles<CHUNK>;
    const unsigned begin = blockIdx.z * cut_rows, end = min(rows, begin + cut_rows);
    const int token = blockIdx.x * Tiles::kOwners + threadIdx.x / 4;
    typename Tiles::Sums sums = {};

    auto probabilities = [&](float4& four, unsigned first, unsigned stage) {
        const unsigned char* of_others = shared + Tiles::kOfOthers + stage * 128 + threadIdx.x % 4 * 16;
        float4 lse = *(const float4*)of_others;
        int4 target = *(const int4*)(of_others + 64);
        auto gradient = [&](float l, float lse, int target, unsigned row) {
            // Ignored rows, and those beyond the end, have no gradient.
            float p = row < end && target >= 0 ? expf(l - lse) : 0.0f;
            return row < end && target == token ? p - 1.0f : p;
        };
        four = make_float4(
            gradient(four.x, lse.x, target.x, first), gradient(four.y, lse.y, target.y, first + 1),
            gradient(four.z, lse.z, target.z, first + 2), gradient(four.w, lse.w, target.w, first + 3));
    };
    LossProblem problem = {weight, hidden, vocab, begin, end, width, logsumexp, targets};
    Tiles::run(shared, problem, sums, true, probabilities, [](typename Tiles::Sums&) {});

    float* out = partials ? partials + (size_t)blockIdx.z * vocab * width : d_weight;
    Tiles::store(sums, scale, partials ? nullptr : d_weight, out, vocab, width);
}
