// Rows of one head in global memory, and tiles of them in shared memory. Shared by
// window_attention and latent_attention.
//
// A tile holds ROWS rows of DP numbers (16, 32, 64 or 128) at a stride of DP numbers and 16
// bytes, which spreads eight rows of one 16-byte column over all banks. A head of fewer numbers
// is widened with zeros, which add nothing to a dot product.
#pragma once
#include "matrix.cuh"

// Row r begins at first + r * stride.
template <typename T>
struct Rows {
    T* first;
    size_t stride;
};

// Cosines and sines, head_dim / 2 of each per row; a null cos leaves the row unrotated.
struct Angles {
    const float* cos;
    const float* sin;
};

// Sixteen bytes of a row.
template <typename T>
struct Chunk {
    enum { N = 16 / sizeof(T) };
};

template <typename T, int DP>
struct TileShape {
    enum { STRIDE = DP + Chunk<T>::N };
};

// Whole rows of DP numbers that begin on 16 bytes go by vector, anything else number by number.
template <int DP, typename T>
__device__ __forceinline__ bool by_vector(Rows<T> rows, unsigned head_dim) {
    return head_dim == DP && ((size_t)rows.first & 15) == 0;
}

__device__ __forceinline__ void unpack(float (&x)[2], float2 v) { x[0] = v.x, x[1] = v.y; }
__device__ __forceinline__ void unpack(float (&x)[4], float4 v) {
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
}
__device__ __forceinline__ void unpack(float (&x)[8], uint4 v) {
    const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        x[2 * i] = __uint_as_float(words[i] << 16);
        x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}

// Sixteen bytes at a 16-byte boundary, shared or global.
__device__ __forceinline__ void load_chunk(float (&x)[4], const float* from) { unpack(x, *(const float4*)from); }
__device__ __forceinline__ void load_chunk(float (&x)[8], const bf16* from) { unpack(x, *(const uint4*)from); }
__device__ __forceinline__ void store_chunk(float* to, const float (&x)[4]) {
    *(float4*)to = make_float4(x[0], x[1], x[2], x[3]);
}
__device__ __forceinline__ void store_chunk(bf16* to, const float (&x)[8]) {
    *(uint4*)to = make_uint4(pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7]));
}
__device__ __forceinline__ void store_pair(float* to, float x, float y) { *(float2*)to = make_float2(x, y); }
__device__ __forceinline__ void store_pair(bf16* to, float x, float y) { *(unsigned*)to = pack(x, y); }

// Numbers column .. column + N of a row by vector, or one by one with zeros from head_dim on.
template <typename T>
__device__ __forceinline__ void load_part(float (&x)[Chunk<T>::N], const T* row, unsigned column, unsigned head_dim,
                                          bool vector) {
    if (vector) return load_chunk(x, row + column);
#pragma unroll
    for (int i = 0; i < Chunk<T>::N; ++i) x[i] = column + i < head_dim ? to_float(row[column + i]) : 0.0f;
}

// (x, y) turned by the angle of pair `pair` of a row of the tables, or back.
template <bool BACK>
__device__ __forceinline__ void turn(float& x, float& y, float cos, float sin) {
    const float a = x, b = y, s = BACK ? -sin : sin;
    x = a * cos - b * s;
    y = b * cos + a * s;
}

__device__ __forceinline__ void load_angles(float (&x)[2], const float* from) { unpack(x, *(const float2*)from); }
__device__ __forceinline__ void load_angles(float (&x)[4], const float* from) { unpack(x, *(const float4*)from); }

// Rotates numbers column .. column + N of row `row` of a head of DP.
template <int DP, int N>
__device__ __forceinline__ void rotate_chunk(float (&x)[N], Angles angles, size_t row, unsigned column) {
    const size_t at = row * (DP / 2) + column / 2;
    float cos[N / 2], sin[N / 2];
    load_angles(cos, angles.cos + at);
    load_angles(sin, angles.sin + at);
#pragma unroll
    for (int i = 0; i < N / 2; ++i) turn<false>(x[2 * i], x[2 * i + 1], cos[i], sin[i]);
}

// Row and column of chunk `item` of a tile. Where a row is shorter than 128 bytes, eight
// neighbouring threads take eight rows, else they take one: either way their sixteen bytes each
// lie in different banks, and a warp covers whole 32-byte sectors of the source.
template <typename T, int DP>
struct Item {
    enum { CHUNKS = DP / Chunk<T>::N };
    template <int ROWS, int THREADS>
    struct Turns {
        enum { COUNT = (ROWS * CHUNKS + THREADS - 1) / THREADS };
    };
    unsigned row, column;
    __device__ __forceinline__ Item(unsigned item) {
        if (CHUNKS >= 8) {
            row = item / CHUNKS, column = item % CHUNKS * Chunk<T>::N;
        } else {
            row = item % 8 + item / (8 * CHUNKS) * 8, column = item / 8 % CHUNKS * Chunk<T>::N;
        }
    }
};

// The tile by pairs of numbers: for heads narrower than DP and rows off the 16-byte grid.
template <int DP, int ROWS, int THREADS, typename T>
__device__ __forceinline__ void load_tile_by_pairs(T* tile, Rows<const T> rows, unsigned first, unsigned count,
                                                   unsigned head_dim, Angles angles) {
#pragma unroll 1
    for (unsigned item = threadIdx.x; item < ROWS * DP / 2; item += THREADS) {
        const unsigned at = item / (DP / 2), pair = item % (DP / 2), row = first + at;
        float x = 0.0f, y = 0.0f;
        if (row < count && 2 * pair < head_dim) {
            const T* from = rows.first + row * rows.stride + 2 * pair;
            x = to_float(from[0]), y = to_float(from[1]);
            if (angles.cos) {
                const size_t angle = (size_t)row * (head_dim / 2) + pair;
                turn<false>(x, y, angles.cos[angle], angles.sin[angle]);
            }
        }
        store_pair(tile + at * TileShape<T, DP>::STRIDE + 2 * pair, x, y);
    }
}

// tile = rows first .. first + ROWS, rotated where there are angles; rows from `count` on are zero.
template <int DP, int ROWS, int THREADS, typename T>
__device__ __forceinline__ void load_tile(T* tile, Rows<const T> rows, unsigned first, unsigned count,
                                          unsigned head_dim, Angles angles) {
    typedef Item<T, DP> At;
    if (!by_vector<DP>(rows, head_dim)) {
        return load_tile_by_pairs<DP, ROWS, THREADS>(tile, rows, first, count, head_dim, angles);
    }
#pragma unroll 4
    for (unsigned turn = 0; turn < At::template Turns<ROWS, THREADS>::COUNT; ++turn) {
        const unsigned item = turn * THREADS + threadIdx.x;
        if (ROWS * At::CHUNKS % THREADS && item >= ROWS * At::CHUNKS) break;
        const At at(item);
        float x[Chunk<T>::N] = {};
        const unsigned row = first + at.row;
        if (row < count) {
            load_chunk(x, rows.first + row * rows.stride + at.column);
            if (angles.cos) rotate_chunk<DP>(x, angles, row, at.column);
        }
        store_chunk(tile + at.row * TileShape<T, DP>::STRIDE + at.column, x);
    }
}

// The same without rotation and, for whole rows, without passing through registers: complete
// after copies_landed() and a barrier.
template <int DP, int ROWS, int THREADS, typename T>
__device__ __forceinline__ void copy_tile(T* tile, Rows<const T> rows, unsigned first, unsigned count,
                                          unsigned head_dim) {
    typedef Item<T, DP> At;
    if (!by_vector<DP>(rows, head_dim)) {
        return load_tile_by_pairs<DP, ROWS, THREADS>(tile, rows, first, count, head_dim, Angles{nullptr, nullptr});
    }
#pragma unroll
    for (unsigned turn = 0; turn < At::template Turns<ROWS, THREADS>::COUNT; ++turn) {
        const unsigned item = turn * THREADS + threadIdx.x;
        if (ROWS * At::CHUNKS % THREADS && item >= ROWS * At::CHUNKS) break;
        const At at(item);
        // A size of zero writes zeros and reads nothing; its address stays inside all the same.
        const unsigned row = first + at.row, bytes = row < count ? 16 : 0;
        const T* from = rows.first + min(row, count - 1) * rows.stride + at.column;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                         shared_address(tile + at.row * TileShape<T, DP>::STRIDE + at.column)),
                     "l"(from), "r"(bytes)
                     : "memory");
    }
}
__device__ __forceinline__ void copies_landed() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Rows first .. of global memory = the tile.
template <int DP, int ROWS, int THREADS, typename T>
__device__ __forceinline__ void store_tile(const T* tile, Rows<T> rows, unsigned first, unsigned count,
                                           unsigned head_dim) {
    typedef Item<T, DP> At;
    if (!by_vector<DP>(rows, head_dim)) {
#pragma unroll 1
        for (unsigned item = threadIdx.x; item < ROWS * DP; item += THREADS) {
            const unsigned at = item / DP, column = item % DP, row = first + at;
            if (row < count && column < head_dim) {
                rows.first[row * rows.stride + column] = tile[at * TileShape<T, DP>::STRIDE + column];
            }
        }
        return;
    }
#pragma unroll 4
    for (unsigned turn = 0; turn < At::template Turns<ROWS, THREADS>::COUNT; ++turn) {
        const unsigned item = turn * THREADS + threadIdx.x;
        if (ROWS * At::CHUNKS % THREADS && item >= ROWS * At::CHUNKS) break;
        const At at(item);
        const unsigned row = first + at.row;
        if (row >= count) continue;
        *(uint4*)(rows.first + row * rows.stride + at.column) =
            *(const uint4*)(tile + at.row * TileShape<T, DP>::STRIDE + at.column);
    }
}
