// Whole rows of a product A B in bf16 on tensor cores, handed to an epilogue row by row: what follows
// a product and needs all of a row, as a norm does, needs no other block. A is m x k with k running
// fastest; B is k x n in either order, as in product_bf16.cuh; n is at most BN.
//
// A block of 8 warps forms 64 rows of BN numbers. Tiles of 32 along k go through a ring in shared
// memory, swizzled as in product_bf16.cuh, one barrier a tile: three stages, or two where rows of 512
// leave no room for more in the 99 KB that every GPU has. Rows of B beyond 256 are tiles of their own.
// f32 sums run over k in ascending order, 16 at a time inside the mma: the bits of product_bf16.cuh.
//
// Then the rows pass through shared memory in f32, ROWS * 16 at a time, and each goes to one warp.
// What an epilogue reads for a row is asked for while the rows before it are worked on.
//
// An epilogue has
//   begin()                           once, when the sums are there
//   Operands, fetch(row)              what it reads of memory for a row; row may be m or more
//   row(row, staged, operands)        takes a row below m: all lanes of a warp call it. `staged` gives
//                                     the numbers of the product, eight side by side at a time
#pragma once
#include "product_bf16.cuh"

// A row of a product in shared memory. Units of four numbers are swapped in every second group of 32,
// so that lanes with eight numbers each meet no bank twice.
struct StagedRow {
    const float* numbers;

    static __device__ __forceinline__ unsigned place(unsigned column) { return column ^ (column >> 3 & 4); }

    // Numbers column.. column + 7; column is a multiple of 8.
    __device__ __forceinline__ void eight(unsigned column, float* x) const {
        const float4 low = *(const float4*)(numbers + place(column));
        const float4 high = *(const float4*)(numbers + place(column + 4));
        x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
        x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
    }
};

template <int BN, bool B_INNER>
struct RowsProduct {
    enum {
        kRows = 64,
        kThreads = 256,
        kWarps = kThreads / 32,
        // Warps along the rows and the columns of the tile.
        kRowWarps = BN > 256 ? 1 : 2,
        kColumnWarps = kWarps / kRowWarps,
        kWarpRows = kRows / kRowWarps,
        kWarpColumns = BN / kColumnWarps,
        kMmaRows = kWarpRows / 16,
        kMmaColumns = kWarpColumns / 8,
        kPart = BN > 256 ? 256 : BN,
        kParts = BN / kPart,
        kRingStages = BN > 256 ? 2 : 3,
    };
    using TileA = OperandTile<kRows, true>;
    using TileB = OperandTile<kPart, B_INNER>;
    using SourceA = TileSource<kRows, true, kThreads, true, Consecutive>;
    using SourceB = TileSource<kPart, B_INNER, kThreads, true, Consecutive>;
    using Sums = float[kMmaRows][kMmaColumns][4];
    enum {
        kStageBytes = TileA::kBytes + kParts * TileB::kBytes,
        kSharedBytes = kRingStages * kStageBytes,
        // Rows in shared memory at once, and those of a warp.
        kStagedRows = kRowWarps * 16,
        kRowsOfWarp = kStagedRows / kWarps,
        // Floats from row to row: 8 modulo 32, so that the four rows that half a warp writes at once
        // fall on different banks.
        kPitch = BN + 8,
    };
    static_assert(kSharedBytes <= 101376, "every GPU has so much");
    static_assert(kStagedRows * kPitch * 4 <= kSharedBytes, "staging fits the ring");

    static __device__ __forceinline__ unsigned warp_row() { return threadIdx.x / 32 / kColumnWarps; }
    static __device__ __forceinline__ unsigned first_column() {
        return threadIdx.x / 32 % kColumnWarps * kWarpColumns;
    }

    // 64 rows of the product from `first_row` on, `inner` terms each.
    static __device__ __forceinline__ void multiply(unsigned char* shared, Sums& sums, const bf16* a,
                                                    const bf16* b, unsigned first_row, unsigned m,
                                                    unsigned n, size_t a_stride, size_t b_stride,
                                                    unsigned inner) {
        SourceA source_a(a, a_stride, Consecutive{first_row}, m, 0, inner);
        SourceB low(b, b_stride, Consecutive{0}, n, 0, inner);
        SourceB high(b, b_stride, Consecutive{kPart}, n, 0, inner);
        const unsigned address = shared_address(shared);
        unsigned filling = 0, working = 0;
        auto next = [](unsigned stage) {
            return stage == (kRingStages - 1) * kStageBytes ? 0 : stage + kStageBytes;
        };
        auto fill = [&](bool any) {
            if (any) {
                const unsigned stage = address + filling;
                source_a.copy(nullptr, stage);
                low.copy(nullptr, stage + TileA::kBytes);
                if (kParts > 1) high.copy(nullptr, stage + TileA::kBytes + TileB::kBytes);
            }
            copy_async_commit();
            filling = next(filling);
        };
        const unsigned of_warp =
            TileA::kBytes + first_column() / kPart * TileB::kBytes;
        unsigned tiles = (inner + kInnerTile - 1) / kInnerTile;
        for (unsigned tile = 0; tile < kRingStages - 1; tile++) fill(tile < tiles);
        for (unsigned tile = 0; tile < tiles; tile++) {
            // This tile has landed for every thread, and all have done with the one before it,
            // whose stage is filled next.
            copy_async_wait<kRingStages - 2>();
            __syncthreads();
            fill(tile + kRingStages - 1 < tiles);
            const unsigned stage = address + working;
            working = next(working);
#pragma unroll
            for (unsigned step = 0; step < kInnerTile / 16; step++) {
                unsigned fa[kMmaRows][4];
#pragma unroll
                for (unsigned i = 0; i < kMmaRows; i++)
                    TileA::fragment_a(fa[i], stage, warp_row() * kWarpRows + i * 16, step);
#pragma unroll
                for (unsigned j = 0; j < kMmaColumns / 2; j++) {
                    unsigned fb[4];
                    TileB::fragment_b(fb, stage + of_warp, first_column() % kPart + j * 16, step);
#pragma unroll
                    for (unsigned i = 0; i < kMmaRows; i++) {
                        mma(sums[i][j * 2], fa[i], fb[0], fb[1]);
                        mma(sums[i][j * 2 + 1], fa[i], fb[2], fb[3]);
                    }
                }
            }
        }
        copy_async_wait<0>();
    }

    // Rows of `sums` to `epilogue`. Shared memory may still be read by other warps before.
    template <class Epilogue>
    static __device__ __forceinline__ void finish(unsigned char* shared, const Sums& sums, Epilogue& epilogue,
                                                  unsigned first_row, unsigned m) {
        typedef typename Epilogue::Operands Operands;
        const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        float* const staged = (float*)shared;
        // Of the rows of this warp, among those that are staged together.
        auto of_warp = [&](unsigned i, unsigned r) {
            const unsigned at = warp * kRowsOfWarp + r;
            return first_row + at / 16 * kWarpRows + i * 16 + at % 16;
        };
        epilogue.begin();
        Operands operands[kRowsOfWarp];
#pragma unroll
        for (unsigned r = 0; r < kRowsOfWarp; r++) operands[r] = epilogue.fetch(of_warp(0, r));
#pragma unroll
        for (unsigned i = 0; i < kMmaRows; i++) {
            __syncthreads();
            const unsigned row = warp_row() * 16 + lane / 4;
#pragma unroll
            for (unsigned j = 0; j < kMmaColumns; j++) {
                const unsigned column = StagedRow::place(first_column() + j * 8 + lane % 4 * 2);
                const unsigned at = shared_address(staged + row * kPitch + column);
                store_shared_pair(at, sums[i][j][0], sums[i][j][1]);
                store_shared_pair(at + 8 * kPitch * 4, sums[i][j][2], sums[i][j][3]);
            }
            __syncthreads();
            Operands following[kRowsOfWarp];
            if (i + 1 < kMmaRows) {
#pragma unroll
                for (unsigned r = 0; r < kRowsOfWarp; r++) following[r] = epilogue.fetch(of_warp(i + 1, r));
            }
#pragma unroll
            for (unsigned r = 0; r < kRowsOfWarp; r++) {
                const unsigned at = of_warp(i, r);
                if (at < m) epilogue.row(at, StagedRow{staged + (warp * kRowsOfWarp + r) * kPitch}, operands[r]);
                operands[r] = following[r];
            }
        }
    }

    // The rows of this block, of which blockIdx.x counts.
    template <class Epilogue>
    static __device__ __forceinline__ void run(unsigned char* shared, const bf16* a, const bf16* b,
                                               Epilogue epilogue, unsigned m, unsigned n, size_t a_stride,
                                               size_t b_stride, unsigned inner) {
        Sums sums = {};
        const unsigned first_row = blockIdx.x * kRows;
        multiply(shared, sums, a, b, first_row, m, n, a_stride, b_stride, inner);
        finish(shared, sums, epilogue, first_row, m);
    }
};
