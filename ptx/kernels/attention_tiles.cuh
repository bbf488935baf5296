// Products of tiles: what one block of attention computes with, in two kinds of one interface.
//
// A block owns OWN rows of one operand and streams tiles of STREAM rows of the other past them:
//   dots  s[own][stream] = own . stream       over the DP numbers of a row
//   mix   out[own][DP]  += w[own][stream] x[stream][DP]
// A thread keeps s[ROWS][COLS] at (row(i), col(j)) and out[ROWS][OUT] at (row(i), out_col(c)), the
// numbers of a rotary pair always together. The rows of a thread belong to its warp alone, so
// what a warp writes of its own rows only itself may read without a barrier.
#pragma once
#include "attention_rows.cuh"

template <int N>
struct Vec;
template <>
struct Vec<2> {
    typedef float2 Type;
};
template <>
struct Vec<4> {
    typedef float4 Type;
};

// f32: fused multiply-adds, 64 threads as 8 x 8.
template <int DP_, int OWN_, int STREAM_>
struct Fma {
    typedef float Number;
    enum {
        DP = DP_, OWN = OWN_, STREAM = STREAM_, THREADS = 64,
        STRIDE = TileShape<float, DP>::STRIDE,
        ROWS = OWN / 8, COLS = STREAM / 8, OUT = DP / 8,
        // Numbers of one shared load of x.
        VEC = OUT < 4 ? OUT : 4,
        // Weights pass through shared memory: floats, and their stride.
        WEIGHTS = STREAM + 8, SCRATCH = OWN * WEIGHTS,
        // Parts in which the sum over a streamed tile is held; here a thread sees all of it.
        PARTS = 1
    };
    typedef typename Vec<VEC>::Type Vector;
    static __device__ __forceinline__ unsigned y() { return threadIdx.x / 8; }
    static __device__ __forceinline__ unsigned x() { return threadIdx.x % 8; }
    static __device__ __forceinline__ unsigned row(int i) { return y() + 8 * i; }
    static __device__ __forceinline__ unsigned col(int j) { return x() + 8 * j; }
    static __device__ __forceinline__ unsigned out_col(int c) { return (x() + 8 * (c / VEC)) * VEC + c % VEC; }
    static __device__ __forceinline__ unsigned part() { return 0; }
    // First row of the streamed tile that this thread's warp takes.
    static __device__ __forceinline__ unsigned stream_base() { return 0; }
    static __device__ __forceinline__ bool leads_row() { return x() == 0; }

    static __device__ __forceinline__ float row_sum(float v) {
#pragma unroll
        for (int offset = 4; offset > 0; offset >>= 1) v += __shfl_xor_sync(kFullWarp, v, offset);
        return v;
    }
    static __device__ __forceinline__ float row_max(float v) {
#pragma unroll
        for (int offset = 4; offset > 0; offset >>= 1) v = fmaxf(v, __shfl_xor_sync(kFullWarp, v, offset));
        return v;
    }

    static __device__ __forceinline__ void dots(const float* own, const float* stream, float (&s)[ROWS][COLS]) {
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLS; ++j) s[i][j] = 0.0f;
#pragma unroll 1
        for (int k = 0; k < DP; k += 4) {
            float4 a[ROWS], b[COLS];
#pragma unroll
            for (int i = 0; i < ROWS; ++i) a[i] = *(const float4*)(own + row(i) * STRIDE + k);
#pragma unroll
            for (int j = 0; j < COLS; ++j) b[j] = *(const float4*)(stream + col(j) * STRIDE + k);
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
#pragma unroll
                for (int j = 0; j < COLS; ++j) {
                    s[i][j] = fmaf(a[i].x, b[j].x, s[i][j]);
                    s[i][j] = fmaf(a[i].y, b[j].y, s[i][j]);
                    s[i][j] = fmaf(a[i].z, b[j].z, s[i][j]);
                    s[i][j] = fmaf(a[i].w, b[j].w, s[i][j]);
                }
        }
    }

    static __device__ __forceinline__ void mix(const float (&w)[ROWS][COLS], float* scratch, const float* x_tile,
                                               float (&out)[ROWS][OUT]) {
        __syncwarp();
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLS; ++j) scratch[row(i) * WEIGHTS + col(j)] = w[i][j];
        __syncwarp();
#pragma unroll 1
        for (unsigned k = 0; k < STREAM; k += 4) {
            float weight[ROWS][4];
#pragma unroll
            for (int i = 0; i < ROWS; ++i) unpack(weight[i], *(const float4*)(scratch + row(i) * WEIGHTS + k));
#pragma unroll
            for (int kk = 0; kk < 4; ++kk) {
                float x_row[OUT];
                const float* from = x_tile + (k + kk) * STRIDE;
#pragma unroll
                for (int c = 0; c < OUT; c += VEC) {
                    float v[VEC];
                    unpack(v, *(const Vector*)(from + out_col(c)));
#pragma unroll
                    for (int n = 0; n < VEC; ++n) x_row[c + n] = v[n];
                }
#pragma unroll
                for (int i = 0; i < ROWS; ++i)
#pragma unroll
                    for (int c = 0; c < OUT; ++c) out[i][c] = fmaf(weight[i][kk], x_row[c], out[i][c]);
            }
        }
    }
};

__device__ __forceinline__ void load_matrices(unsigned (&r)[4], const bf16* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(unsigned (&r)[4], const bf16* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// c[row / 8][..] += a b: c holds columns 2t, 2t+1 of row g in (c00, c01) and of row g+8 in (c10, c11).
__device__ __forceinline__ void multiply(float& c00, float& c01, float& c10, float& c11, const unsigned (&a)[4],
                                         unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c00), "+f"(c01), "+f"(c10), "+f"(c11)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// bf16: tensor cores, four warps. With SPLIT_OWN each warp owns 16 of 64 rows and takes the whole
// streamed tile; without, all own the same 16 rows and each takes its own STREAM rows of four
// times as many, so their sums are PARTS of the whole.
template <int DP_, int STREAM_, bool SPLIT_OWN>
struct Mma {
    typedef bf16 Number;
    enum {
        DP = DP_, OWN = SPLIT_OWN ? 64 : 16, STREAM = STREAM_, THREADS = 128,
        STRIDE = TileShape<bf16, DP>::STRIDE,
        ROWS = 2, COLS = STREAM / 4, OUT = DP / 4,
        // Weights stay in registers.
        SCRATCH = 1, PARTS = SPLIT_OWN ? 1 : 4
    };
    static __device__ __forceinline__ unsigned lane() { return threadIdx.x % 32; }
    static __device__ __forceinline__ unsigned warp() { return threadIdx.x / 32; }
    static __device__ __forceinline__ unsigned base() { return SPLIT_OWN ? warp() * 16 : 0; }
    static __device__ __forceinline__ unsigned row(int i) { return base() + lane() / 4 + 8 * i; }
    static __device__ __forceinline__ unsigned col(int j) { return j / 2 * 8 + lane() % 4 * 2 + j % 2; }
    static __device__ __forceinline__ unsigned out_col(int c) { return col(c); }
    static __device__ __forceinline__ unsigned part() { return SPLIT_OWN ? 0 : warp(); }
    static __device__ __forceinline__ unsigned stream_base() { return SPLIT_OWN ? 0 : warp() * STREAM; }
    static __device__ __forceinline__ bool leads_row() { return lane() % 4 == 0; }

    static __device__ __forceinline__ float row_sum(float v) {
        v += __shfl_xor_sync(kFullWarp, v, 2);
        return v + __shfl_xor_sync(kFullWarp, v, 1);
    }
    static __device__ __forceinline__ float row_max(float v) {
        v = fmaxf(v, __shfl_xor_sync(kFullWarp, v, 2));
        return fmaxf(v, __shfl_xor_sync(kFullWarp, v, 1));
    }

    static __device__ __forceinline__ void dots(const bf16* own, const bf16* stream, float (&s)[ROWS][COLS]) {
#pragma unroll
        for (int j = 0; j < COLS; ++j) s[0][j] = s[1][j] = 0.0f;
        const bf16* a_from = own + (base() + lane() % 16) * STRIDE + lane() / 16 * 8;
        const bf16* b_from = stream + (lane() % 8 + lane() / 16 * 8) * STRIDE + lane() / 8 % 2 * 8;
#pragma unroll
        for (int k = 0; k < DP; k += 16) {
            unsigned a[4];
            load_matrices(a, a_from + k);
#pragma unroll
            for (int n = 0; n < STREAM; n += 16) {
                unsigned b[4];
                load_matrices(b, b_from + n * STRIDE + k);
                const int j = n / 4;
                multiply(s[0][j], s[0][j + 1], s[1][j], s[1][j + 1], a, b[0], b[1]);
                multiply(s[0][j + 2], s[0][j + 3], s[1][j + 2], s[1][j + 3], a, b[2], b[3]);
            }
        }
    }

    // The accumulators of `dots`, rounded to bf16, are laid out as the left operand is.
    static __device__ __forceinline__ void mix(const float (&w)[ROWS][COLS], float*, const bf16* x_tile,
                                               float (&out)[ROWS][OUT]) {
        const bf16* b_from = x_tile + lane() % 16 * STRIDE + lane() / 16 * 8;
#pragma unroll
        for (int k = 0; k < STREAM; k += 16) {
            const int j = k / 4;
            const unsigned a[4] = {pack(w[0][j], w[0][j + 1]), pack(w[1][j], w[1][j + 1]),
                                   pack(w[0][j + 2], w[0][j + 3]), pack(w[1][j + 2], w[1][j + 3])};
#pragma unroll
            for (int n = 0; n < DP; n += 16) {
                unsigned b[4];
                load_matrices_transposed(b, b_from + k * STRIDE + n);
                const int c = n / 4;
                multiply(out[0][c], out[0][c + 1], out[1][c], out[1][c + 1], a, b[0], b[1]);
                multiply(out[0][c + 2], out[0][c + 3], out[1][c + 2], out[1][c + 3], a, b[2], b[3]);
            }
        }
    }
};

// Bits of minus infinity as a number: the score of weight zero.
__device__ __forceinline__ float minus_infinity() { return __uint_as_float(0xff800000u); }

// 2^x by the hardware's approximation, within 2 ulp; 2^-infinity is 0.
__device__ __forceinline__ float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float ln2() { return 0.69314718055994530942f; }
__device__ __forceinline__ float log2e() { return 1.44269504088896340736f; }

// A softmax over streamed scores: the largest so far, in units of log2, and the sum of
// 2^(score - largest) over this thread's columns.
template <class E>
struct OnlineSoftmax {
    float top[E::ROWS], sum[E::ROWS];

    __device__ __forceinline__ OnlineSoftmax() {
#pragma unroll
        for (int i = 0; i < E::ROWS; ++i) top[i] = minus_infinity(), sum[i] = 0.0f;
    }

    // Turns scores, times `scale`, into weights relative to the largest so far. `rescale` says
    // by how much whatever was summed with the weights of earlier tiles must shrink.
    __device__ __forceinline__ void step(float (&s)[E::ROWS][E::COLS], float scale, float (&rescale)[E::ROWS]) {
#pragma unroll
        for (int i = 0; i < E::ROWS; ++i) {
            float most = s[i][0];
#pragma unroll
            for (int j = 1; j < E::COLS; ++j) most = fmaxf(most, s[i][j]);
            most = fmaxf(top[i], E::row_max(most) * scale);
            // A row that has seen no key yet: any finite base gives it weights of zero.
            const float base = most == minus_infinity() ? 0.0f : most;
            rescale[i] = exp2_approx(top[i] - base);
            top[i] = most;
            float part = 0.0f;
#pragma unroll
            for (int j = 0; j < E::COLS; ++j) {
                s[i][j] = exp2_approx(fmaf(s[i][j], scale, -base));
                part += s[i][j];
            }
            sum[i] = fmaf(sum[i], rescale[i], part);
        }
    }
};

// tile = out times `scale`, row by row, turned back by the angles where there are any; added to
// what the tile holds where `add` says so. Each warp writes its own rows. Row 0 of the tile is row `first` of
// `count`.
template <class E>
__device__ __forceinline__ void stage(typename E::Number* tile, const float (&out)[E::ROWS][E::OUT],
                                      const float (&scale)[E::ROWS], Angles angles, unsigned first, unsigned count,
                                      unsigned head_dim, bool add) {
#pragma unroll
    for (int i = 0; i < E::ROWS; ++i) {
        const unsigned row = first + E::row(i);
        const size_t at = (size_t)row * (head_dim / 2);
#pragma unroll
        for (int c = 0; c < E::OUT; c += 2) {
            const unsigned column = E::out_col(c);
            float x = out[i][c] * scale[i], y = out[i][c + 1] * scale[i];
            if (angles.cos && row < count && column < head_dim) {
                turn<true>(x, y, angles.cos[at + column / 2], angles.sin[at + column / 2]);
            }
            typename E::Number* to = tile + E::row(i) * E::STRIDE + column;
            if (add) x += to_float(to[0]), y += to_float(to[1]);
            store_pair(to, x, y);
        }
    }
}
