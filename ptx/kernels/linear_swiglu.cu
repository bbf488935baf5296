// The two products of a gated feed-forward block that touch its activation, with the activation in
// their epilogue. silu(g) = g / (1 + e^-g).
//
//   forward   [gate, up] = x W^T, out = silu(gate) up
//   backward  d = d_out V, d_gate = d up silu'(gate), d_up = d silu(gate): from the gradient of
//             out V^T to that of gate and up
//
// Shapes: x [rows, inner], W [2 width, inner] (the rows of gate, then those of up), gate_up and
// d_gate_up [rows, 2, width], out [rows, width], d_out [rows, outer], V [outer, width].
// gate, up and d are rounded to storage first: the results have the bits of the product
// (linear.cu) followed by the activation (swiglu.cu).
//
// Launch: as linear.cu. A tile of forward holds a number of gate and the one of up that goes with it:
// its columns are half and half, by sixteens in bf16, where a warp has 32, and by twos in f32, where
// a thread has four. `columns` counts them, of both and with those that fill up the last group.
//
// Bytes: those of the products, where the result of forward is gate_up and out, and backward reads
// gate_up and writes d_gate_up. Apart, the activation would read gate_up once more, or write and read d.
#include "gate.cuh"
#include "product_bf16.cuh"
#include "product_f32.cuh"

__device__ __forceinline__ float stored(float x, const float*) { return x; }
__device__ __forceinline__ float stored(float x, const bf16*) { return to_float(from_float<bf16>(x)); }

// A column of a tile as a row of W: by GROUP columns of gate, then of up.
template <int GROUP>
struct Halves {
    unsigned first, width;
    static __device__ __forceinline__ bool is_up(unsigned column) { return column / GROUP % 2; }
    static __device__ __forceinline__ unsigned feature(unsigned column) {
        return column / (2 * GROUP) * GROUP + column % GROUP;
    }
    // Beyond the features: a row that W does not have.
    __device__ __forceinline__ unsigned operator()(unsigned i) const {
        const unsigned at = feature(first + i);
        return at < width ? (is_up(first + i) ? width : 0) + at : 2 * width;
    }
};

template <int GROUP>
struct GateAndUp {
    typedef Halves<GROUP> Columns;
    unsigned width;
    __device__ __forceinline__ Columns columns(unsigned first) const { return {first, width}; }
    __device__ __forceinline__ unsigned extent(unsigned) const { return 2 * width; }
};

// Writes gate and up, and out with the columns of gate.
struct ForwardBf16 : GateAndUp<16> {
    bf16 *gate_up, *out;
    __device__ __forceinline__ ForwardBf16(bf16* gate_up, bf16* out, unsigned width)
        : GateAndUp<16>{width}, gate_up(gate_up), out(out) {}

    __device__ __forceinline__ bool quads() const { return rows_of_fours(width, gate_up, out); }
    // x: this column in shared memory, with its up 16 numbers on.
    __device__ __forceinline__ void four(unsigned row, unsigned column, const float* x) const {
        const unsigned at = Columns::feature(column);
        if (at >= width) return;
        const float4 own = *(const float4*)x;
        store_four(gate_up + ((size_t)row * 2 + Columns::is_up(column)) * width + at, own);
        if (Columns::is_up(column)) return;
        const float4 up = *(const float4*)(x + 16);
        store_four(out + (size_t)row * width + at,
                   make_float4(gated(own.x, up.x), gated(own.y, up.y), gated(own.z, up.z), gated(own.w, up.w)));
    }
    __device__ __forceinline__ void one(unsigned row, unsigned column, const float* x) const {
        const unsigned at = Columns::feature(column);
        if (at >= width) return;
        gate_up[((size_t)row * 2 + Columns::is_up(column)) * width + at] = from_float<bf16>(*x);
        if (!Columns::is_up(column)) out[(size_t)row * width + at] = from_float<bf16>(gated(x[0], x[16]));
    }
    static __device__ __forceinline__ float gated(float gate, float up) {
        return forward_one<bf16>(stored(gate, (const bf16*)0), stored(up, (const bf16*)0));
    }
};

// Two columns of gate, then their two of up.
struct ForwardF32 : GateAndUp<2> {
    float *gate_up, *out;
    __device__ __forceinline__ ForwardF32(float* gate_up, float* out, unsigned width)
        : GateAndUp<2>{width}, gate_up(gate_up), out(out) {}

    __device__ __forceinline__ bool quads() const { return true; }
    __device__ __forceinline__ void four(unsigned row, unsigned column, float4 x) const {
        const unsigned at = Columns::feature(column);
        float* gate = gate_up + (size_t)row * 2 * width + at;
        float* to = out + (size_t)row * width + at;
        if (at < width) gate[0] = x.x, gate[width] = x.z, to[0] = forward_one<float>(x.x, x.z);
        if (at + 1 < width) gate[1] = x.y, gate[width + 1] = x.w, to[1] = forward_one<float>(x.y, x.w);
    }
    __device__ __forceinline__ void one(unsigned, unsigned, float) const {}
};

template <typename T>
struct Backward : AllColumns {
    const T* gate_up;
    T* d_gate_up;
    unsigned width;
    __device__ __forceinline__ Backward(const T* gate_up, T* d_gate_up, unsigned width)
        : gate_up(gate_up), d_gate_up(d_gate_up), width(width) {}

    __device__ __forceinline__ bool quads() const { return rows_of_fours(width, gate_up, (const T*)d_gate_up); }
    __device__ __forceinline__ void four(unsigned row, unsigned column, float4 d) const {
        const size_t at = (size_t)row * 2 * width + column;
        float4 g = load_four(gate_up + at), u = load_four(gate_up + at + width);
        backward_one<T>(stored(d.x, gate_up), g.x, u.x, g.x, u.x);
        backward_one<T>(stored(d.y, gate_up), g.y, u.y, g.y, u.y);
        backward_one<T>(stored(d.z, gate_up), g.z, u.z, g.z, u.z);
        backward_one<T>(stored(d.w, gate_up), g.w, u.w, g.w, u.w);
        store_four(d_gate_up + at, g);
        store_four(d_gate_up + at + width, u);
    }
    __device__ __forceinline__ void four(unsigned row, unsigned column, const float* d) const {
        four(row, column, *(const float4*)d);
    }
    __device__ __forceinline__ void one(unsigned row, unsigned column, float d) const {
        const size_t at = (size_t)row * 2 * width + column;
        float g, u;
        backward_one<T>(stored(d, gate_up), to_float(gate_up[at]), to_float(gate_up[at + width]), g, u);
        d_gate_up[at] = from_float<T>(g);
        d_gate_up[at + width] = from_float<T>(u);
    }
    __device__ __forceinline__ void one(unsigned row, unsigned column, const float* d) const { one(row, column, *d); }
};

#define FORWARD(NAME, BM, BN, ROWS, COLUMNS, ALIGNED)                                               \
    extern "C" __global__ void __launch_bounds__(ROWS* COLUMNS * 32)                                \
        NAME(const bf16* x, const bf16* weight, bf16* gate_up, bf16* out, unsigned rows,            \
             unsigned inner, unsigned width, unsigned columns) {                                    \
        using P = Product<BM, BN, ROWS, COLUMNS, true, true, ALIGNED>;                              \
        __shared__ __align__(16) unsigned char shared[P::kSharedBytes];                             \
        P::run(shared, x, weight, ForwardBf16(gate_up, out, width), rows, columns, inner, inner, 0, \
               inner);                                                                              \
    }
FORWARD(linear_swiglu_forward_bf16, 128, 128, 2, 4, true)
FORWARD(linear_swiglu_forward_small_bf16, 64, 64, 2, 2, true)
FORWARD(linear_swiglu_forward_ragged_bf16, 64, 64, 2, 2, false)

extern "C" __global__ void __launch_bounds__(ProductF32::kThreads)
    linear_swiglu_forward_f32(const float* x, const float* weight, float* gate_up, float* out, unsigned rows,
                              unsigned inner, unsigned width, unsigned columns) {
    __shared__ __align__(16) float shared[ProductF32::kSharedBytes / 4];
    ProductF32::run<true, true>(shared, x, weight, ForwardF32(gate_up, out, width), rows, columns, inner, inner, 0,
                                inner);
}

#define BACKWARD(NAME, BM, BN, ROWS, COLUMNS, ALIGNED)                                              \
    extern "C" __global__ void __launch_bounds__(ROWS* COLUMNS * 32)                                \
        NAME(const bf16* d_out, const bf16* weight, const bf16* gate_up, bf16* d_gate_up,           \
             unsigned rows, unsigned width, unsigned outer) {                                       \
        using P = Product<BM, BN, ROWS, COLUMNS, true, false, ALIGNED>;                             \
        __shared__ __align__(16) unsigned char shared[P::kSharedBytes];                             \
        P::run(shared, d_out, weight, Backward<bf16>(gate_up, d_gate_up, width), rows, width,       \
               outer, width, 0, outer);                                                             \
    }
BACKWARD(linear_swiglu_backward_bf16, 128, 128, 2, 4, true)
BACKWARD(linear_swiglu_backward_small_bf16, 64, 64, 2, 2, true)
BACKWARD(linear_swiglu_backward_ragged_bf16, 64, 64, 2, 2, false)

extern "C" __global__ void __launch_bounds__(ProductF32::kThreads)
    linear_swiglu_backward_f32(const float* d_out, const float* weight, const float* gate_up, float* d_gate_up,
                               unsigned rows, unsigned width, unsigned outer) {
    __shared__ __align__(16) float shared[ProductF32::kSharedBytes / 4];
    ProductF32::run<true, false>(shared, d_out, weight, Backward<float>(gate_up, d_gate_up, width), rows, width,
                                 outer, width, 0, outer);
}
