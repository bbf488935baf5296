// Latent attention of 64 tokens whose queries, and gradients, lie in shared memory: the middle of
// latent_block. The mathematics is latent_attention.cu's, and so is what bf16 rounds.
//
// Units of work are strips of 16 tokens of one head, dealt to the warps. A warp overwrites its strip
// in place. Latents come in groups of 16, filled up with rows of zeros whose weights are zero; a thread
// holds the scores of a strip at rows lane / 4 and lane / 4 + 8, columns 2 (lane % 4) and the next of
// every eight.
#pragma once
#include "attention_tiles.cuh"
#include "resident_product.cuh"

enum { kGroup = 16, kMostGroups = 4 };

struct Extents {
    unsigned seq, width, head_dim, latents;
    // Rows of the latents' panels: 16, 32 or 64, the latents in whole groups.
    __device__ __forceinline__ unsigned latent_rows() const { return latents <= 16 ? 16 : latents <= 32 ? 32 : 64; }
    __device__ __forceinline__ unsigned groups() const { return latent_rows() / kGroup; }
};

// Eight numbers of row `row` of a head, from column `column` of the head on, rotated.
__device__ __forceinline__ void rotate(float (&x)[8], Angles angles, size_t row, unsigned column, unsigned head_dim) {
    const size_t at = row * (head_dim / 2) + column / 2;
    float cos[4], sin[4];
    load_angles(cos, angles.cos + at);
    load_angles(sin, angles.sin + at);
#pragma unroll
    for (int i = 0; i < 4; ++i) turn<false>(x[2 * i], x[2 * i + 1], cos[i], sin[i]);
}

__device__ __forceinline__ uint4 narrow(const float (&x)[8]) {
    return make_uint4(pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7]));
}

// Columns `first` .. `first + columns` of the keys, rotated where there are angles, and of the values of
// one sequence, kv [M, 2, width].
__device__ __forceinline__ void load_latents(const Panel& keys, const Panel& values, const bf16* kv, Angles angles,
                                             const Extents& e, unsigned first, unsigned columns) {
    const unsigned units = columns / 8;
#pragma unroll 1
    for (unsigned row = warp(); row < e.latent_rows(); row += kWarps) {
#pragma unroll 1
        for (unsigned u = lane(); u < units; u += 32) {
            const unsigned column = first + u * 8;
            uint4 value = make_uint4(0, 0, 0, 0), key = value;
            if (row < e.latents && column < e.width) {
                const bf16* from = kv + (size_t)row * 2 * e.width + column;
                key = *(const uint4*)from;
                value = *(const uint4*)(from + e.width);
                if (angles.cos) {
                    float x[8];
                    unpack(x, key);
                    rotate(x, angles, row, column % e.head_dim, e.head_dim);
                    key = narrow(x);
                }
            }
            store_shared(keys.unit(row, u), key);
            store_shared(values.unit(row, u), value);
        }
    }
}

// A strip's numbers for each latent: scores, weights or their gradients.
typedef float Scores[kMostGroups][2][4];

// x[latent] = the strip's rows . those of the latents, over head_dim columns from `column` and
// `latent_column` on.
__device__ __forceinline__ void dots(Scores& x, const Panel& tokens, unsigned row, unsigned column,
                                     const Panel& latents, unsigned latent_column, const Extents& e) {
#pragma unroll
    for (int g = 0; g < kMostGroups; ++g)
#pragma unroll
        for (int i = 0; i < 8; ++i) x[g][i / 4][i % 4] = 0.0f;
#pragma unroll 1
    for (unsigned k = 0; k < e.head_dim; k += 16) {
        unsigned a[4];
        tokens.fragment_a(a, row, column + k);
#pragma unroll
        for (unsigned g = 0; g < kMostGroups; ++g) {
            if (g >= e.groups()) break;
            unsigned b[4];
            latents.fragment_b(b, g * kGroup, latent_column + k);
            mma(x[g][0], a, b[0], b[1]);
            mma(x[g][1], a, b[2], b[3]);
        }
    }
}

// A number for each of a thread's two rows.
struct Two {
    float x[2];
    __device__ __forceinline__ float& operator[](int i) { return x[i]; }
    __device__ __forceinline__ float operator[](int i) const { return x[i]; }
};
__device__ __forceinline__ float over_row(float x) {
    x += __shfl_xor_sync(kFullWarp, x, 2);
    return x + __shfl_xor_sync(kFullWarp, x, 1);
}

// Turns scores into weights relative to the largest, 2^(scale2 (score - largest)), and returns their sums. A
// single latent counts as of score zero: its weight is one without rounding.
__device__ __forceinline__ Two weigh(Scores& s, float scale2, const Extents& e) {
    Two sums;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float most = minus_infinity(), sum = 0.0f;
#pragma unroll
        for (unsigned g = 0; g < kMostGroups; ++g) {
            if (g >= e.groups()) break;
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                float& x = s[g][j / 2][2 * i + j % 2];
                const unsigned latent = g * kGroup + j / 2 * 8 + lane() % 4 * 2 + j % 2;
                if (latent >= e.latents) x = minus_infinity();
                else if (e.latents == 1) x = 0.0f;
                most = fmaxf(most, x);
            }
        }
        most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, 2));
        most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, 1)) * scale2;
#pragma unroll
        for (unsigned g = 0; g < kMostGroups; ++g) {
            if (g >= e.groups()) break;
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                float& x = s[g][j / 2][2 * i + j % 2];
                x = exp2_approx(fmaf(x, scale2, -most));
                sum += x;
            }
        }
        sums[i] = over_row(sum);
    }
    return sums;
}

// A strip's numbers as mma operands, group by group.
typedef unsigned Operands[kMostGroups][4];
__device__ __forceinline__ void operands(Operands& to, const Scores& x, const Extents& e) {
#pragma unroll
    for (unsigned g = 0; g < kMostGroups; ++g) {
        if (g >= e.groups()) break;
#pragma unroll
        for (int i = 0; i < 4; ++i) to[g][i] = pack(x[g][i / 2][i % 2 * 2], x[g][i / 2][i % 2 * 2 + 1]);
    }
}

// out (16 tokens by 16 columns) of a strip = sum over latents of their weights and rows.
__device__ __forceinline__ void mix(float (&out)[2][4], const Operands& weights,
                                    const Panel& latents, unsigned column, const Extents& e) {
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i / 4][i % 4] = 0.0f;
#pragma unroll
    for (unsigned g = 0; g < kMostGroups; ++g) {
        if (g >= e.groups()) break;
        unsigned b[4];
        latents.fragment_b_transposed(b, g * kGroup, column);
        mma(out[0], weights[g], b[0], b[1]);
        mma(out[1], weights[g], b[2], b[3]);
    }
}

// The strip of the tokens = attention of its queries, which are rotated and rounded on the way; the
// unrotated ones go to `kept` [seq, width] where that is given. Row 0 of the panel is token `first`.
__device__ __forceinline__ void attend(const Panel& tokens, unsigned row, unsigned column, const Panel& keys,
                                       const Panel& values, unsigned latent_column, bf16* kept, Angles angles,
                                       unsigned first, float scale, const Extents& e) {
    const unsigned units = e.head_dim / 8;
#pragma unroll 1
    for (unsigned item = lane(); item < 16 * units; item += 32) {
        const unsigned r = row + item / units, token = first + r, u = item % units;
        if (token >= e.seq) continue;
        const unsigned at = tokens.unit(r, column / 8 + u);
        const uint4 query = load_shared_unit(at);
        if (kept) *(uint4*)(kept + (size_t)token * e.width + column + u * 8) = query;
        float x[8];
        unpack(x, query);
        rotate(x, angles, token, u * 8, e.head_dim);
        store_shared(at, narrow(x));
    }
    __syncwarp();
    Scores s;
    dots(s, tokens, row, column, keys, latent_column, e);
    const Two sums = weigh(s, scale * log2e(), e);
    const float inverse[2] = {1.0f / sums[0], 1.0f / sums[1]};
    Operands weights;
    operands(weights, s, e);
    // The queries have been read by all lanes.
    __syncwarp();
#pragma unroll 1
    for (unsigned c = 0; c < e.head_dim; c += 16) {
        float out[2][4];
        mix(out, weights, values, latent_column + c, e);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            store_shared(tokens.pair(row + lane() / 4 + i % 2 * 8, column + c + i / 2 * 8 + lane() % 4 * 2),
                         pack(out[i / 2][i % 2 * 2] * inverse[i % 2], out[i / 2][i % 2 * 2 + 1] * inverse[i % 2]));
    }
}
