// The two passes of linear_cross_entropy on tensor cores. Both have the shape of flash attention
// with keys equal to values, and share one loop: a block owns 64 rows of one matrix (its owners),
// runs over the rows of the other in tiles of 16, forms the 64 x 16 logits, turns them into
// probabilities P, and adds P times the tile to 64 x CHUNK sums in registers.
//
//   pass      owners          tiles           P
//   hidden    hidden states   vocabulary      e^(l - largest so far), sums rescaled as it grows
//   weight    vocabulary      hidden states   e^(l - logsumexp) - onehot(target)
//
// The width is taken in chunks of CHUNK columns. Where it has one (up to 512), the owners stay in
// shared memory and tiles come in turns through two buffers, each copied while the one before it
// is worked on. Wider models sum one slice of CHUNK columns per block (blockIdx.y) and bring in
// owners and tile again chunk by chunk, the slice's own chunk last.
//
// Eight warps. Logits: warp w forms owners 16 (w / 2).. against eight rows of the tile, w % 2.
// Products: warp w adds all 64 owners to its eighth of the columns. P goes through shared memory.
// 16-byte unit u of row r lies at u ^ (r % 8), so copies and ldmatrix meet no bank twice.
#pragma once
#include "matrix.cuh"

// What a pass does with the logits of a tile, and its matrices.
struct LossProblem {
    const bf16* owner;   // [owners, width]
    const bf16* other;   // [others, width]
    unsigned owners, others_begin, others_end, width;
};

template <int CHUNK>
struct LossTiles {
    enum {
        kOwners = 64,
        kOthers = 16,
        kThreads = 256,
        kRowBytes = CHUNK * 2,
        kOwnerBytes = kOwners * kRowBytes,
        kOtherBytes = kOthers * kRowBytes,
        kProbabilities = kOwnerBytes + 2 * kOtherBytes,  // bf16 [64][16]
        kPairs = kProbabilities + kOwners * kOthers * 2, // f32 [2][64], one per warp pair and owner
        kShrink = kPairs + 2 * kOwners * 4,              // f32 [64]
        kSharedBytes = kShrink + kOwners * 4,
        kWarpColumns = CHUNK / 8,
        kMmaColumns = kWarpColumns / 8,
    };
    using Sums = float[4][kMmaColumns][4];

    static __device__ __forceinline__ unsigned offset(unsigned row, unsigned unit) {
        return row * kRowBytes + ((unit ^ (row & 7)) << 4);
    }
    // Of unit 0 or 1 of a row of P: 32-byte rows, so that four of them pass the banks once.
    static __device__ __forceinline__ unsigned probability_offset(unsigned row, unsigned unit) {
        return kProbabilities + row * 32 + ((unit ^ (row >> 2 & 1)) << 4);
    }

    // Columns first_column.. (as many as `filled`, a multiple of 32) of ROWS rows; zeros beyond
    // the matrix. `whole`: rows start on 16 bytes and hold whole units.
    template <int ROWS>
    static __device__ __forceinline__ void load(unsigned char* tile, const bf16* source, unsigned first,
                                                unsigned end, unsigned first_column, unsigned width,
                                                unsigned filled, bool whole) {
        if (whole) {
            unsigned shared = shared_address(tile);
#pragma unroll
            for (unsigned i = 0; i < ROWS * CHUNK / 8 / kThreads; i++) {
                unsigned at = threadIdx.x + i * kThreads;
                unsigned row = at / (CHUNK / 8), unit = at % (CHUNK / 8);
                if (unit * 8 >= filled) continue;
                bool inside = first + row < end && first_column + unit * 8 < width;
                const bf16* from = source + (size_t)(first + row) * width + (first_column + unit * 8);
                copy_async_16(shared + offset(row, unit), inside ? from : source, inside ? 16 : 0);
            }
        } else {
            for (unsigned at = threadIdx.x; at < ROWS * CHUNK; at += kThreads) {
                unsigned row = at / CHUNK, column = at % CHUNK;
                if (column >= filled) continue;
                bool inside = first + row < end && first_column + column < width;
                const bf16* from = source + (size_t)(first + row) * width + (first_column + column);
                *(bf16*)(tile + offset(row, column / 8) + column % 8 * 2) = inside ? *from : (bf16)0;
            }
        }
    }

    // s += owners of this warp times its eight rows of the tile, over `filled` columns.
    static __device__ __forceinline__ void logits(float (&s)[4], unsigned owner, unsigned other,
                                                  unsigned filled) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        unsigned row = warp / 2 * 16 + lane % 16, column = warp % 2 * 8 + lane % 8;
        // Two chains of sums, or each mma would wait for the one before it.
        float even[4] = {}, odd[4] = {};
#pragma unroll 4
        for (unsigned unit = 0; unit < filled / 8; unit += 4) {
            unsigned a[4], b[4];
            load_matrices<false>(b, other + offset(column, unit + lane / 8));
            load_matrices<false>(a, owner + offset(row, unit + lane / 16));
            mma(even, a, b[0], b[1]);
            load_matrices<false>(a, owner + offset(row, unit + 2 + lane / 16));
            mma(odd, a, b[2], b[3]);
        }
#pragma unroll
        for (unsigned i = 0; i < 4; i++) s[i] += even[i] + odd[i];
    }

    // sums += P times this warp's columns of the tile.
    static __device__ __forceinline__ void products(Sums& sums, unsigned shared, unsigned other) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        unsigned a[4][4];
#pragma unroll
        for (unsigned i = 0; i < 4; i++)
            load_matrices<false>(a[i], shared + probability_offset(i * 16 + lane % 16, lane / 16));
#pragma unroll
        for (unsigned j = 0; j < kMmaColumns / 2; j++) {
            unsigned b[4];
            load_matrices<true>(
                b, other + offset(lane % 16, (warp * kWarpColumns + j * 16) / 8 + lane / 16));
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                mma(sums[i][2 * j], a[i], b[0], b[1]);
                mma(sums[i][2 * j + 1], a[i], b[2], b[3]);
            }
        }
    }

    // The loop over tiles. `prepare(first)` reads what a tile needs, before its logits;
    // `probabilities(s, first)` stores P, ends with a barrier, and says whether sums are wanted;
    // `rescale(sums)` runs before P is used.
    template <typename Prepare, typename Probabilities, typename Rescale>
    static __device__ __forceinline__ void run(unsigned char* shared, const LossProblem& problem,
                                               Sums& sums, bool products_wanted, Prepare prepare,
                                               Probabilities probabilities, Rescale rescale) {
        const unsigned width = problem.width, begin = problem.others_begin, end = problem.others_end;
        const unsigned chunks = (width + CHUNK - 1) / CHUNK, slice = blockIdx.y;
        const unsigned first_owner = blockIdx.x * kOwners;
        const bool whole =
            width % 8 == 0 && ((size_t)problem.owner | (size_t)problem.other) % 16 == 0;
        const unsigned address = shared_address(shared);
        // Columns of a chunk that are filled: whole steps of the logits' inner loop.
        auto filled = [&](unsigned chunk) {
            return (min((unsigned)CHUNK, width - chunk * CHUNK) + 31) / 32 * 32;
        };
        auto load_owners = [&](unsigned chunk) {
            load<kOwners>(shared, problem.owner, first_owner, problem.owners, chunk * CHUNK, width,
                          filled(chunk), whole);
        };
        auto load_others = [&](unsigned buffer, unsigned first, unsigned chunk) {
            load<kOthers>(shared + kOwnerBytes + buffer * kOtherBytes, problem.other, first, end,
                          chunk * CHUNK, width, filled(chunk), whole);
        };
        const bool busy = threadIdx.x / 32 * kWarpColumns < filled(slice);

        if (chunks == 1) {
            load_owners(0);
            load_others(0, begin, 0);
            copy_async_commit();
        }
        unsigned buffer = 0;
        for (unsigned first = begin; first < end; first += kOthers) {
            prepare(first);
            float s[4] = {};
            if (chunks == 1) {
                // This tile has landed for every thread; all have done with the other buffer.
                copy_async_wait<0>();
                __syncthreads();
                if (first + kOthers < end) load_others(buffer ^ 1, first + kOthers, 0);
                copy_async_commit();
                logits(s, address, address + kOwnerBytes + buffer * kOtherBytes, filled(0));
            } else {
                unsigned chunk = slice;
                for (unsigned i = 0; i < chunks; i++) {
                    chunk = chunk + 1 == chunks ? 0 : chunk + 1;
                    __syncthreads();
                    load_owners(chunk);
                    load_others(buffer, first, chunk);
                    copy_async_commit();
                    copy_async_wait<0>();
                    __syncthreads();
                    logits(s, address, address + kOwnerBytes + buffer * kOtherBytes, filled(chunk));
                }
            }
            probabilities(s, first);
            if (products_wanted) {
                rescale(sums);
                if (busy) products(sums, address, address + kOwnerBytes + buffer * kOtherBytes);
            }
            if (chunks == 1) buffer ^= 1;
        }
        copy_async_wait<0>();
    }

    // Stores this thread's two numbers of P for each of its two owners.
    static __device__ __forceinline__ void store_probabilities(unsigned char* shared, const float (&p)[4]) {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = warp / 2 * 16 + lane / 4;
        *(unsigned*)(shared + probability_offset(row, warp % 2) + lane % 4 * 4) = pack(p[0], p[1]);
        *(unsigned*)(shared + probability_offset(row + 8, warp % 2) + lane % 4 * 4) = pack(p[2], p[3]);
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
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned local = warp / 2 * 16 + lane / 4;  // this thread's owners: local and local + 8
    const float low = __int_as_float(0xff800000);
    float* pairs = (float*)(shared + Tiles::kPairs);
    float* shrink = (float*)(shared + Tiles::kShrink);

    unsigned target[2];
#pragma unroll
    for (unsigned h = 0; h < 2; h++) {
        unsigned row = blockIdx.x * Tiles::kOwners + local + h * 8;
        target[h] = row < rows ? (unsigned)targets[row] : 0xffffffffu;
    }
    float largest[2] = {low, low}, sum[2] = {}, target_logit[2] = {};
    typename Tiles::Sums sums = {};

    auto probabilities = [&](float (&s)[4], unsigned first) {
        unsigned column = first + warp % 2 * 8 + lane % 4 * 2;
        float top[2];
#pragma unroll
        for (unsigned h = 0; h < 2; h++) {
#pragma unroll
            for (unsigned j = 0; j < 2; j++) {
                if (column + j >= end) s[2 * h + j] = low;
                else if (column + j == target[h]) target_logit[h] = s[2 * h + j];
            }
            top[h] = fmaxf(s[2 * h], s[2 * h + 1]);
            top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 1));
            top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 2));
            if (lane % 4 == 0) pairs[warp % 2 * Tiles::kOwners + local + h * 8] = top[h];
        }
        __syncthreads();
#pragma unroll
        for (unsigned h = 0; h < 2; h++) {
            float other = pairs[(warp % 2 ^ 1) * Tiles::kOwners + local + h * 8];
            float grown = fmaxf(largest[h], fmaxf(top[h], other));
            float factor = expf(largest[h] - grown);
            largest[h] = grown;
            s[2 * h] = expf(s[2 * h] - grown);
            s[2 * h + 1] = expf(s[2 * h + 1] - grown);
            sum[h] = fmaf(sum[h], factor, s[2 * h] + s[2 * h + 1]);
            if (warp % 2 == 0 && lane % 4 == 0) shrink[local + h * 8] = factor;
        }
        Tiles::store_probabilities(shared, s);
        __syncthreads();
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
    LossProblem problem = {hidden, weight, rows, begin, end, width};
    Tiles::run(shared, problem, sums, weighted != nullptr, [](unsigned) {}, probabilities, rescale);

    if (weighted)
        Tiles::store(sums, 1.0f, nullptr, weighted + (size_t)blockIdx.z * rows * width, rows, width);
    if (blockIdx.y > 0) return;
    // Lanes of a quad, then the two warps: P is done with, and carries the target's logits.
    __syncthreads();
    float* found = (float*)(shared + Tiles::kProbabilities);
#pragma unroll
    for (unsigned h = 0; h < 2; h++) {
        for (unsigned step = 1; step < 4; step *= 2) {
            sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], step);
            target_logit[h] += __shfl_xor_sync(0xffffffffu, target_logit[h], step);
        }
        if (lane % 4 == 0) {
            pairs[warp % 2 * Tiles::kOwners + local + h * 8] = sum[h];
            found[warp % 2 * Tiles::kOwners + local + h * 8] = target_logit[h];
            if (warp % 2 == 0) shrink[local + h * 8] = largest[h];
        }
    }
    __syncthreads();
    unsigned owner = threadIdx.x, row = blockIdx.x * Tiles::kOwners + owner;
    if (owner < Tiles::kOwners && row < rows) {
        float* to = statistics + ((size_t)blockIdx.z * rows + row) * 3;
        to[0] = shrink[owner];
        to[1] = pairs[owner] + pairs[owner + Tiles::kOwners];
        to[2] = found[owner] + found[owner + Tiles::kOwners];
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
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned token = blockIdx.x * Tiles::kOwners + warp / 2 * 16 + lane / 4;
    int target[2];
    float lse[2];
    typename Tiles::Sums sums = {};

    // Ignored rows, and those beyond the end, have no gradient: e^(l - infinity).
    auto prepare = [&](unsigned first) {
#pragma unroll
        for (unsigned j = 0; j < 2; j++) {
            unsigned row = first + warp % 2 * 8 + lane % 4 * 2 + j;
            target[j] = row < end ? targets[row] : -1;
            lse[j] = target[j] >= 0 ? logsumexp[row] : __int_as_float(0x7f800000);
        }
    };
    auto probabilities = [&](float (&s)[4], unsigned) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            float p = expf(s[i] - lse[i % 2]);
            s[i] = target[i % 2] == (int)(token + i / 2 * 8) ? p - 1.0f : p;
        }
        Tiles::store_probabilities(shared, s);
        __syncthreads();
    };
    LossProblem problem = {weight, hidden, vocab, begin, end, width};
    Tiles::run(shared, problem, sums, true, prepare, probabilities, [](typename Tiles::Sums&) {});

    float* out = partials ? partials + (size_t)blockIdx.z * vocab * width : d_weight;
    Tiles::store(sums, scale, partials ? nullptr : d_weight, out, vocab, width);
}
