// Cross-attention from tokens to the M latent vectors of their layer.
//
//   s_im = rope(q_i) . rope_z(k_m) / sqrt(d),  p_im = softmax_m s_im,  out_i = sum_m p_im v_m
// and backwards, with L_i = log sum_m exp(s_im), D_i = sum_m p_im (d_out_i . v_m) and
// ds_im = p_im (d_out_i . v_m - D_i):
//   d_v_m = sum_i p_im d_out_i
//   d_k_m = rope_z^T(sum_i ds_im rope(q_i)) / sqrt(d)
//   d_q_i = rope^T(sum_m ds_im rope_z(k_m)) / sqrt(d)
//
// Shapes: q, out, d_out, d_q [batch, seq, heads, d]; kv, d_kv [batch, M, 2, heads, d]; angles of the
// queries [seq, d / 2] f32, of the keys [M, d / 2] f32 or absent; partial
// [batch, heads, ceil(seq / CHUNK), 2, M, d] f32. Any even d up to the DP of the instance.
//
// Launch: one block per (chunk of CHUNK tokens, head, sequence), chunks fastest in grid x; 128
// threads in bf16, 64 in f32. All keys and values of the head, widened to a multiple of 16 rows,
// stay in (dynamic) shared memory while the block walks over the tiles of its tokens.
//   forward           16 latents at a time, online softmax
//   backward          per tile of tokens: statistics, then d_q, and into sums that live in registers
//                     d_k and d_v of 16 latents; with M > 16 as many blocks share a chunk as there
//                     are groups of 16 latents. Sums of a chunk go to `partial`.
//   backward_reduce   one thread per pair of numbers of d_kv adds the chunks in order
// Nothing else is summed across blocks: no atomics, the same bits every time.
//
// With a single latent p = 1, out = v and ds = 0 exactly: its score counts as zero.
//
// Bytes, in units of one [batch, seq, heads, d] array: forward must move 2 (q, out), backward 3 (q, d_out, d_q; 2
// without d_q). For M <= 16 they do, and beside it the latents once per CHUNK tokens, `partial` out and in (f32, 2 M
// for CHUNK numbers of q), and for each head the f32 angles of the tokens: one for a number of q, backward twice.
// Beyond 16 latents backward reads q and d_out ceil(M / 16) times, from the L2 where it lasts.
//
// Statistics and sums are f32. bf16 rounds the rotated q and k, p and ds, as it rounds what it
// stores. 2^x is the hardware's approximation (2 ulp).
#include "attention_tiles.cuh"

enum { kChunk = 256, kGroup = 16 };

struct Extents {
    unsigned seq, heads, head_dim, latents;
};

struct Task {
    unsigned head, group, first, end;  // tokens first .. end
    size_t sequence, chunk;            // chunk counts over all heads and sequences
    __device__ __forceinline__ Task(const Extents& e, unsigned groups) {
        const unsigned chunks = (e.seq + kChunk - 1) / kChunk;
        group = blockIdx.x % groups;
        chunk = blockIdx.x / groups;
        const unsigned place = chunk / chunks;
        first = chunk % chunks * kChunk;
        end = min(first + kChunk, e.seq);
        head = place % e.heads;
        sequence = place / e.heads;
    }
};

template <typename T>
__device__ __forceinline__ Rows<T> tokens_of(T* x, const Extents& e, const Task& t) {
    const size_t width = (size_t)e.heads * e.head_dim;
    return {x + t.sequence * e.seq * width + (size_t)t.head * e.head_dim, width};
}
// Keys (0) or values (1).
template <typename T>
__device__ __forceinline__ Rows<T> latents_of(T* kv, unsigned part, const Extents& e, const Task& t) {
    const size_t width = (size_t)e.heads * e.head_dim;
    return {kv + (t.sequence * e.latents * 2 + part) * width + (size_t)t.head * e.head_dim, 2 * width};
}

extern __shared__ __align__(16) unsigned char arena[];

// Loads all latents of the head, a group of rows at a time.
template <class E>
__device__ __forceinline__ void load_latents(typename E::Number* keys, typename E::Number* values,
                                             const typename E::Number* kv, Angles angles, const Extents& e,
                                             const Task& task) {
    typedef typename E::Number T;
    const Rows<const T> k = latents_of(kv, 0, e, task), v = latents_of(kv, 1, e, task);
#pragma unroll 1
    for (unsigned at = 0; at < e.latents; at += kGroup) {
        copy_tile<E::DP, kGroup, E::THREADS>(values + at * E::STRIDE, v, at, e.latents, e.head_dim);
        load_tile<E::DP, kGroup, E::THREADS>(keys + at * E::STRIDE, k, at, e.latents, e.head_dim, angles);
    }
}

// Gives the rows that fill up the last group of latents the score of weight zero, and a single latent
// the score zero: its weight is then one without rounding.
template <class E>
__device__ __forceinline__ void mask(float (&s)[E::ROWS][E::COLS], unsigned latent, unsigned latents) {
    if (latent + kGroup <= latents) return;
#pragma unroll
    for (int j = 0; j < E::COLS; ++j)
#pragma unroll
        for (int i = 0; i < E::ROWS; ++i) {
            if (latent + E::col(j) >= latents) s[i][j] = minus_infinity();
            else if (latents == 1) s[i][j] = 0.0f;
        }
}

template <class E>
__device__ __forceinline__ void forward(const typename E::Number* q, const typename E::Number* kv,
                                        typename E::Number* out, Angles angles, Angles latent_angles, const Extents& e,
                                        float scale) {
    typedef typename E::Number T;
    const Task task(e, 1);
    const unsigned rows = (e.latents + kGroup - 1) / kGroup * kGroup;
    T *queries = (T*)arena, *keys = queries + E::OWN * E::STRIDE, *values = keys + rows * E::STRIDE;
    float* scratch = (float*)(values + rows * E::STRIDE);
    load_latents<E>(keys, values, kv, latent_angles, e, task);
#pragma unroll 1
    for (unsigned token = task.first; token < task.end; token += E::OWN) {
        load_tile<E::DP, E::OWN, E::THREADS>(queries, tokens_of(q, e, task), token, task.end, e.head_dim, angles);
        copies_landed();
        __syncthreads();
        OnlineSoftmax<E> softmax;
        float sums[E::ROWS][E::OUT] = {};
#pragma unroll 1
        for (unsigned latent = 0; latent < e.latents; latent += kGroup) {
            float s[E::ROWS][E::COLS], rescale[E::ROWS];
            E::dots(queries, keys + latent * E::STRIDE, s);
            mask<E>(s, latent, e.latents);
            softmax.step(s, scale * log2e(), rescale);
#pragma unroll
            for (int i = 0; i < E::ROWS; ++i)
#pragma unroll
                for (int c = 0; c < E::OUT; ++c) sums[i][c] *= rescale[i];
            E::mix(s, scratch, values + latent * E::STRIDE, sums);
        }
        float inverse[E::ROWS];
#pragma unroll
        for (int i = 0; i < E::ROWS; ++i) inverse[i] = 1.0f / E::row_sum(softmax.sum[i]);
        // A warp reads only its own rows of the queries, so it may overwrite them with its results.
        __syncwarp();
        stage<E>(queries, sums, inverse, Angles{nullptr, nullptr}, token, task.end, e.head_dim, false);
        __syncthreads();
        store_tile<E::DP, E::OWN, E::THREADS>(queries, tokens_of(out, e, task), token, task.end, e.head_dim);
        __syncthreads();
    }
}

// Writes the sums over a chunk of this block's latents, f32 rows of head_dim. The parts of several
// warps are added in their order, in `tile` [kGroup][DP].
template <class L>
__device__ __forceinline__ void write_sums(float* tile, const float (&sums)[L::ROWS][L::OUT], float* to,
                                           unsigned rows, unsigned head_dim) {
#pragma unroll 1
    for (unsigned part = 0; part < L::PARTS; ++part) {
        if (L::part() == part) {
#pragma unroll
            for (int i = 0; i < L::ROWS; ++i)
#pragma unroll
                for (int c = 0; c < L::OUT; ++c) {
                    float* x = tile + L::row(i) * L::DP + L::out_col(c);
                    *x = part == 0 ? sums[i][c] : *x + sums[i][c];
                }
        }
        __syncthreads();
    }
    for (unsigned item = threadIdx.x; item < rows * L::DP; item += L::THREADS) {
        const unsigned row = item / L::DP, column = item % L::DP;
        if (column < head_dim) to[row * head_dim + column] = tile[item];
    }
    __syncthreads();
}

// E: tokens own, latents stream. L: latents own, tokens stream.
template <class E, class L>
__device__ __forceinline__ void backward(const typename E::Number* q, const typename E::Number* kv,
                                         const typename E::Number* d_out, typename E::Number* d_q, float* partial,
                                         Angles angles, Angles latent_angles, const Extents& e, bool accumulate_q,
                                         float scale) {
    typedef typename E::Number T;
    const unsigned groups = (e.latents + kGroup - 1) / kGroup, rows = groups * kGroup;
    const Task task(e, groups);
    const bool wants_q = d_q && task.group == 0;
    T *queries = (T*)arena, *d_outs = queries + E::OWN * E::STRIDE, *keys = d_outs + E::OWN * E::STRIDE;
    T* values = keys + rows * E::STRIDE;
    float *lse2 = (float*)(values + rows * E::STRIDE), *deltas = lse2 + E::OWN;
    // Apart, as their rows belong to different warps.
    float *token_scratch = deltas + E::OWN, *latent_scratch = token_scratch + E::SCRATCH;
    // Where the latents own, nothing is masked.
    const float scale2 = scale * log2e(), latent_scale2 = e.latents == 1 ? 0.0f : scale2;
    load_latents<E>(keys, values, kv, latent_angles, e, task);
    float d_k[L::ROWS][L::OUT] = {}, d_v[L::ROWS][L::OUT] = {};
#pragma unroll 1
    for (unsigned token = task.first; token < task.end; token += E::OWN) {
        copy_tile<E::DP, E::OWN, E::THREADS>(d_outs, tokens_of(d_out, e, task), token, task.end, e.head_dim);
        load_tile<E::DP, E::OWN, E::THREADS>(queries, tokens_of(q, e, task), token, task.end, e.head_dim, angles);
        copies_landed();
        __syncthreads();

        // L and D of every token, relative to the largest score so far until all are seen.
        OnlineSoftmax<E> softmax;
        float s[E::ROWS][E::COLS], dp[E::ROWS][E::COLS], lse[E::ROWS], delta[E::ROWS] = {};
#pragma unroll 1
        for (unsigned latent = 0; latent < e.latents; latent += kGroup) {
            float rescale[E::ROWS], p[E::ROWS][E::COLS];
            E::dots(queries, keys + latent * E::STRIDE, s);
            mask<E>(s, latent, e.latents);
            E::dots(d_outs, values + latent * E::STRIDE, dp);
#pragma unroll
            for (int i = 0; i < E::ROWS; ++i)
#pragma unroll
                for (int j = 0; j < E::COLS; ++j) p[i][j] = s[i][j];
            softmax.step(p, scale2, rescale);
#pragma unroll
            for (int i = 0; i < E::ROWS; ++i) {
                delta[i] *= rescale[i];
#pragma unroll
                for (int j = 0; j < E::COLS; ++j) delta[i] = fmaf(p[i][j], dp[i][j], delta[i]);
            }
        }
#pragma unroll
        for (int i = 0; i < E::ROWS; ++i) {
            const float sum = E::row_sum(softmax.sum[i]);
            delta[i] = E::row_sum(delta[i]) / sum;
            lse[i] = fmaf(logf(sum), log2e(), softmax.top[i]);
            if (E::leads_row()) lse2[E::row(i)] = lse[i], deltas[E::row(i)] = delta[i];
        }
        __syncthreads();

        // d_k and d_v: the same weights with the latents as rows. Tokens beyond the sequence are
        // zero and add nothing.
        {
            const unsigned base = L::stream_base(), own = task.group * kGroup * E::STRIDE;
            float p[L::ROWS][L::COLS], ds[L::ROWS][L::COLS];
            L::dots(keys + own, queries + base * E::STRIDE, p);
            L::dots(values + own, d_outs + base * E::STRIDE, ds);
#pragma unroll
            for (int j = 0; j < L::COLS; ++j) {
                const float l = lse2[base + L::col(j)], d = deltas[base + L::col(j)];
#pragma unroll
                for (int i = 0; i < L::ROWS; ++i) {
                    p[i][j] = exp2_approx(fmaf(p[i][j], latent_scale2, -l));
                    ds[i][j] = p[i][j] * (ds[i][j] - d);
                }
            }
            L::mix(p, latent_scratch, d_outs + base * E::STRIDE, d_v);
            L::mix(ds, latent_scratch, queries + base * E::STRIDE, d_k);
        }

        if (wants_q) {
            float sums[E::ROWS][E::OUT] = {}, scales[E::ROWS];
#pragma unroll 1
            for (unsigned latent = 0; latent < e.latents; latent += kGroup) {
                // With one group its scores are still there.
                if (groups > 1) {
                    E::dots(queries, keys + latent * E::STRIDE, s);
                    mask<E>(s, latent, e.latents);
                    E::dots(d_outs, values + latent * E::STRIDE, dp);
                }
                float ds[E::ROWS][E::COLS];
#pragma unroll
                for (int i = 0; i < E::ROWS; ++i)
#pragma unroll
                    for (int j = 0; j < E::COLS; ++j)
                        ds[i][j] = exp2_approx(fmaf(s[i][j], scale2, -lse[i])) * (dp[i][j] - delta[i]);
                E::mix(ds, token_scratch, keys + latent * E::STRIDE, sums);
            }
#pragma unroll
            for (int i = 0; i < E::ROWS; ++i) scales[i] = scale;
            __syncthreads();
            if (accumulate_q) {
                copy_tile<E::DP, E::OWN, E::THREADS>(queries, tokens_of((const T*)d_q, e, task), token, task.end,
                                                     e.head_dim);
                copies_landed();
                __syncthreads();
            }
            stage<E>(queries, sums, scales, angles, token, task.end, e.head_dim, accumulate_q);
            __syncthreads();
            store_tile<E::DP, E::OWN, E::THREADS>(queries, tokens_of(d_q, e, task), token, task.end, e.head_dim);
        }
        __syncthreads();
    }

    const unsigned first = task.group * kGroup, mine = min(e.latents - first, (unsigned)kGroup);
    float* to = partial + (task.chunk * 2 * e.latents + first) * e.head_dim;
    write_sums<L>((float*)queries, d_k, to, mine, e.head_dim);
    write_sums<L>((float*)queries, d_v, to + (size_t)e.latents * e.head_dim, mine, e.head_dim);
}

// d_kv = the sums of the chunks, keys scaled and turned back: a thread per pair of numbers.
template <typename T>
__device__ __forceinline__ void reduce(const float* partial, T* d_kv, Angles angles, size_t pairs, const Extents& e,
                                       float scale) {
    const size_t item = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= pairs) return;
    const unsigned half = e.head_dim / 2, chunks = (e.seq + kChunk - 1) / kChunk;
    const unsigned pair = item % half, head = item / half % e.heads, part = item / half / e.heads % 2;
    const size_t row = item / half / e.heads / 2, sequence = row / e.latents;
    const unsigned latent = row % e.latents;
    const size_t size = (size_t)2 * e.latents * e.head_dim;
    const float* from = partial + (sequence * e.heads + head) * chunks * size +
                        ((size_t)part * e.latents + latent) * e.head_dim + 2 * pair;
    float x = 0.0f, y = 0.0f;
    for (unsigned chunk = 0; chunk < chunks; ++chunk, from += size) {
        const float2 v = *(const float2*)from;
        x += v.x, y += v.y;
    }
    if (part == 0) {
        // The two orders of the products that ds is a difference of need not round alike.
        const float key_scale = e.latents == 1 ? 0.0f : scale;
        x *= key_scale, y *= key_scale;
        const size_t at = (size_t)latent * half + pair;
        if (angles.cos) turn<true>(x, y, angles.cos[at], angles.sin[at]);
    }
    // One by one: the arrays of a caller begin wherever a number may.
    d_kv[2 * item] = from_float<T>(x);
    d_kv[2 * item + 1] = from_float<T>(y);
}

template <int DP> using TokensMma = Mma<DP, kGroup, true>;
template <int DP> using LatentsMma = Mma<DP, kGroup, false>;
template <int DP> using TokensFma = Fma<DP, DP == 128 ? 16 : 32, kGroup>;
template <int DP> using LatentsFma = Fma<DP, kGroup, DP == 128 ? 16 : 32>;

#define ENTRIES(DP, TYPE, NUMBER, TOKENS, LATENTS)                                                                     \
    extern "C" __global__ void __launch_bounds__(TOKENS<DP>::THREADS) latent_attention_forward_d##DP##_##TYPE(         \
        const NUMBER* q, const NUMBER* kv, NUMBER* out, const float* cos, const float* sin, const float* latent_cos,   \
        const float* latent_sin, unsigned seq, unsigned heads, unsigned head_dim, unsigned latents, float scale) {     \
        forward<TOKENS<DP>>(q, kv, out, Angles{cos, sin}, Angles{latent_cos, latent_sin},                              \
                            Extents{seq, heads, head_dim, latents}, scale);                                            \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(TOKENS<DP>::THREADS) latent_attention_backward_d##DP##_##TYPE(        \
        const NUMBER* q, const NUMBER* kv, const NUMBER* d_out, NUMBER* d_q, float* partial, const float* cos,         \
        const float* sin, const float* latent_cos, const float* latent_sin, unsigned seq, unsigned heads,              \
        unsigned head_dim, unsigned latents, unsigned accumulate_q, float scale) {                                     \
        backward<TOKENS<DP>, LATENTS<DP>>(q, kv, d_out, d_q, partial, Angles{cos, sin},                                \
                                          Angles{latent_cos, latent_sin}, Extents{seq, heads, head_dim, latents},      \
                                          accumulate_q != 0, scale);                                                   \
    }

#define REDUCE(TYPE, NUMBER)                                                                                           \
    extern "C" __global__ void __launch_bounds__(256) latent_attention_backward_reduce_##TYPE(                         \
        const float* partial, NUMBER* d_kv, const float* latent_cos, const float* latent_sin,                          \
        unsigned long long pairs, unsigned seq, unsigned heads, unsigned head_dim, unsigned latents, float scale) {    \
        reduce(partial, d_kv, Angles{latent_cos, latent_sin}, pairs, Extents{seq, heads, head_dim, latents}, scale);   \
    }

ENTRIES(16, f32, float, TokensFma, LatentsFma)
ENTRIES(32, f32, float, TokensFma, LatentsFma)
ENTRIES(64, f32, float, TokensFma, LatentsFma)
ENTRIES(128, f32, float, TokensFma, LatentsFma)
ENTRIES(16, bf16, bf16, TokensMma, LatentsMma)
ENTRIES(32, bf16, bf16, TokensMma, LatentsMma)
ENTRIES(64, bf16, bf16, TokensMma, LatentsMma)
ENTRIES(128, bf16, bf16, TokensMma, LatentsMma)
REDUCE(f32, float)
REDUCE(bf16, bf16)
