// What becomes of the numbers of a product, and which columns it has.
//
// An epilogue has
//   Columns, columns(first), extent(n)   which row of W (or column of the second operand) column
//                                        first + i of a tile is, below an extent
//   quads()                              whether `four` will do, for all rows alike
//   four(row, column, x), one(..)        takes four numbers side by side, or one. x is the numbers,
//                                        or, where they are in shared memory, where: a warp's 32
//                                        columns side by side. Column and row are inside m and n.
#pragma once
#include "matrix.cuh"

struct Consecutive {
    unsigned first;
    __device__ __forceinline__ unsigned operator()(unsigned i) const { return first + i; }
};

// As many columns as the product has, in their order.
struct AllColumns {
    typedef Consecutive Columns;
    static __device__ __forceinline__ Columns columns(unsigned first) { return {first}; }
    static __device__ __forceinline__ unsigned extent(unsigned n) { return n; }
};

// out = product (+ addend), rows of n numbers. `addend` may be null, or `out` itself.
template <typename T>
struct Write : AllColumns {
    const T* addend;
    T* out;
    unsigned n;
    __device__ __forceinline__ Write(const T* addend, T* out, unsigned n) : addend(addend), out(out), n(n) {}

    __device__ __forceinline__ bool quads() const { return rows_of_fours(n, out, addend); }
    __device__ __forceinline__ void four(unsigned row, unsigned column, float4 x) const {
        size_t at = (size_t)row * n + column;
        if (addend) {
            float4 y = load_four(addend + at);
            x = make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
        }
        store_four(out + at, x);
    }
    __device__ __forceinline__ void four(unsigned row, unsigned column, const float* x) const {
        four(row, column, *(const float4*)x);
    }
    __device__ __forceinline__ void one(unsigned row, unsigned column, float x) const {
        size_t at = (size_t)row * n + column;
        out[at] = from_float<T>(addend ? x + to_float(addend[at]) : x);
    }
    __device__ __forceinline__ void one(unsigned row, unsigned column, const float* x) const { one(row, column, *x); }
};
