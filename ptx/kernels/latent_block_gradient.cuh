// The gradients of latent attention of 64 tokens, the middle of latent_block's backward pass, in three
// passes with barriers between, over as many heads as have their latents in shared memory:
//
//   weights_and_gradients   p and ds of every strip, as bf16 to shared memory
//   add_latents             p^T d_a and ds^T rope(q), added to the sums of the chunk
//   queries                 d_q = ds rope_z(k), in the place of d_a
#pragma once
#include "latent_block_attention.cuh"

// What a pass over some heads works on. Tokens are columns `first` .. of the panel of d_a; the others
// hold these heads alone.
struct Heads {
    Panel d_a, q, keys, values;
    unsigned first;
    unsigned count;
    unsigned weights;  // address of p, then ds, of each head in turn: 64 tokens by the latents' rows
};

// p or ds of a head: rows of 2, 4 or 8 units, permuted so that eight rows of one unit fall on all banks.
struct Weights {
    unsigned address, units;
    __device__ __forceinline__ Weights(const Heads& h, unsigned head, unsigned which, const Extents& e)
        : address(h.weights + (head * 2 + which) * (kPanelRows * 2) * e.latent_rows()), units(e.latent_rows() / 8) {}
    __device__ __forceinline__ unsigned unit(unsigned token, unsigned u) const {
        return address + (token * units + (u ^ (token * units / 8 % units))) * 16;
    }
    __device__ __forceinline__ unsigned pair(unsigned token, unsigned latent) const {
        return unit(token, latent / 8) + latent % 8 * 2;
    }
    // The mma operand A of 16 tokens and a group of latents.
    __device__ __forceinline__ void fragment(unsigned (&a)[4], unsigned token, unsigned latent) const {
        load_matrices<false>(a, unit(token + lane() % 16, latent / 8 + lane() / 16));
    }
    // The same with the latents as rows.
    __device__ __forceinline__ void fragment_transposed(unsigned (&a)[4], unsigned token, unsigned latent) const {
        load_matrices<true>(a, unit(token + lane() % 8 + lane() / 16 * 8, latent / 8 + lane() / 8 % 2));
    }
};

// The heads' queries of 64 tokens from `first_token` on, rotated; zeros beyond the sequence, whose first row is q.
__device__ __forceinline__ void load_queries(const Heads& h, const bf16* q, Angles angles, unsigned first_token,
                                             const Extents& e) {
    const unsigned units = h.count * e.head_dim / 8;
#pragma unroll 2
    for (unsigned item = threadIdx.x; item < kPanelRows * units; item += kPanelThreads) {
        const unsigned row = item / units, u = item % units, token = first_token + row;
        uint4 query = make_uint4(0, 0, 0, 0);
        if (token < e.seq) {
            float x[8];
            load_chunk(x, q + (size_t)token * e.width + h.first + u * 8);
            rotate(x, angles, token, u * 8 % e.head_dim, e.head_dim);
            query = narrow(x);
        }
        store_shared(h.q.unit(row, u), query);
    }
}

__device__ __forceinline__ void weights_and_gradients(const Heads& h, float scale, const Extents& e) {
#pragma unroll 1
    for (unsigned strip = warp(); strip < h.count * 4; strip += kWarps) {
        const unsigned head = strip / 4, row = strip % 4 * 16, column = head * e.head_dim;
        Scores p, ds;
        dots(p, h.q, row, column, h.keys, column, e);
        dots(ds, h.d_a, row, h.first + column, h.values, column, e);
        const Two sums = weigh(p, scale * log2e(), e);
        const Weights to_p(h, head, 0, e), to_ds(h, head, 1, e);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const float inverse = 1.0f / sums[i];
            float delta = 0.0f;
#pragma unroll
            for (unsigned g = 0; g < kMostGroups; ++g) {
                if (g >= e.groups()) break;
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    float& weight = p[g][j / 2][2 * i + j % 2];
                    weight *= inverse;
                    delta = fmaf(weight, ds[g][j / 2][2 * i + j % 2], delta);
                }
            }
            delta = over_row(delta);
#pragma unroll
            for (unsigned g = 0; g < kMostGroups; ++g) {
                if (g >= e.groups()) break;
#pragma unroll
                for (int j = 0; j < 4; j += 2) {
                    const float *weight = &p[g][j / 2][2 * i], *dp = &ds[g][j / 2][2 * i];
                    const unsigned token = row + lane() / 4 + 8 * i, latent = g * kGroup + j / 2 * 8 + lane() % 4 * 2;
                    store_shared(to_p.pair(token, latent), pack(weight[0], weight[1]));
                    store_shared(to_ds.pair(token, latent),
                                 pack(weight[0] * (dp[0] - delta), weight[1] * (dp[1] - delta)));
                }
            }
        }
    }
}

// Adds to the chunk's sums [head][2][M][head_dim] f32, which lie `head_stride` apart, or begins them: keys, then values. A
// warp takes 16 columns of a group of latents of either, over all tokens.
__device__ __forceinline__ void add_latents(const Heads& h, float* partial, size_t head_stride, bool begin,
                                            const Extents& e) {
    const unsigned pieces = e.head_dim / 16;
#pragma unroll 1
    for (unsigned task = warp(); task < h.count * 2 * e.groups() * pieces; task += kWarps) {
        const unsigned piece = task % pieces, group = task / pieces % e.groups();
        const unsigned part = task / pieces / e.groups() % 2, head = task / pieces / e.groups() / 2;
        const unsigned column = head * e.head_dim + piece * 16;
        const Weights weights(h, head, part == 0, e);
        float sums[2][4] = {};
#pragma unroll
        for (unsigned token = 0; token < kPanelRows; token += 16) {
            unsigned a[4], b[4];
            weights.fragment_transposed(a, token, group * kGroup);
            if (part == 0) h.q.fragment_b_transposed(b, token, column);
            else h.d_a.fragment_b_transposed(b, token, h.first + column);
            mma(sums[0], a, b[0], b[1]);
            mma(sums[1], a, b[2], b[3]);
        }
        float* to = partial + head * head_stride + (size_t)part * e.latents * e.head_dim;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const unsigned latent = group * kGroup + lane() / 4 + i % 2 * 8;
            if (latent >= e.latents) continue;
            float2* at = (float2*)(to + latent * e.head_dim + piece * 16 + i / 2 * 8 + lane() % 4 * 2);
            float2 sum = make_float2(sums[i / 2][i % 2 * 2], sums[i / 2][i % 2 * 2 + 1]);
            if (!begin) {
                const float2 before = *at;
                sum.x += before.x, sum.y += before.y;
            }
            *at = sum;
        }
    }
}

__device__ __forceinline__ void queries(const Heads& h, Angles angles, unsigned first_token, float scale,
                                        const Extents& e) {
#pragma unroll 1
    for (unsigned strip = warp(); strip < h.count * 4; strip += kWarps) {
        const unsigned head = strip / 4, row = strip % 4 * 16, column = head * e.head_dim;
        const Weights weights(h, head, 1, e);
        Operands ds;
#pragma unroll
        for (unsigned g = 0; g < kMostGroups; ++g) {
            if (g >= e.groups()) break;
            weights.fragment(ds[g], row, g * kGroup);
        }
#pragma unroll 1
        for (unsigned c = 0; c < e.head_dim; c += 16) {
            float out[2][4];
            mix(out, ds, h.keys, column + c, e);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const unsigned r = row + lane() / 4 + i % 2 * 8, at = c + i / 2 * 8 + lane() % 4 * 2;
                float x = out[i / 2][i % 2 * 2] * scale, y = out[i / 2][i % 2 * 2 + 1] * scale;
                if (first_token + r < e.seq) {
                    const size_t angle = (size_t)(first_token + r) * (e.head_dim / 2) + at / 2;
                    turn<true>(x, y, angles.cos[angle], angles.sin[angle]);
                }
                store_shared(h.d_a.pair(r, h.first + column + at), pack(x, y));
            }
        }
    }
}
