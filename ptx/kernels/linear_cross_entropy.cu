// linear_cross_entropy: with l = hidden W^T, hidden [rows, width] and W [vocab, width],
//   logsumexp[r] = log sum_v e^l[r,v],  token_nll[r] = logsumexp[r] - l[r, target[r]],
//   d_hidden = scale (softmax(l) - onehot) W,  d_W += scale (softmax(l) - onehot)^T hidden.
// Rows with a negative target are ignored: nll 0, no gradient. A target beyond the vocabulary
// makes its nll and its row of d_hidden NaN, and is left in `fault` [1] with its row. logsumexp, token_nll and d_W are f32.
//
// Three launches, the last only where d_W is wanted; logits exist 16 columns at a time in
// registers, never in global memory.
//   hidden   flash attention with queries `hidden` and keys = values = W: grid (rows / 64, slices
//            of 512 columns, cuts of the vocabulary), 256 threads. Every cut writes its largest
//            logit, its sum of e^(l - largest) and its sum of W weighted likewise.
//   combine  adds the cuts in ascending order, divides, takes the target's row of W away; one
//            warp per row.
//   weight   the same loop with the matrices exchanged: a block owns 64 rows of W, forms the
//            logits of 16 hidden states at a time once more, and sums (softmax - onehot)^T hidden.
//            grid (vocab / 64, slices, cuts of the rows); cuts are added by
//            linear_backward_weight_combine.
// _128, _256 and _512 name the columns held at a time, the smallest that holds the width; above
// 512 every slice forms the logits anew. f32: 32 rows per block, 128 or 512 columns.
//
// Operations: 2 rows vocab width each for logits and products: 4 for loss and d_hidden, 4 more
// for d_W. Stored logits would need 6 in all, but 2 rows vocab numbers of memory and their
// traffic (6.6 GB for 65,536 rows of 50,258 in bf16, written once and read twice).
// Bytes that must move, b per number: b (2 rows + vocab) width, and vocab width 8 with d_W. Asked
// for: hidden once and W once per 64 rows; d_hidden passes through f32 cuts, 8 rows width cuts
// bytes; for d_W the same with rows and vocab exchanged. W (51 MB at 50,258 x 512) comes from the
// L2 cache, as all blocks run through it in step.
// Shared memory at 512 columns: 48 KiB of tiles, three deep, 32 KiB of parts of the logits, 2 KiB
// of P: 82.6 KiB, below the 99 KiB that every GPU from sm_80 on offers. Per tile of 16 it moves
// about 120 KiB, as long as the tensor cores take for the 2 x 64 x 16 x 512 products.
#include "fault.cuh"
#include "loss_bf16.cuh"
#include "loss_f32.cuh"

extern __shared__ __align__(16) unsigned char dynamic_shared[];

#define LOSS_HIDDEN(NAME, CHUNK, T)                                                                 \
    extern "C" __global__ void __launch_bounds__(256)                                               \
        NAME(const T* hidden, const T* weight, const int* targets, float* statistics,               \
             float* weighted, unsigned rows, unsigned width, unsigned vocab, unsigned cut_vocab) {  \
        loss_hidden<CHUNK>((LossShared<T>*)dynamic_shared, hidden, weight, targets, statistics,     \
                           weighted, rows, width, vocab, cut_vocab);                                \
    }
#define LOSS_WEIGHT(NAME, CHUNK, T)                                                                 \
    extern "C" __global__ void __launch_bounds__(256)                                               \
        NAME(const T* hidden, const T* weight, const int* targets, const float* logsumexp,          \
             float* d_weight, float* partials, float scale, unsigned rows, unsigned width,          \
             unsigned vocab, unsigned cut_rows) {                                                   \
        loss_weight<CHUNK>((LossShared<T>*)dynamic_shared, hidden, weight, targets, logsumexp,      \
                           d_weight, partials, scale, rows, width, vocab, cut_rows);                \
    }

// What shared memory is counted in.
template <typename T>
struct LossUnit {
    using Type = T;
};
template <>
struct LossUnit<bf16> {
    using Type = unsigned char;
};
template <typename T>
using LossShared = typename LossUnit<T>::Type;

LOSS_HIDDEN(linear_cross_entropy_hidden_128_bf16, 128, bf16)
LOSS_HIDDEN(linear_cross_entropy_hidden_256_bf16, 256, bf16)
LOSS_HIDDEN(linear_cross_entropy_hidden_512_bf16, 512, bf16)
LOSS_HIDDEN(linear_cross_entropy_hidden_128_f32, 128, float)
LOSS_HIDDEN(linear_cross_entropy_hidden_512_f32, 512, float)
LOSS_WEIGHT(linear_cross_entropy_weight_128_bf16, 128, bf16)
LOSS_WEIGHT(linear_cross_entropy_weight_256_bf16, 256, bf16)
LOSS_WEIGHT(linear_cross_entropy_weight_512_bf16, 512, bf16)
LOSS_WEIGHT(linear_cross_entropy_weight_128_f32, 128, float)
LOSS_WEIGHT(linear_cross_entropy_weight_512_f32, 512, float)

// statistics [cuts, rows, 3], weighted [cuts, rows, width]; d_hidden may be null.
template <typename T>
__device__ __forceinline__ void loss_combine(const float* statistics, const float* weighted,
                                             const T* weight, const int* targets, float* token_nll,
                                             float* logsumexp, T* d_hidden,
                                             unsigned long long* fault, float scale,
                                             unsigned rows, unsigned width, unsigned vocab,
                                             unsigned cuts) {
    unsigned lane = threadIdx.x % 32, row = blockIdx.x * 4 + threadIdx.x / 32;
    if (row >= rows) return;
    int target = targets[row];
    float largest = __int_as_float(0xff800000), sum = 0.0f, target_logit = 0.0f;
    const float* of_row = statistics + (size_t)row * 3;
    const size_t step = (size_t)rows * 3;
    for (unsigned cut = 0; cut < cuts; cut++) largest = fmaxf(largest, of_row[cut * step]);
    for (unsigned cut = 0; cut < cuts; cut++) {
        sum = fmaf(of_row[cut * step + 1], expf(of_row[cut * step] - largest), sum);
        target_logit += of_row[cut * step + 2];
    }
    if (target >= 0 && (unsigned)target >= vocab) {
        target_logit = __int_as_float(0x7fc00000);
        if (lane == 0) report(fault, row, target);
    }
    if (lane == 0) {
        float lse = largest + logf(sum);
        logsumexp[row] = lse;
        token_nll[row] = target < 0 ? 0.0f : lse - target_logit;
    }
    if (!d_hidden) return;
    for (unsigned column = lane; column < width; column += 32) {
        float x = 0.0f;
        if (target >= 0) {
            for (unsigned cut = 0; cut < cuts; cut++)
                x = fmaf(weighted[((size_t)cut * rows + row) * width + column],
                         expf(of_row[cut * step] - largest), x);
            float away = (unsigned)target < vocab ? to_float(weight[(size_t)target * width + column])
                                                  : target_logit;
            // Divided by the sum: through the log-sum-exp, its rounding would be magnified.
            x = scale * (x / sum - away);
        }
        d_hidden[(size_t)row * width + column] = from_float<T>(x);
    }
}

#define LOSS_COMBINE(NAME, T)                                                                       \
    extern "C" __global__ void __launch_bounds__(128)                                               \
        NAME(const float* statistics, const float* weighted, const T* weight, const int* targets,   \
             float* token_nll, float* logsumexp, T* d_hidden, unsigned long long* fault,            \
             float scale, unsigned rows, unsigned width, unsigned vocab, unsigned cuts) {           \
        loss_combine<T>(statistics, weighted, weight, targets, token_nll, logsumexp, d_hidden,      \
                        fault, scale, rows, width, vocab, cuts);                                    \
    }
LOSS_COMBINE(linear_cross_entropy_combine_bf16, bf16)
LOSS_COMBINE(linear_cross_entropy_combine_f32, float)
