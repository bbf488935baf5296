// One block's tile of a matrix product A B in bf16 on tensor cores, handed to an epilogue, where
// A is m x k and B is k x n, each stored in either order: "inner-contiguous" has k running
// fastest (x and W of y = x W^T), the other has m or n running fastest.
//
// A block of warps forms BM x BN numbers of the product. Tiles of 32 along k go through a ring of three
// stages in shared memory, filled by cp.async two stages ahead: one barrier per tile. Each byte
// of A and B is asked for once per block. Shared memory is swizzled in 16-byte units so that
// both the copies and ldmatrix touch every bank once:
//   inner-contiguous  64-byte rows, unit u of row r at u ^ ((r / 2) % 4)
//   otherwise         rows of k,    unit u of row r at u ^ (r % 8)
// f32 sums run over k in ascending order, 16 at a time inside the mma.
#pragma once
#include "epilogue.cuh"
#include "matrix.cuh"

enum { kInnerTile = 32, kStages = 3 };

// The layout of a tile of EXTENT by 32 numbers of one operand.
template <int EXTENT, bool INNER_CONTIGUOUS>
struct OperandTile {
    enum {
        kBytes = EXTENT * kInnerTile * 2,
        kColumns = INNER_CONTIGUOUS ? kInnerTile : EXTENT,
        kUnits = kColumns / 8,
    };

    // Bytes from the start of the tile to 16-byte unit `unit` of stored row `row`.
    static __device__ __forceinline__ unsigned offset(unsigned row, unsigned unit) {
        unsigned swizzle = INNER_CONTIGUOUS ? (row >> 1) & 3 : row & 7;
        return row * (kColumns * 2) + ((unit ^ swizzle) << 4);
    }

    // The mma operand A of 16 rows at `row`, inner indices 16 `step`..
    static __device__ __forceinline__ void fragment_a(unsigned (&a)[4], unsigned tile, unsigned row,
                                                      unsigned step) {
        unsigned lane = threadIdx.x % 32;
        if (INNER_CONTIGUOUS)
            load_matrices<false>(a, tile + offset(row + lane % 16, step * 2 + lane / 16));
        else
            load_matrices<true>(
                a, tile + offset(step * 16 + lane % 8 + lane / 16 * 8, row / 8 + lane / 8 % 2));
    }

    // The mma operands B of 16 columns at `column`: b[0], b[1] for the first eight, then the rest.
    static __device__ __forceinline__ void fragment_b(unsigned (&b)[4], unsigned tile, unsigned column,
                                                      unsigned step) {
        unsigned lane = threadIdx.x % 32;
        if (INNER_CONTIGUOUS)
            load_matrices<false>(
                b, tile + offset(column + lane % 8 + lane / 16 * 8, step * 2 + lane / 8 % 2));
        else
            load_matrices<true>(b, tile + offset(step * 16 + lane % 16, column / 8 + lane / 16));
    }
};

// Brings the tiles of one operand in, one after the other: this thread's share of each, the same
// places every time. Zeros beyond the matrix. ALIGNED: rows start on 16 bytes, and the bounds of
// what is contiguous are multiples of 8.
template <int EXTENT, bool INNER_CONTIGUOUS, int THREADS, bool ALIGNED, class Index>
struct TileSource {
    using Tile = OperandTile<EXTENT, INNER_CONTIGUOUS>;
    enum {
        kCopies = Tile::kBytes / 16 / THREADS,
        kRowStep = THREADS / Tile::kUnits,
        kNever = 0x7fffffff,
    };
    // Every copy of a thread falls on the same unit with the same swizzle, a constant apart.
    static_assert(kRowStep % 8 == 0, "");

    const bf16* from[kCopies];
    int beyond[kCopies];  // copy i is inside while more than this many inner indices are left
    int left;
    unsigned to;
    size_t advance;

    // The rows of `extent` that `index` gives, inner indices inner.. below `inner_end`.
    __device__ __forceinline__ TileSource(const bf16* source, size_t stride, Index index,
                                          unsigned extent, unsigned inner, unsigned inner_end) {
        unsigned row = threadIdx.x / Tile::kUnits, unit = threadIdx.x % Tile::kUnits;
        to = Tile::offset(row, unit);
        advance = INNER_CONTIGUOUS ? kInnerTile : kInnerTile * stride;
        left = (int)inner_end - (int)(inner + (INNER_CONTIGUOUS ? unit * 8 : row));
#pragma unroll
        for (int i = 0; i < kCopies; i++) {
            unsigned outer = index(INNER_CONTIGUOUS ? row + i * kRowStep : unit * 8);
            from[i] = source + (INNER_CONTIGUOUS ? outer * stride + (inner + unit * 8)
                                                 : (inner + row + i * kRowStep) * stride + outer);
            beyond[i] = outer >= extent ? kNever : INNER_CONTIGUOUS ? 0 : i * kRowStep;
        }
    }

    __device__ __forceinline__ void copy(unsigned char*, unsigned tile) {
#pragma unroll
        for (int i = 0; i < kCopies; i++) {
            copy_async_16(tile + to + i * (THREADS * 16), from[i], left > beyond[i] ? 16 : 0);
            from[i] += advance;
        }
        left -= kInnerTile;
    }
};

// Number by number, for rows that start anywhere.
template <int EXTENT, bool INNER_CONTIGUOUS, int THREADS, class Index>
struct TileSource<EXTENT, INNER_CONTIGUOUS, THREADS, false, Index> {
    using Tile = OperandTile<EXTENT, INNER_CONTIGUOUS>;
    const bf16* source;
    size_t stride;
    Index index;
    unsigned extent, inner, inner_end;

    __device__ __forceinline__ TileSource(const bf16* source, size_t stride, Index index,
                                          unsigned extent, unsigned inner, unsigned inner_end)
        : source(source), stride(stride), index(index), extent(extent), inner(inner), inner_end(inner_end) {}

    __device__ __forceinline__ void copy(unsigned char* tile, unsigned) {
#pragma unroll 4
        for (unsigned i = 0; i < EXTENT * kInnerTile / THREADS; i++) {
            unsigned at = threadIdx.x + i * THREADS;
            unsigned row = at / Tile::kColumns, column = at % Tile::kColumns;
            unsigned outer = index(INNER_CONTIGUOUS ? row : column);
            unsigned k = inner + (INNER_CONTIGUOUS ? column : row);
            size_t from = INNER_CONTIGUOUS ? outer * stride + k : k * stride + outer;
            bf16 x = outer < extent && k < inner_end ? source[from] : (bf16)0;
            *(bf16*)(tile + Tile::offset(row, column / 8) + column % 8 * 2) = x;
        }
        inner += kInnerTile;
    }
};

// BM x BN numbers by ROWS x COLUMNS warps. The extents are m, n and inner indices
// inner_begin..inner_end. What becomes of the numbers an epilogue says, see epilogue.cuh.
template <int BM, int BN, int ROWS, int COLUMNS, bool A_INNER, bool B_INNER, bool ALIGNED>
struct Product {
    using TileA = OperandTile<BM, A_INNER>;
    using TileB = OperandTile<BN, B_INNER>;
    enum {
        kThreads = ROWS * COLUMNS * 32,
        kWarpRows = BM / ROWS,
        kWarpColumns = BN / COLUMNS,
        kMmaRows = kWarpRows / 16,
        kMmaColumns = kWarpColumns / 8,
        kStageBytes = TileA::kBytes + TileB::kBytes,
        kSharedBytes = kStages * kStageBytes,
        // Floats from row to row of a warp's staged output: 8 modulo 32, so that the four rows
        // that half a warp writes at once fall on different banks.
        kPitch = kWarpColumns + 8,
    };
    static_assert(kWarpColumns == 32, "a staged row is one float per lane");
    static_assert(ROWS * COLUMNS * 16 * kPitch * 4 <= kSharedBytes, "staging fits the ring");

    template <class Epilogue>
    static __device__ __forceinline__ void run(unsigned char* shared, const bf16* a, const bf16* b,
                                               const Epilogue& epilogue, unsigned m, unsigned n,
                                               size_t a_stride, size_t b_stride, unsigned inner_begin,
                                               unsigned inner_end) {
        unsigned column_tiles = (n + BN - 1) / BN;
        unsigned first_row = blockIdx.x / column_tiles * BM, first_column = blockIdx.x % column_tiles * BN;
        unsigned warp = threadIdx.x / 32;
        unsigned warp_row = warp / COLUMNS * kWarpRows, warp_column = warp % COLUMNS * kWarpColumns;

        typedef typename Epilogue::Columns Columns;
        TileSource<BM, A_INNER, kThreads, ALIGNED, Consecutive> source_a(a, a_stride, Consecutive{first_row}, m,
                                                                         inner_begin, inner_end);
        TileSource<BN, B_INNER, kThreads, ALIGNED, Columns> source_b(b, b_stride, epilogue.columns(first_column),
                                                                     epilogue.extent(n), inner_begin, inner_end);
        const unsigned address = shared_address(shared);
        // Offsets of the stages that are filled and worked on next.
        unsigned filling = 0, working = 0;
        auto next = [](unsigned stage) {
            return stage == (kStages - 1) * kStageBytes ? 0 : stage + kStageBytes;
        };
        auto fill = [&](bool any) {
            if (any) {
                source_a.copy(shared + filling, address + filling);
                source_b.copy(shared + filling + TileA::kBytes, address + filling + TileA::kBytes);
            }
            copy_async_commit();
            filling = next(filling);
        };

        float sums[kMmaRows][kMmaColumns][4] = {};
        unsigned tiles = (inner_end - inner_begin + kInnerTile - 1) / kInnerTile;
        for (unsigned tile = 0; tile < kStages - 1; tile++) fill(tile < tiles);
        for (unsigned tile = 0; tile < tiles; tile++) {
            // This tile has landed for every thread, and all have done with the one before it,
            // whose stage is filled next.
            copy_async_wait<kStages - 2>();
            __syncthreads();
            fill(tile + kStages - 1 < tiles);
            const unsigned stage = address + working;
            working = next(working);
#pragma unroll
            for (unsigned step = 0; step < kInnerTile / 16; step++) {
                unsigned fa[kMmaRows][4], fb[kMmaColumns / 2][4];
#pragma unroll
                for (unsigned i = 0; i < kMmaRows; i++)
                    TileA::fragment_a(fa[i], stage, warp_row + i * 16, step);
#pragma unroll
                for (unsigned j = 0; j < kMmaColumns / 2; j++)
                    TileB::fragment_b(fb[j], stage + TileA::kBytes, warp_column + j * 16, step);
#pragma unroll
                for (unsigned i = 0; i < kMmaRows; i++)
#pragma unroll
                    for (unsigned j = 0; j < kMmaColumns; j++)
                        mma(sums[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
            }
        }
        copy_async_wait<0>();
        __syncthreads();
        store(shared, sums, epilogue, m, n, first_row + warp_row, first_column + warp_column);
    }

    // Each warp passes its numbers through shared memory, 16 rows at a time, so that whole
    // sectors are written: with four numbers per lane, or one where rows are not aligned.
    template <class Epilogue>
    static __device__ __forceinline__ void store(unsigned char* shared,
                                                 float (&sums)[kMmaRows][kMmaColumns][4],
                                                 const Epilogue& epilogue, unsigned m, unsigned n,
                                                 unsigned first_row, unsigned first_column) {
        unsigned lane = threadIdx.x % 32;
        bool quads = epilogue.quads();
        float* staged = (float*)shared + threadIdx.x / 32 * (16 * kPitch);
#pragma unroll
        for (unsigned i = 0; i < kMmaRows; i++) {
#pragma unroll
            for (unsigned j = 0; j < kMmaColumns; j++) {
                unsigned at = shared_address(staged + lane / 4 * kPitch + j * 8 + lane % 4 * 2);
                store_shared_pair(at, sums[i][j][0], sums[i][j][1]);
                store_shared_pair(at + 8 * kPitch * 4, sums[i][j][2], sums[i][j][3]);
            }
            __syncwarp();
            if (quads) {
#pragma unroll
                for (unsigned r = lane / 8; r < 16; r += 4) {
                    unsigned row = first_row + i * 16 + r, column = first_column + lane % 8 * 4;
                    if (row >= m || column >= n) continue;
                    epilogue.four(row, column, staged + r * kPitch + lane % 8 * 4);
                }
            } else {
                for (unsigned r = 0; r < 16; r++) {
                    unsigned row = first_row + i * 16 + r, column = first_column + lane;
                    if (row >= m || column >= n) continue;
                    epilogue.one(row, column, staged + r * kPitch + lane);
                }
            }
            __syncwarp();
        }
    }
};
