// Rows of a table by token, and the gradient of the table without atomics.
//
// Forward:  out[r] = table[tokens[r]].
// Backward: d_table[t] += sum of d_out[r] over the rows r of token t, in ascending r.
// table [vocab, width], out and d_out [rows, width], all f32 or all bf16; tokens [rows] in
// 0..vocab; order [rows]: the rows sorted by token, equal tokens in ascending row; d_table f32.
//
// Launch forward: blocks of (x, y) threads; a row of x threads copies one row, y rows a block.
// Launch backward: 32 x 8 threads; one warp per place in `order` and 128 columns. Warps whose
// place does not begin a run of equal tokens leave; the others add the rows of their run to the
// row of d_table one after the other, four columns a lane, loads of four rows in flight.
//
// `fault` takes the first row whose token is out of range, with the token; the row is skipped. That
// of the backward pass has three words: the first place of `order` whose row is out of range, with
// the row; the first row whose token is; the first place where `order` is not sorted, with the row
// there. The backward pass does nothing where embedding_backward_check_i32 (256 threads a block)
// has found one of them.
//
// Bytes it must move: forward a token, a row in and a row out per row; backward a token, an
// index and a row of d_out per row, and each row of d_table that occurs in and out. It moves
// those; the check and each 128 columns read the index and the token again.

#include "fault.cuh"
#include "vector.cuh"

template <typename T>
__device__ __forceinline__ void forward(const T* __restrict__ table, const int* __restrict__ tokens,
                                        T* __restrict__ out, unsigned long long* fault,
                                        unsigned rows, unsigned width, unsigned vocab) {
    constexpr unsigned V = Vector<T>::kSize;
    const unsigned row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const unsigned token = (unsigned)tokens[row];
    if (token >= vocab) {
        if (threadIdx.x == 0) report(fault, row, token);
        return;
    }
    const T* from = table + (size_t)token * width;
    T* to = out + (size_t)row * width;
    if (is_aligned(table) && is_aligned(out) && width % V == 0) {
        for (unsigned c = threadIdx.x * V; c < width; c += blockDim.x * V) {
            *reinterpret_cast<uint4*>(to + c) = *reinterpret_cast<const uint4*>(from + c);
        }
        return;
    }
    for (unsigned c = threadIdx.x; c < width; c += blockDim.x) to[c] = from[c];
}

// One thread per place: rows and tokens in range, sorted by token and then by row.
extern "C" __global__ void __launch_bounds__(256)
    embedding_backward_check_i32(const int* tokens, const int* order, unsigned long long* fault,
                                 unsigned rows, unsigned vocab) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows) return;
    const unsigned row = (unsigned)order[i];
    if (row >= rows) return report(fault, i, row);
    const unsigned token = (unsigned)tokens[row];
    if (token >= vocab) return report(fault + 1, row, token);
    if (i == 0) return;
    const unsigned before = (unsigned)order[i - 1];
    if (before >= rows) return;  // reported by the thread before
    // A token before that is out of range has been reported too: an unsigned one is above all.
    const unsigned other = (unsigned)tokens[before];
    if (other > token || (other == token && before >= row)) report(fault + 2, i, row);
}

// Columns `c` and up of `row`, of which `count` are there.
template <typename T>
__device__ __forceinline__ void load_columns(const T* row, unsigned count, bool aligned,
                                             float (&x)[4]) {
    if (aligned) {
        if (count >= 4) load_four(row, x);
        return;
    }
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
        if (i * 32 < count) x[i] = to_float(row[i * 32]);
    }
}

template <typename T>
__device__ __forceinline__ void backward(const T* __restrict__ d_out,
                                         const int* __restrict__ tokens,
                                         const int* __restrict__ order,
                                         float* __restrict__ d_table,
                                         const unsigned long long* __restrict__ fault,
                                         unsigned rows, unsigned width) {
    enum { kColumns = 128, kRows = 4 };
    const unsigned first = blockIdx.x * blockDim.y + threadIdx.y;
    if (first >= rows || (fault[0] | fault[1] | fault[2]) != 0) return;
    const int token = tokens[order[first]];
    if (first > 0 && tokens[order[first - 1]] == token) return;
    // Aligned: lane l holds columns 4 l to 4 l + 3 of the piece; else columns l, l + 32, ...
    const bool aligned = is_aligned(d_out) && is_aligned(d_table) && width % 4 == 0;
    for (unsigned piece = blockIdx.y * kColumns; piece < width; piece += gridDim.y * kColumns) {
        const unsigned c = piece + threadIdx.x * (aligned ? 4 : 1);
        const unsigned count = c < width ? width - c : 0;
        float* to = d_table + (size_t)token * width + c;
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        load_columns(to, count, aligned, sum);
        bool more = true;
        for (unsigned i = first; more; i += 32) {
            // Lane l looks at place i + l; the run goes on for `length` places.
            const unsigned place = i + threadIdx.x;
            int row = place < rows ? order[place] : -1;
            const bool same = row >= 0 && tokens[row] == token;
            const unsigned others = ~__ballot_sync(0xffffffffu, same);
            const unsigned length = others ? __ffs(others) - 1 : 32;
            more = length == 32;
            for (unsigned j = 0; j < length; j += kRows) {
                float x[kRows][4];
#pragma unroll
                for (unsigned k = 0; k < kRows; ++k) {
#pragma unroll
                    for (int v = 0; v < 4; ++v) x[k][v] = 0.0f;
                    const int r = __shfl_sync(0xffffffffu, row, (j + k) & 31);
                    if (j + k < length) {
                        load_columns(d_out + (size_t)r * width + c, count, aligned, x[k]);
                    }
                }
#pragma unroll
                for (unsigned k = 0; k < kRows; ++k) {
                    // Not x + 0: that would turn -0 to 0.
                    if (j + k >= length) break;
#pragma unroll
                    for (int v = 0; v < 4; ++v) sum[v] += x[k][v];
                }
            }
        }
        if (aligned) {
            if (count >= 4) store_four(to, sum);
        } else {
#pragma unroll
            for (unsigned v = 0; v < 4; ++v) {
                if (v * 32 < count) to[v * 32] = sum[v];
            }
        }
    }
}

#define EMBEDDING(SUFFIX, T)                                                                     \
    extern "C" __global__ void __launch_bounds__(512) embedding_forward_##SUFFIX(                \
        const T* table, const int* tokens, T* out, unsigned long long* fault, unsigned rows,     \
        unsigned width, unsigned vocab) {                                                        \
        forward(table, tokens, out, fault, rows, width, vocab);                                  \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(256) embedding_backward_##SUFFIX(               \
        const T* d_out, const int* tokens, const int* order, float* d_table,                     \
        const unsigned long long* fault, unsigned rows, unsigned width) {                        \
        backward(d_out, tokens, order, d_table, fault, rows, width);                             \
    }

EMBEDDING(f32, float)
EMBEDDING(bf16, bf16)
