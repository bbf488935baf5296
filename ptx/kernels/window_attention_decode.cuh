// One new token per sequence against a ring cache of the last W keys and values.
//
//   keys[position % W] = rope(k), values[position % W] = v
//   out = softmax(rope(q) . keys / sqrt(d)) values   over the slots that are filled
//
// Shapes: qkv [batch, 3, heads, d]; keys, values [batch, W, heads, d]; out [batch, heads, d];
// cos, sin [d / 2] f32, the angles of the position.
//
// Launch: one block of 128 threads per (head, sequence). As many neighbouring lanes as a row has
// 16-byte chunks take a slot together, each with its chunk of q and of the sum; the groups take
// slots in turn, each with an online softmax of its own, and are merged at the end in a fixed order.
//
// Bytes: reads the filled slots of keys and values once, which is the least; writes one slot.
#pragma once
#include "attention_tiles.cuh"

enum { kDecodeThreads = 128 };

// A chunk of a row, turned by the angles of one position.
template <typename T>
__device__ __forceinline__ void load_turned(float (&x)[Chunk<T>::N], const T* row, Angles angles, unsigned column,
                                            unsigned head_dim, bool vector) {
    load_part(x, row, column, head_dim, vector);
#pragma unroll
    for (int i = 0; i < Chunk<T>::N; i += 2) {
        const unsigned pair = (column + i) / 2;
        if (2 * pair < head_dim) turn<false>(x[i], x[i + 1], angles.cos[pair], angles.sin[pair]);
    }
}

template <int DP, typename T>
__device__ __forceinline__ void decode(const T* qkv, T* keys, T* values, T* out, Angles angles, unsigned heads,
                                       unsigned head_dim, unsigned window, unsigned slot, unsigned slots,
                                       float scale) {
    enum { N = Chunk<T>::N, LANES = DP / N, GROUPS = kDecodeThreads / LANES, WARPS = kDecodeThreads / 32 };
    __shared__ float tops[WARPS], sums[WARPS], parts[WARPS][DP];
    const unsigned sequence = blockIdx.x / heads, head = blockIdx.x % heads;
    const size_t width = (size_t)heads * head_dim, at = (size_t)head * head_dim;
    const T* q = qkv + (size_t)sequence * 3 * width + at;
    keys += (size_t)sequence * window * width + at;
    values += (size_t)sequence * window * width + at;
    out += (size_t)sequence * width + at;
    const bool vector = head_dim == DP && ((((size_t)q | (size_t)keys | (size_t)values) & 15) == 0);
    const unsigned column = threadIdx.x % LANES * N, group = threadIdx.x / LANES;

    if (group == 0) {
        float k[N];
        load_turned(k, q + width, angles, column, head_dim, vector);
        T *key = keys + slot * width, *value = values + slot * width;
        const T* v = q + 2 * width;
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (column + i < head_dim) {
                key[column + i] = from_float<T>(k[i]);
                value[column + i] = v[column + i];
            }
        }
    }
    float query[N], sum[N] = {}, top = minus_infinity(), total = 0.0f;
    load_turned(query, q, angles, column, head_dim, vector);
    // The new slot is read back like any other, as it was rounded.
    __syncthreads();

    for (unsigned base = 0; base < slots; base += GROUPS) {
        const unsigned at_slot = base + group;
        const bool present = at_slot < slots;
        float k[N] = {}, v[N] = {}, score = 0.0f;
        if (present) {
            load_part(k, keys + at_slot * width, column, head_dim, vector);
            load_part(v, values + at_slot * width, column, head_dim, vector);
        }
#pragma unroll
        for (int i = 0; i < N; ++i) score = fmaf(query[i], k[i], score);
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset >>= 1) score += __shfl_xor_sync(kFullWarp, score, offset);
        if (!present) continue;
        score *= scale * log2e();
        const float most = fmaxf(top, score), shrink = exp2_approx(top - most), weight = exp2_approx(score - most);
        top = most;
        total = fmaf(total, shrink, weight);
#pragma unroll
        for (int i = 0; i < N; ++i) sum[i] = fmaf(sum[i], shrink, weight * v[i]);
    }

    // The groups of a warp, then the warps. A group that had no slot has the largest score of none.
#pragma unroll
    for (int offset = LANES; offset < 32; offset <<= 1) {
        const float other = __shfl_xor_sync(kFullWarp, top, offset);
        const float most = fmaxf(top, other), base = most == minus_infinity() ? 0.0f : most;
        const float mine = exp2_approx(top - base), theirs = exp2_approx(other - base);
        top = most;
        total = total * mine + __shfl_xor_sync(kFullWarp, total, offset) * theirs;
#pragma unroll
        for (int i = 0; i < N; ++i) sum[i] = sum[i] * mine + __shfl_xor_sync(kFullWarp, sum[i], offset) * theirs;
    }
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (lane == 0) tops[warp] = top, sums[warp] = total;
    if (lane < LANES) {
#pragma unroll
        for (int i = 0; i < N; ++i) parts[warp][column + i] = sum[i];
    }
    __syncthreads();
    if (threadIdx.x < head_dim) {
        // The first warp always had a slot.
        float most = tops[0], numerator = 0.0f, denominator = 0.0f;
#pragma unroll
        for (int w = 1; w < WARPS; ++w) most = fmaxf(most, tops[w]);
#pragma unroll
        for (int w = 0; w < WARPS; ++w) {
            const float share = exp2_approx(tops[w] - most);
            numerator = fmaf(parts[w][threadIdx.x], share, numerator);
            denominator = fmaf(sums[w], share, denominator);
        }
        out[threadIdx.x] = from_float<T>(numerator / denominator);
    }
}
