// Causal sliding-window attention with rotary positions applied on load.
//
//   s_ij = rope(q_i) . rope(k_j) / sqrt(d),  i - W < j <= i
//   p_ij = exp(s_ij - L_i),  L_i = log sum_j exp(s_ij)
//   out_i = sum_j p_ij v_j
// and backwards, with D_i = d_out_i . out_i and ds_ij = p_ij (d_out_i . v_j - D_i):
//   d_v_j = sum_i p_ij d_out_i
//   d_k_j = rope^T(sum_i ds_ij rope(q_i)) / sqrt(d)
//   d_q_i = rope^T(sum_j ds_ij rope(k_j)) / sqrt(d)
//
// Shapes: qkv, d_qkv [batch, seq, 3, heads, d]; out, d_out [batch, seq, heads, d]; logsumexp
// [batch, heads, seq] f32; cos, sin [seq, d / 2] f32. Any even d up to the DP of the instance;
// whole 16-byte rows (d = DP) move by vector, others number by number.
//
// Launch: one block per (tile of OWN rows, head, sequence), backward two, tiles fastest in grid x,
// so that neighbouring blocks meet in the L2; 128 threads in bf16 (tensor cores, OWN 64), 64 in f32
// (multiply-adds, OWN 32, or 16 for d = 128).
//   forward    owns queries, streams the tiles of keys that meet their window; online softmax
//   backward   the first half of the blocks own keys, stream the tiles of queries that see them:
//              d_k, d_v; the second half own queries, stream the tiles of keys: d_q. Those with
//              keys compute more, so they begin first and the others fill the end.
// Nothing is summed across blocks: no atomics, the same bits every time. Both halves of backward
// compute D_i for themselves, in one order, rather than wait for each other.
//
// A query that sees one key (the first, or every one where W is 1) has p = 1, out = v, ds = 0
// exactly.
//
// Bytes, in units of one [batch, seq, heads, d] array: forward must move 4 (q, k, v, out), and does
// move 2 + 2 c, where c = ceil((W - 1) / 64) + 1 is how many query tiles meet a tile of keys (5 for
// W 256), most of it from the L2. backward must move 8 (q, k, v, out, d_out and three gradients) and
// moves 8 + 5 c: 4 + 3 c with keys (q, d_out and out streamed), 4 + 2 c with queries (k and v).
// Beside them c + 1 times the rows' angles, which all heads share, backward twice that.
//
// decode: one new token against a ring cache, see window_attention_decode.cuh.
//
// Statistics and sums are f32. bf16 rounds the rotated q and k, p and ds, as it rounds what it
// stores. 2^x is the hardware's approximation (2 ulp).
#include "attention_tiles.cuh"
#include "window_attention_decode.cuh"

struct Extents {
    unsigned seq, heads, head_dim, window;
};

// The head of a sequence that a block works on, and its tile there.
template <int OWN>
struct Task {
    unsigned tile, head;
    size_t sequence, place;  // place = sequence * heads + head
    __device__ __forceinline__ Task(const Extents& e, unsigned block) {
        const unsigned tiles = (e.seq + OWN - 1) / OWN;
        tile = block % tiles;
        place = block / tiles;
        head = place % e.heads;
        sequence = place / e.heads;
    }
    __device__ __forceinline__ unsigned first() const { return tile * OWN; }
};

// q (0), k (1) or v (2) of a head in packed qkv.
template <typename T, class Where>
__device__ __forceinline__ Rows<T> part_of(T* qkv, unsigned part, const Extents& e, const Where& t) {
    const size_t width = (size_t)e.heads * e.head_dim;
    return {qkv + (t.sequence * e.seq * 3 + part) * width + (size_t)t.head * e.head_dim, 3 * width};
}
template <typename T, class Where>
__device__ __forceinline__ Rows<T> output_of(T* out, const Extents& e, const Where& t) {
    const size_t width = (size_t)e.heads * e.head_dim;
    return {out + t.sequence * e.seq * width + (size_t)t.head * e.head_dim, width};
}

// First key that a query sees.
__device__ __forceinline__ unsigned first_key(unsigned query, unsigned window) {
    return query < window ? 0 : query - window + 1;
}

__device__ __forceinline__ bool sees_one_key(unsigned query, const Extents& e) { return query == 0 || e.window == 1; }

// log2 of the sum of a query's weights over all keys. Infinite, for weights of zero, where there is
// no query or its softmax has no gradient.
__device__ __forceinline__ float log2_sum(const float* logsumexp, unsigned query, const Extents& e) {
    return query < e.seq && !sees_one_key(query, e) ? logsumexp[query] * log2e() : -minus_infinity();
}

// Gives the pairs outside the window the score of weight zero, unless the whole tile is inside.
// OWN_QUERIES: the rows of s are queries and its columns keys; otherwise the other way round.
template <class E, bool OWN_QUERIES>
__device__ __forceinline__ void mask(float (&s)[E::ROWS][E::COLS], unsigned own, unsigned stream, const Extents& e) {
    const unsigned query = OWN_QUERIES ? own : stream, queries = OWN_QUERIES ? E::OWN : E::STREAM;
    const unsigned key = OWN_QUERIES ? stream : own, keys = OWN_QUERIES ? E::STREAM : E::OWN;
    if (key + keys <= query + 1 && query + queries - key <= e.window && query + queries <= e.seq) return;
#pragma unroll
    for (int i = 0; i < E::ROWS; ++i)
#pragma unroll
        for (int j = 0; j < E::COLS; ++j) {
            const unsigned row = own + E::row(i), col = stream + E::col(j);
            const unsigned q = OWN_QUERIES ? row : col, k = OWN_QUERIES ? col : row;
            if (k > q || q - k >= e.window || q >= e.seq) s[i][j] = minus_infinity();
        }
}

// The weight of a query's only key is exactly one: a rounded score leaves it 1e-7 off. bf16 rounds
// that away by itself.
template <class E>
__device__ __forceinline__ void weigh_single_keys(float (&p)[E::ROWS][E::COLS], OnlineSoftmax<E>& softmax,
                                                  unsigned own, const Extents& e) {
    if (sizeof(typename E::Number) < sizeof(float)) return;
#pragma unroll
    for (int i = 0; i < E::ROWS; ++i)
#pragma unroll
        for (int j = 0; j < E::COLS; ++j)
            if (sees_one_key(own + E::row(i), e) && p[i][j] > 0.0f) p[i][j] = softmax.sum[i] = 1.0f;
}

template <class E>
__device__ __forceinline__ void forward(const typename E::Number* qkv, typename E::Number* out, float* logsumexp,
                                        Angles angles, const Extents& e, float scale) {
    typedef typename E::Number T;
    __shared__ __align__(16) T queries[E::OWN * E::STRIDE], keys[E::STREAM * E::STRIDE], values[E::STREAM * E::STRIDE];
    __shared__ __align__(16) float scratch[E::SCRATCH];
    const Task<E::OWN> task(e, blockIdx.x);
    const unsigned first = task.first(), end = min(first + E::OWN, e.seq);
    const Rows<const T> q = part_of(qkv, 0, e, task), k = part_of(qkv, 1, e, task), v = part_of(qkv, 2, e, task);
    load_tile<E::DP, E::OWN, E::THREADS>(queries, q, first, e.seq, e.head_dim, angles);

    OnlineSoftmax<E> softmax;
    float sums[E::ROWS][E::OUT] = {};
    for (unsigned key = first_key(first, e.window) / E::STREAM * E::STREAM; key < end; key += E::STREAM) {
        __syncthreads();
        copy_tile<E::DP, E::STREAM, E::THREADS>(values, v, key, e.seq, e.head_dim);
        load_tile<E::DP, E::STREAM, E::THREADS>(keys, k, key, e.seq, e.head_dim, angles);
        copies_landed();
        __syncthreads();
        float s[E::ROWS][E::COLS], rescale[E::ROWS];
        E::dots(queries, keys, s);
        mask<E, true>(s, first, key, e);
        softmax.step(s, scale * log2e(), rescale);
        if (e.window == 1 || first + key == 0) weigh_single_keys(s, softmax, first, e);
#pragma unroll
        for (int i = 0; i < E::ROWS; ++i)
#pragma unroll
            for (int c = 0; c < E::OUT; ++c) sums[i][c] *= rescale[i];
        E::mix(s, scratch, values, sums);
    }

    float inverse[E::ROWS];
#pragma unroll
    for (int i = 0; i < E::ROWS; ++i) {
        const unsigned row = first + E::row(i);
        const float sum = E::row_sum(softmax.sum[i]);
        inverse[i] = 1.0f / sum;
        if (E::leads_row() && row < e.seq) logsumexp[task.place * e.seq + row] = fmaf(softmax.top[i], ln2(), logf(sum));
    }
    // A warp reads only its own rows of the queries, so it may overwrite them with its results.
    __syncwarp();
    stage<E>(queries, sums, inverse, Angles{nullptr, nullptr}, first, e.seq, e.head_dim, false);
    __syncthreads();
    store_tile<E::DP, E::OWN, E::THREADS>(queries, output_of(out, e, task), first, e.seq, e.head_dim);
}

// Loads a tile of ROWS rows of d_out, and on the way delta_i = d_out_i . out_i of its rows, zero
// past the sequence: as many neighbouring lanes per row as it has chunks.
template <class E, int ROWS>
__device__ __forceinline__ void load_d_out(typename E::Number* tile, float* deltas,
                                           Rows<const typename E::Number> out, Rows<const typename E::Number> d_out,
                                           unsigned first, const Extents& e) {
    typedef typename E::Number T;
    enum { N = Chunk<T>::N, LANES = E::DP / N, STEP = E::THREADS / LANES };
    static_assert(ROWS % STEP == 0, "every lane has a row in every step: they exchange below");
    const bool vector = by_vector<E::DP>(out, e.head_dim) && by_vector<E::DP>(d_out, e.head_dim);
    const unsigned column = threadIdx.x % LANES * N;
#pragma unroll 2
    for (unsigned at = 0; at < ROWS; at += STEP) {
        const unsigned row = at + threadIdx.x / LANES;
        float x[N] = {}, y[N] = {}, sum = 0.0f;
        if (first + row < e.seq) {
            load_part(x, out.first + (first + row) * out.stride, column, e.head_dim, vector);
            load_part(y, d_out.first + (first + row) * d_out.stride, column, e.head_dim, vector);
        }
        store_chunk(tile + row * E::STRIDE + column, y);
#pragma unroll
        for (int i = 0; i < N; ++i) sum = fmaf(x[i], y[i], sum);
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset >>= 1) sum += __shfl_xor_sync(kFullWarp, sum, offset);
        if (threadIdx.x % LANES == 0) deltas[row] = sum;
    }
}

// What a block of backward holds in shared memory, by what it owns.
template <class E>
struct OfQueries {
    typedef typename E::Number T;
    T queries[E::OWN * E::STRIDE], d_outs[E::OWN * E::STRIDE];
    T keys[E::STREAM * E::STRIDE], values[E::STREAM * E::STRIDE];
    float scratch[E::SCRATCH], deltas[E::OWN];
};
template <class E>
struct OfKeys {
    typedef typename E::Number T;
    T keys[E::OWN * E::STRIDE], values[E::OWN * E::STRIDE];
    T queries[E::STREAM * E::STRIDE], d_outs[E::STREAM * E::STRIDE];
    float scratch[E::SCRATCH], deltas[E::STREAM], lse2[E::STREAM];
};
template <class E>
union OfEither {
    OfQueries<E> queries;
    OfKeys<E> keys;
};

template <class E>
__device__ __forceinline__ void backward_query(OfQueries<E>& own, const Task<E::OWN>& task,
                                               const typename E::Number* qkv, const typename E::Number* out,
                                               const float* logsumexp, const typename E::Number* d_out,
                                               typename E::Number* d_qkv, Angles angles, const Extents& e,
                                               float scale) {
    typedef typename E::Number T;
    T *queries = own.queries, *d_outs = own.d_outs, *keys = own.keys, *values = own.values;
    const unsigned first = task.first(), end = min(first + E::OWN, e.seq);
    const Rows<const T> q = part_of(qkv, 0, e, task), k = part_of(qkv, 1, e, task), v = part_of(qkv, 2, e, task);
    load_d_out<E, E::OWN>(d_outs, own.deltas, output_of(out, e, task), output_of(d_out, e, task), first, e);
    load_tile<E::DP, E::OWN, E::THREADS>(queries, q, first, e.seq, e.head_dim, angles);
    __syncthreads();

    float lse2[E::ROWS], d[E::ROWS], sums[E::ROWS][E::OUT] = {};
#pragma unroll
    for (int i = 0; i < E::ROWS; ++i) {
        const unsigned row = first + E::row(i);
        d[i] = own.deltas[E::row(i)];
        lse2[i] = log2_sum(logsumexp + task.place * e.seq, row, e);
    }
    for (unsigned key = first_key(first, e.window) / E::STREAM * E::STREAM; key < end; key += E::STREAM) {
        __syncthreads();
        copy_tile<E::DP, E::STREAM, E::THREADS>(values, v, key, e.seq, e.head_dim);
        load_tile<E::DP, E::STREAM, E::THREADS>(keys, k, key, e.seq, e.head_dim, angles);
        copies_landed();
        __syncthreads();
        float s[E::ROWS][E::COLS], ds[E::ROWS][E::COLS];
        E::dots(queries, keys, s);
        mask<E, true>(s, first, key, e);
        E::dots(d_outs, values, ds);
#pragma unroll
        for (int i = 0; i < E::ROWS; ++i)
#pragma unroll
            for (int j = 0; j < E::COLS; ++j)
                ds[i][j] = exp2_approx(fmaf(s[i][j], scale * log2e(), -lse2[i])) * (ds[i][j] - d[i]);
        E::mix(ds, own.scratch, keys, sums);
    }

    float scales[E::ROWS];
#pragma unroll
    for (int i = 0; i < E::ROWS; ++i) scales[i] = scale;
    __syncwarp();
    stage<E>(queries, sums, scales, angles, first, e.seq, e.head_dim, false);
    __syncthreads();
    store_tile<E::DP, E::OWN, E::THREADS>(queries, part_of(d_qkv, 0, e, task), first, e.seq, e.head_dim);
}

template <class E>
__device__ __forceinline__ void backward_key(OfKeys<E>& own, const Task<E::OWN>& task, const typename E::Number* qkv,
                                             const typename E::Number* out, const float* logsumexp,
                                             const typename E::Number* d_out, typename E::Number* d_qkv, Angles angles,
                                             const Extents& e, float scale) {
    typedef typename E::Number T;
    T *keys = own.keys, *values = own.values, *queries = own.queries, *d_outs = own.d_outs;
    const unsigned first = task.first();
    // The last query that sees a key of the tile, and one.
    const unsigned end = min(first + E::OWN - 1 + e.window, e.seq);
    const Rows<const T> q = part_of(qkv, 0, e, task), k = part_of(qkv, 1, e, task), v = part_of(qkv, 2, e, task);
    const Rows<const T> outs = output_of(out, e, task), from = output_of(d_out, e, task);
    copy_tile<E::DP, E::OWN, E::THREADS>(values, v, first, e.seq, e.head_dim);
    load_tile<E::DP, E::OWN, E::THREADS>(keys, k, first, e.seq, e.head_dim, angles);
    copies_landed();

    float d_k[E::ROWS][E::OUT] = {}, d_v[E::ROWS][E::OUT] = {};
    for (unsigned query = first / E::STREAM * E::STREAM; query < end; query += E::STREAM) {
        __syncthreads();
        load_d_out<E, E::STREAM>(d_outs, own.deltas, outs, from, query, e);
        load_tile<E::DP, E::STREAM, E::THREADS>(queries, q, query, e.seq, e.head_dim, angles);
        if (threadIdx.x < E::STREAM) {
            own.lse2[threadIdx.x] = log2_sum(logsumexp + task.place * e.seq, query + threadIdx.x, e);
        }
        __syncthreads();
        float p[E::ROWS][E::COLS], ds[E::ROWS][E::COLS];
        E::dots(keys, queries, p);
        mask<E, false>(p, first, query, e);
        E::dots(values, d_outs, ds);
#pragma unroll
        for (int j = 0; j < E::COLS; ++j) {
            const float l = own.lse2[E::col(j)], d = own.deltas[E::col(j)];
#pragma unroll
            for (int i = 0; i < E::ROWS; ++i) {
                p[i][j] = exp2_approx(fmaf(p[i][j], scale * log2e(), -l));
                ds[i][j] = p[i][j] * (ds[i][j] - d);
            }
        }
        E::mix(p, own.scratch, d_outs, d_v);
        E::mix(ds, own.scratch, queries, d_k);
    }

    float scales[E::ROWS], ones[E::ROWS];
#pragma unroll
    for (int i = 0; i < E::ROWS; ++i) scales[i] = scale, ones[i] = 1.0f;
    __syncwarp();
    stage<E>(keys, d_k, scales, angles, first, e.seq, e.head_dim, false);
    // A query that sees one key adds its d_out to that key's d_v: log2_sum has given it no weight.
    const unsigned single = e.window == 1 ? e.seq : 1;
    if (first < single) {
        __syncthreads();
        load_tile<E::DP, E::OWN, E::THREADS>(values, from, first, single, e.head_dim, Angles{nullptr, nullptr});
        __syncthreads();
    }
    stage<E>(values, d_v, ones, Angles{nullptr, nullptr}, first, e.seq, e.head_dim, first < single);
    __syncthreads();
    store_tile<E::DP, E::OWN, E::THREADS>(keys, part_of(d_qkv, 1, e, task), first, e.seq, e.head_dim);
    store_tile<E::DP, E::OWN, E::THREADS>(values, part_of(d_qkv, 2, e, task), first, e.seq, e.head_dim);
}

template <class E>
__device__ __forceinline__ void backward(const typename E::Number* qkv, const typename E::Number* out,
                                         const float* logsumexp, const typename E::Number* d_out,
                                         typename E::Number* d_qkv, Angles angles, const Extents& e, float scale) {
    __shared__ __align__(16) OfEither<E> own;
    const unsigned half = gridDim.x / 2;
    if (blockIdx.x < half) {
        const Task<E::OWN> task(e, blockIdx.x);
        backward_key<E>(own.keys, task, qkv, out, logsumexp, d_out, d_qkv, angles, e, scale);
    } else {
        const Task<E::OWN> task(e, blockIdx.x - half);
        backward_query<E>(own.queries, task, qkv, out, logsumexp, d_out, d_qkv, angles, e, scale);
    }
}

// Tiles that fit the 48 KiB of static shared memory.
template <int DP> using ForwardMma = Mma<DP, DP == 128 ? 32 : 64, true>;
template <int DP> using BackwardMma = Mma<DP, DP == 128 ? 16 : 64, true>;
template <int DP> using AnyFma = Fma<DP, DP == 128 ? 16 : 32, DP == 128 ? 16 : 32>;

#define ENTRIES(DP, TYPE, NUMBER, FORWARD, BACKWARD)                                                                   \
    extern "C" __global__ void __launch_bounds__(FORWARD<DP>::THREADS) window_attention_forward_d##DP##_##TYPE(        \
        const NUMBER* qkv, NUMBER* out, float* logsumexp, const float* cos, const float* sin, unsigned seq,            \
        unsigned heads, unsigned head_dim, unsigned window, float scale) {                                             \
        forward<FORWARD<DP>>(qkv, out, logsumexp, Angles{cos, sin}, Extents{seq, heads, head_dim, window}, scale);     \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(BACKWARD<DP>::THREADS) window_attention_backward_d##DP##_##TYPE(      \
        const NUMBER* qkv, const NUMBER* out, const float* logsumexp, const NUMBER* d_out, NUMBER* d_qkv,              \
        const float* cos, const float* sin, unsigned seq, unsigned heads, unsigned head_dim, unsigned window,          \
        float scale) {                                                                                                 \
        backward<BACKWARD<DP>>(qkv, out, logsumexp, d_out, d_qkv, Angles{cos, sin},                                    \
                               Extents{seq, heads, head_dim, window}, scale);                                          \
    }

#define DECODE(DP, TYPE, NUMBER)                                                                                       \
    extern "C" __global__ void __launch_bounds__(kDecodeThreads) window_attention_decode_d##DP##_##TYPE(               \
        const NUMBER* qkv, NUMBER* keys, NUMBER* values, NUMBER* out, const float* cos, const float* sin,              \
        unsigned heads, unsigned head_dim, unsigned window, unsigned slot, unsigned slots, float scale) {              \
        decode<DP>(qkv, keys, values, out, Angles{cos, sin}, heads, head_dim, window, slot, slots, scale);             \
    }

ENTRIES(16, f32, float, AnyFma, AnyFma)
ENTRIES(32, f32, float, AnyFma, AnyFma)
ENTRIES(64, f32, float, AnyFma, AnyFma)
ENTRIES(128, f32, float, AnyFma, AnyFma)
ENTRIES(16, bf16, bf16, ForwardMma, BackwardMma)
ENTRIES(32, bf16, bf16, ForwardMma, BackwardMma)
ENTRIES(64, bf16, bf16, ForwardMma, BackwardMma)
ENTRIES(128, bf16, bf16, ForwardMma, BackwardMma)

DECODE(16, f32, float)
DECODE(32, f32, float)
DECODE(64, f32, float)
DECODE(128, f32, float)
DECODE(16, bf16, bf16)
DECODE(32, bf16, bf16)
DECODE(64, bf16, bf16)
DECODE(128, bf16, bf16)
