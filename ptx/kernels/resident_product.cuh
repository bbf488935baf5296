// Products of 64 rows that stay in shared memory with a matrix that is streamed past them:
//
//   sums[64][DP] = rows[64][inner] B[inner][columns],  columns <= DP
//
// A block of eight warps holds all columns: each warp has DP / 8 of them, of all 64 rows, in registers,
// and reads its part of B for itself, through a ring of its own in shared memory that cp.async fills
// three slots ahead. So no warp waits for another. A slot is up to 32 columns of 16 inner indices.
//
// The rows are a Panel: 16-byte units, unit u of row r at u ^ (r % 8), which ldmatrix, copies and the
// pairs of an mma result all touch without bank conflicts. In a slot
//   B stored with the inner index fastest    rows of 2 units,      unit u of row r at u ^ (r / 4 % 2)
//   B stored with columns fastest            rows of 2 or 4 units, likewise or u ^ (r / 2 % 4)
// f32 sums run over the inner index in ascending order, 16 at a time inside the mma.
#pragma once
#include "matrix.cuh"

enum { kPanelRows = 64, kWarps = 8, kPanelThreads = kWarps * 32, kSlots = 4 };

__device__ __forceinline__ unsigned lane() { return threadIdx.x % 32; }
__device__ __forceinline__ unsigned warp() { return threadIdx.x / 32; }

// Rows of bf16 in shared memory, `stride` bytes apart, a multiple of 128.
struct Panel {
    unsigned address, stride;
    __device__ __forceinline__ unsigned unit(unsigned row, unsigned u) const {
        return address + row * stride + ((u ^ (row & 7)) << 4);
    }
    // Two numbers side by side, from an even column on.
    __device__ __forceinline__ unsigned pair(unsigned row, unsigned column) const {
        return unit(row, column / 8) + column % 8 * 2;
    }
    // The mma operand A of 16 rows at `row` and 16 columns at `column`.
    __device__ __forceinline__ void fragment_a(unsigned (&a)[4], unsigned row, unsigned column) const {
        load_matrices<false>(a, unit(row + lane() % 16, column / 8 + lane() / 16));
    }
    // The same of the transpose: 16 columns at `column` are its rows.
    __device__ __forceinline__ void fragment_a_transposed(unsigned (&a)[4], unsigned row, unsigned column) const {
        load_matrices<true>(a, unit(row + lane() % 8 + lane() / 16 * 8, column / 8 + lane() / 8 % 2));
    }
    // The mma operands B of 16 rows at `row`, which are columns of the product, inner indices `column`..
    __device__ __forceinline__ void fragment_b(unsigned (&b)[4], unsigned row, unsigned column) const {
        load_matrices<false>(b, unit(row + lane() % 8 + lane() / 16 * 8, column / 8 + lane() / 8 % 2));
    }
    // The same where rows are inner indices and columns those of the product.
    __device__ __forceinline__ void fragment_b_transposed(unsigned (&b)[4], unsigned row, unsigned column) const {
        load_matrices<true>(b, unit(row + lane() % 16, column / 8 + lane() / 16));
    }
};

// Two numbers as bf16, and sixteen bytes, at an address of shared memory.
__device__ __forceinline__ void store_shared(unsigned to, unsigned x) {
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(x) : "memory");
}
__device__ __forceinline__ unsigned load_shared(unsigned from) {
    unsigned x;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x) : "r"(from) : "memory");
    return x;
}
__device__ __forceinline__ void store_shared(unsigned to, uint4 x) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w)
                 : "memory");
}
__device__ __forceinline__ uint4 load_shared_unit(unsigned from) {
    uint4 x;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "r"(from)
                 : "memory");
    return x;
}

// Begins to copy `rows` of up to 64 rows of `width` numbers, which begin on 16 bytes, into the panel;
// the other rows become zero. A warp takes every eighth row.
__device__ __forceinline__ void copy_panel(const Panel& panel, const bf16* from, unsigned rows, unsigned width) {
#pragma unroll 1
    for (unsigned row = warp(); row < kPanelRows; row += kWarps) {
        const bf16* of = from + (size_t)min(row, rows - 1) * width;
        // One turn or two.
#pragma unroll 1
        for (unsigned u = lane(); u < width / 8; u += 32)
            copy_async_16(panel.unit(row, u), of + u * 8, row < rows ? 16 : 0);
    }
    copy_async_commit();
}

// INNER: B is stored with the inner index fastest, as the weight of y = x W^T.
template <int DP, bool INNER>
struct ResidentProduct {
    enum {
        COLUMNS = DP / kWarps,
        SLOT_COLUMNS = COLUMNS < 32 ? COLUMNS : 32,
        PARTS = COLUMNS / SLOT_COLUMNS,
        SLOT_BYTES = SLOT_COLUMNS * 32,
        UNITS = INNER ? 2 : SLOT_COLUMNS / 8,
        COPIES = SLOT_BYTES / 512,
        COPY_ROWS = 32 / UNITS,
        RING_BYTES = kWarps * kSlots * SLOT_BYTES,
    };
    typedef float Sums[kPanelRows / 16][COLUMNS / 8][4];

    static __device__ __forceinline__ unsigned offset(unsigned row, unsigned unit) {
        const unsigned swizzle = UNITS == 2 ? row >> 2 & 1 : row >> 1 & 3;
        return (row * UNITS + (unit ^ swizzle)) * 16;
    }

    static __device__ __forceinline__ unsigned first_column() { return warp() * COLUMNS; }

    // B has `width` rows and columns, a multiple of 16, and begins on 16 bytes; `ring` is the address of
    // RING_BYTES. The panel must be there for all threads; all may still be reading it when this returns.
    static __device__ __forceinline__ void run(Sums& sums, const Panel& rows, unsigned ring, const bf16* b,
                                               unsigned width) {
        ring += warp() * (kSlots * SLOT_BYTES);
        const unsigned row = lane() / UNITS, unit = lane() % UNITS, to = ring + offset(row, unit);
        const unsigned column = first_column() + (INNER ? row : unit * 8);
        const bf16* from = b + (INNER ? (size_t)column * width + unit * 8 : (size_t)row * width + column);
        const unsigned steps = width / 16 * PARTS;
        auto fill = [&](unsigned step) {
            if (step < steps) {
                const unsigned inner = step / PARTS * 16, beyond = step % PARTS * SLOT_COLUMNS;
#pragma unroll
                for (unsigned i = 0; i < COPIES; ++i) {
                    const size_t at = INNER ? (size_t)(beyond + i * COPY_ROWS) * width + inner
                                            : (size_t)(inner + i * COPY_ROWS) * width + beyond;
                    const bool inside = column + beyond + (INNER ? i * COPY_ROWS : 0) < width;
                    copy_async_16(to + step % kSlots * SLOT_BYTES + i * 512, from + at, inside ? 16 : 0);
                }
            }
            copy_async_commit();
        };
#pragma unroll
        for (unsigned i = 0; i < kPanelRows / 16; ++i)
#pragma unroll
            for (unsigned j = 0; j < COLUMNS / 8; ++j)
#pragma unroll
                for (unsigned k = 0; k < 4; ++k) sums[i][j][k] = 0.0f;
#pragma unroll
        for (unsigned step = 0; step < kSlots - 1; ++step) fill(step);
#pragma unroll 1
        for (unsigned inner = 0; inner < width; inner += 16) {
            unsigned a[kPanelRows / 16][4];
#pragma unroll
            for (unsigned part = 0; part < PARTS; ++part) {
                const unsigned step = inner / 16 * PARTS + part;
                // The slot has landed for every lane, and all have done with the one before it.
                copy_async_wait<kSlots - 2>();
                __syncwarp();
                fill(step + kSlots - 1);
                if (part == 0)
#pragma unroll
                    for (unsigned i = 0; i < kPanelRows / 16; ++i) rows.fragment_a(a[i], i * 16, inner);
                const unsigned slot = ring + step % kSlots * SLOT_BYTES;
#pragma unroll
                for (unsigned n = 0; n < SLOT_COLUMNS; n += 16) {
                    unsigned f[4];
                    if (INNER)
                        load_matrices<false>(f, slot + offset(n + lane() % 8 + lane() / 16 * 8, lane() / 8 % 2));
                    else
                        load_matrices<true>(f, slot + offset(lane() % 16, n / 8 + lane() / 16));
                    const unsigned j = (part * SLOT_COLUMNS + n) / 8;
#pragma unroll
                    for (unsigned i = 0; i < kPanelRows / 16; ++i) {
                        mma(sums[i][j], a[i], f[0], f[1]);
                        mma(sums[i][j + 1], a[i], f[2], f[3]);
                    }
                }
            }
        }
        copy_async_wait<0>();
    }

    // The panel = the sums, rounded.
    static __device__ __forceinline__ void store(const Panel& to, const Sums& sums) {
#pragma unroll
        for (unsigned i = 0; i < kPanelRows / 16; ++i)
#pragma unroll
            for (unsigned j = 0; j < COLUMNS / 8; ++j) {
                const unsigned row = i * 16 + lane() / 4, column = first_column() + j * 8 + lane() % 4 * 2;
                store_shared(to.pair(row, column), pack(sums[i][j][0], sums[i][j][1]));
                store_shared(to.pair(row + 8, column), pack(sums[i][j][2], sums[i][j][3]));
            }
    }
};
