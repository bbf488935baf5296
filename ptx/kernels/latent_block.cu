// Latent attention with the products before and after it, the residual add and the norm that follows; and
// the gradients of all that, down to the residual stream before the queries' norm.
//
//   forward   q = n Wq^T, a = latent_attention(q, k, v), out = h + a Co^T,
//             inv_rms = 1 / sqrt(mean(out^2) + eps), normed = out inv_rms gain
//   backward  d_a = d_out Co, (d_q, partial sums of d_k and d_v) = its gradients, d_n = d_q Wq,
//             d_h = d_out + the gradient of rms_norm at h for d_n
//
// Shapes, bf16 except where they say f32: n, q, h, out, normed, d_out, d_h [batch, seq, width]; Wq, Co [width, width];
// kv [batch, M, 2, width]; gain [width]; inv_rms [batch, seq] f32; angles [seq, d / 2] and [M, d / 2] f32, the latter or
// absent; partial [batch, heads, ceil(seq / 256), 2, M, d] f32, which latent_attention_backward_reduce adds up.
// Without n the queries are an input. d_h may be d_out, or absent: then the gradients end at d_q, which is not computed.
// width = heads d up to DP, a multiple of 64; d is 16, 32, 64 or 128; M up to 64. All arrays begin on 16 bytes.
//
// What passes from step to step is rounded as the operations by themselves store it (linear, latent_attention, rms_norm).
//
// Launch: 256 threads. 64 rows of `width` numbers stay in (dynamic) shared memory from the first product to
// the last and change in place: n, q, a; or d_out, d_a, d_q, d_n. See resident_product.cuh for the products,
// whose ring of tiles and the latents share what is left of the memory.
//   forward    a block per 64 tokens of a sequence
//   backward   a block per 256 tokens, 64 at a time, whose sums of d_k and d_v it adds in order
//
// Bytes, in units of one [batch, seq, width] array: forward must move 5 (n, q, h, out, normed; 4 where q is given), backward
// 4 (d_out, q, h, d_h; 2 without d_h), and moves those and d_out once more; by themselves the operations move 11 and 12.
// Both read the weights once per 64 rows.
#include "latent_block_gradient.cuh"

enum { kChunk = 256, kLatentBytes = 32768 };

extern __shared__ __align__(128) unsigned char arena[];

template <int DP>
__device__ __forceinline__ Panel panel() {
    return {shared_address(arena), DP * 2};
}

// The units of eight numbers of a row that a lane takes: every 32nd.
template <int DP>
struct Lanes {
    enum { UNITS = DP < 256 ? 1 : DP / 256 };
    static __device__ __forceinline__ unsigned unit(unsigned i) { return lane() + 32 * i; }

    // A gain, for all rows that a warp works on.
    static __device__ __forceinline__ void load(float (&gain)[UNITS][8], const bf16* from, unsigned width) {
#pragma unroll
        for (unsigned i = 0; i < UNITS; ++i) {
#pragma unroll
            for (int j = 0; j < 8; ++j) gain[i][j] = 0.0f;
            if (unit(i) < width / 8) load_chunk(gain[i], from + unit(i) * 8);
        }
    }
};

struct ForwardArgs {
    const bf16 *n, *query_weight;
    bf16* q;
    const bf16 *kv, *out_weight, *h, *gain;
    bf16 *out, *normed;
    float* inv_rms;
    Angles angles, latent_angles;
    Extents e;
    float eps, scale;
};

// Adds the rows of the panel to the sums, rounds, puts the result in the panel, and the squares of this warp's
// columns into squares[warp][row].
template <class P>
__device__ __forceinline__ void add_and_square(const Panel& rows, typename P::Sums& sums, float* squares) {
#pragma unroll
    for (unsigned i = 0; i < kPanelRows / 16; ++i)
#pragma unroll
        for (unsigned half = 0; half < 2; ++half) {
            const unsigned row = i * 16 + half * 8 + lane() / 4;
            float square = 0.0f;
#pragma unroll
            for (unsigned j = 0; j < P::COLUMNS / 8; ++j) {
                const unsigned at = rows.pair(row, P::first_column() + j * 8 + lane() % 4 * 2), add = load_shared(at);
                const unsigned sum = pack(sums[i][j][half * 2] + __uint_as_float(add << 16),
                                          sums[i][j][half * 2 + 1] + __uint_as_float(add & 0xffff0000u));
                store_shared(at, sum);
                const float x = __uint_as_float(sum << 16), y = __uint_as_float(sum & 0xffff0000u);
                square += x * x;
                square += y * y;
            }
            square = over_row(square);
            if (lane() % 4 == 0) squares[warp() * kPanelRows + row] = square;
        }
}

template <int DP>
__device__ __forceinline__ void forward(const ForwardArgs& f) {
    typedef ResidentProduct<DP, true> P;
    const Extents& e = f.e;
    const unsigned tiles = (e.seq + kPanelRows - 1) / kPanelRows;
    const unsigned first = blockIdx.x % tiles * kPanelRows, count = min((unsigned)kPanelRows, e.seq - first);
    const size_t sequence = blockIdx.x / tiles, begin = (sequence * e.seq + first) * e.width;
    const Panel rows = panel<DP>();
    const unsigned area = rows.address + kPanelRows * rows.stride;
    typename P::Sums sums;

    copy_panel(rows, (f.n ? f.n : f.q) + begin, count, e.width);
    copy_async_wait<0>();
    __syncthreads();
    if (f.n) {
        P::run(sums, rows, area, f.query_weight, e.width);
        __syncthreads();
        // Read by others behind the barrier that follows the latents' loading.
        P::store(rows, sums);
    }

    // As many columns at a time as have room for their keys and values.
    const unsigned room = min(kLatentBytes / 4 / e.latent_rows(), (e.width + 63) / 64 * 64);
    const Panel keys = {area, room * 2}, values = {area + room * 2 * e.latent_rows(), room * 2};
    bf16* kept = f.n ? f.q + sequence * e.seq * e.width : nullptr;
#pragma unroll 1
    for (unsigned column = 0; column < e.width; column += room) {
        if (column > 0) __syncthreads();
        load_latents(keys, values, f.kv + sequence * e.latents * 2 * e.width, f.latent_angles, e, column, room);
        __syncthreads();
        const unsigned heads = min(room, e.width - column) / e.head_dim;
#pragma unroll 1
        for (unsigned strip = warp(); strip < heads * 4; strip += kWarps) {
            const unsigned at = strip / 4 * e.head_dim;
            attend(rows, strip % 4 * 16, column + at, keys, values, at, kept, f.angles, first, f.scale, e);
        }
    }
    __syncthreads();
    P::run(sums, rows, area, f.out_weight, e.width);
    __syncthreads();

    copy_panel(rows, f.h + begin, count, e.width);
    copy_async_wait<0>();
    __syncthreads();
    float* squares = (float*)(arena + kPanelRows * rows.stride);
    if (P::first_column() < e.width) add_and_square<P>(rows, sums, squares);
    __syncthreads();
    const unsigned parts = (e.width + P::COLUMNS - 1) / P::COLUMNS;
    typedef Lanes<DP> L;
    float gain[L::UNITS][8];
    L::load(gain, f.gain, e.width);
#pragma unroll 1
    for (unsigned row = warp(); row < count; row += kWarps) {
        float square = 0.0f;
        for (unsigned part = 0; part < parts; ++part) square += squares[part * kPanelRows + row];
        const float inverse = __fdiv_rn(1.0f, __fsqrt_rn(__fdiv_rn(square, (float)e.width) + f.eps));
        const size_t at = begin + (size_t)row * e.width;
#pragma unroll
        for (unsigned i = 0; i < L::UNITS; ++i) {
            const unsigned u = L::unit(i);
            if (u >= e.width / 8) continue;
            const uint4 sum = load_shared_unit(rows.unit(row, u));
            *(uint4*)(f.out + at + u * 8) = sum;
            float x[8];
            unpack(x, sum);
#pragma unroll
            for (int j = 0; j < 8; ++j) x[j] = x[j] * inverse * gain[i][j];
            *(uint4*)(f.normed + at + u * 8) = narrow(x);
        }
        if (lane() == 0) f.inv_rms[sequence * e.seq + first + row] = inverse;
    }
}

struct BackwardArgs {
    const bf16 *d_out, *q, *kv, *out_weight, *query_weight, *h, *gain;
    const float* inv_rms;
    bf16* d_h;
    float* partial;
    Angles angles, latent_angles;
    Extents e;
    unsigned columns;  // of the heads whose gradients are formed together: a multiple of 64 and of head_dim
    float scale;
};

// d_h = d_out + the gradient of the norm, whose own is in the panel. A warp takes every eighth row.
template <int DP>
__device__ __forceinline__ void through_norm(const BackwardArgs& b, const Panel& rows, size_t first, unsigned count) {
    typedef Lanes<DP> L;
    const unsigned width = b.e.width;
    float gain[L::UNITS][8];
    L::load(gain, b.gain, width);
#pragma unroll 1
    for (unsigned row = warp(); row < count; row += kWarps) {
        const size_t at = (first + row) * width;
        float d[L::UNITS][8], h[L::UNITS][8], projection = 0.0f;
#pragma unroll
        for (unsigned i = 0; i < L::UNITS; ++i) {
            const unsigned u = L::unit(i);
#pragma unroll
            for (int j = 0; j < 8; ++j) d[i][j] = h[i][j] = 0.0f;
            if (u >= width / 8) continue;
            unpack(d[i], load_shared_unit(rows.unit(row, u)));
            load_chunk(h[i], b.h + at + u * 8);
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                d[i][j] *= gain[i][j];
                projection += d[i][j] * h[i][j];
            }
        }
        const float inverse = b.inv_rms[first + row];
        const float shrink = __fdiv_rn(warp_sum(projection) * inverse * inverse, (float)width);
#pragma unroll
        for (unsigned i = 0; i < L::UNITS; ++i) {
            const unsigned u = L::unit(i);
            if (u >= width / 8) continue;
            float x[8];
            load_chunk(x, b.d_out + at + u * 8);
#pragma unroll
            for (int j = 0; j < 8; ++j) x[j] = inverse * (d[i][j] - h[i][j] * shrink) + x[j];
            *(uint4*)(b.d_h + at + u * 8) = narrow(x);
        }
    }
}

template <int DP>
__device__ __forceinline__ void backward(const BackwardArgs& b) {
    typedef ResidentProduct<DP, false> P;
    const Extents& e = b.e;
    const unsigned chunks = (e.seq + kChunk - 1) / kChunk, chunk = blockIdx.x % chunks;
    const size_t sequence = blockIdx.x / chunks;
    const unsigned heads = e.width / e.head_dim, end = min(chunk * kChunk + kChunk, e.seq);
    const size_t head_stride = (size_t)chunks * 2 * e.latents * e.head_dim;
    float* partial = b.partial + sequence * heads * head_stride + (size_t)chunk * 2 * e.latents * e.head_dim;
    const Panel rows = panel<DP>();
    const unsigned area = rows.address + kPanelRows * rows.stride, stride = b.columns * 2;
    Heads h;
    h.d_a = rows;
    h.q = {area, stride};
    h.keys = {area + kPanelRows * stride, stride};
    h.values = {h.keys.address + e.latent_rows() * stride, stride};
    h.weights = h.values.address + e.latent_rows() * stride;
#pragma unroll 1
    for (unsigned first = chunk * kChunk; first < end; first += kPanelRows) {
        const unsigned count = min((unsigned)kPanelRows, end - first);
        const size_t row = sequence * e.seq + first;
        typename P::Sums sums;
        copy_panel(rows, b.d_out + row * e.width, count, e.width);
        copy_async_wait<0>();
        __syncthreads();
        P::run(sums, rows, area, b.out_weight, e.width);
        __syncthreads();
        P::store(rows, sums);
#pragma unroll 1
        for (h.first = 0; h.first < e.width; h.first += b.columns) {
            h.count = min(b.columns, e.width - h.first) / e.head_dim;
            load_latents(h.keys, h.values, b.kv + sequence * e.latents * 2 * e.width, b.latent_angles, e, h.first,
                         b.columns);
            load_queries(h, b.q + sequence * e.seq * e.width, b.angles, first, e);
            __syncthreads();
            weights_and_gradients(h, b.scale, e);
            __syncthreads();
            add_latents(h, partial + h.first / e.head_dim * head_stride, head_stride, first == chunk * kChunk, e);
            __syncthreads();
            if (b.d_h) {
                queries(h, b.angles, first, b.scale, e);
                __syncthreads();
            }
        }
        if (!b.d_h) continue;
        P::run(sums, rows, area, b.query_weight, e.width);
        __syncthreads();
        P::store(rows, sums);
        __syncthreads();
        // A thread copies the next tile to the units that it has read here itself.
        through_norm<DP>(b, rows, row, count);
    }
}

#define ENTRIES(DP)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(kPanelThreads, 1) latent_block_forward_##DP##_bf16(                   \
        const bf16* n, const bf16* query_weight, bf16* q, const bf16* kv, const bf16* out_weight, const bf16* h,       \
        const bf16* gain, bf16* out, bf16* normed, float* inv_rms, const float* cos, const float* sin,                 \
        const float* latent_cos, const float* latent_sin, unsigned seq, unsigned width, unsigned head_dim,             \
        unsigned latents, float eps, float scale) {                                                                    \
        forward<DP>({n, query_weight, q, kv, out_weight, h, gain, out, normed, inv_rms, {cos, sin},                    \
                     {latent_cos, latent_sin}, {seq, width, head_dim, latents}, eps, scale});                          \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(kPanelThreads, 1) latent_block_backward_##DP##_bf16(                  \
        const bf16* d_out, const bf16* q, const bf16* kv, const bf16* out_weight, const bf16* query_weight,            \
        const bf16* h, const bf16* gain, const float* inv_rms, bf16* d_h, float* partial, const float* cos,            \
        const float* sin, const float* latent_cos, const float* latent_sin, unsigned seq, unsigned width,              \
        unsigned head_dim, unsigned latents, unsigned columns, float scale) {                                          \
        backward<DP>({d_out, q, kv, out_weight, query_weight, h, gain, inv_rms, d_h, partial, {cos, sin},              \
                      {latent_cos, latent_sin}, {seq, width, head_dim, latents}, columns, scale});                     \
    }

ENTRIES(128)
ENTRIES(256)
ENTRIES(512)
