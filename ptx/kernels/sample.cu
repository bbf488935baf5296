// Draws one token per row from softmax(logits / temperature), cut to the top_k tokens of highest
// rank and then to the fewest whose probability reaches top_p.
//
// logits [rows, vocab] f32 or bf16; tokens [rows] i32. Rank is by logit and then by token, lower
// tokens first, as in engine/src/cpu/sample.rs. A rank is one 64-bit number: the logit as an
// ordered integer above, vocab - 1 - token below; higher is better, and no two are equal.
//
// Nothing is sorted. Every cut is a selection, "the first rank at which the sum of weights over
// the better ranks and itself reaches a need", done in passes over 8 bits of the rank: a histogram
// of the weights of the tokens that share the bits found so far, and a scan of its 256 sums from
// the top. Weights are 1 for top_k, and exp((logit - top) / temperature) in f64 otherwise,
// rounded to fixed point with 62 - log2(vocab) bits, so that sums are integers: exact, whatever
// the order of the atomic additions. The CPU adds f64 in rank order; its sums and these differ
// by less than vocab / 2^(62 - log2(vocab)), relative to the weight of the best token, and the
// tokens where a cut or the draw (24 random bits) falls within that of a boundary.
//
// `fault` [1] takes the first logit that is not finite, as the complement of 4 index + kind, the
// kind being 0 for NaN, 1 for infinity and 2 for -infinity; its row gets no token. The word is 0
// where there is none, and is sticky as those of fault.cuh.
//
// Launch: one block of 512 threads per row.
// Bytes it must move: each logit once in, a token a row out. It reads logits once for the best,
// and for every cut and the draw 4 (f32) or 2 (bf16) times and once more for every 8 bits of a
// token; after the first pass a row of usual vocabularies comes from the L2 cache.

#include "elementary.cuh"
#include "common.cuh"

enum {
    kThreads = 512,
    kDigits = 256,
    kCopies = 8,  // of the histogram, so that fewer lanes meet on one address
};

typedef unsigned long long u64;

// Weights of a histogram as two words, so that additions are those of 32-bit integers.
struct Shared {
    unsigned low[kDigits * kCopies];
    unsigned high[kDigits * kCopies];
    u64 sums[kDigits];
    u64 warps[kThreads / 32];
    u64 need, before;
    unsigned digit;
};

// Bits of a logit that ranks differ in.
template <typename T>
struct Key {
    enum { kLowest = 64 - 8 * sizeof(T) };  // shift of the lowest digit of the logit
};

// Integers in the order of the numbers; the zeros are equal.
__device__ __forceinline__ unsigned ordered(float x) {
    const unsigned bits = __float_as_uint(x + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

template <typename T>
__device__ __forceinline__ u64 rank(float logit, unsigned token, unsigned vocab) {
    const u64 kept = ~0ull << Key<T>::kLowest;
    return (((u64)ordered(logit) << 32) & kept) | (vocab - 1 - token);
}

__device__ __forceinline__ bool is_finite(float x) {
    return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

// Best rank of the row, for all threads; all ones if a logit is not finite.
template <typename T>
__device__ __forceinline__ u64 best_rank(const T* logits, unsigned vocab, u64* fault,
                                         Shared& shared) {
    u64 best = 0;
    for (unsigned i = threadIdx.x; i < vocab; i += kThreads) {
        const float logit = to_float(logits[i]);
        u64 r = rank<T>(logit, i, vocab);
        if (!is_finite(logit)) {
            r = ~0ull;
            const u64 kind = logit > 0.0f ? 1 : logit < 0.0f ? 2 : 0;
            atomicMax(fault, ~(((u64)blockIdx.x * vocab + i) << 2 | kind));
        }
        best = r > best ? r : best;
    }
    for (int offset = 16; offset > 0; offset >>= 1) {
        const u64 other = __shfl_xor_sync(0xffffffffu, best, offset);
        best = other > best ? other : best;
    }
    if (threadIdx.x % 32 == 0) shared.warps[threadIdx.x / 32] = best;
    __syncthreads();
    for (int w = 0; w < kThreads / 32; ++w) {
        best = shared.warps[w] > best ? shared.warps[w] : best;
    }
    return best;
}

// What is selected.
enum Cut { kTopK, kTopP, kDraw };

struct Draw {
    u64 top_k;
    double top_p;
    double temperature;
    double top;       // logit of best rank
    double scale;     // fixed-point 1
    unsigned random;  // 24 bits
};

__device__ __forceinline__ u64 weight(const Draw& d, int cut, float logit) {
    if (cut == kTopK) return 1;
    return __double2ull_rn(d.scale * exp(((double)logit - d.top) / d.temperature));
}

// The sum that the selection must reach, at least 1 and at most `total`.
__device__ __forceinline__ u64 needed(const Draw& d, int cut, u64 total) {
    if (cut == kTopK) return d.top_k;
    if (cut == kTopP) {
        const u64 need = __double2ull_ru(d.top_p * (double)total);
        return need < 1 ? 1 : need > total ? total : need;
    }
    // The first sum above random / 2^24 of the total.
    return ((__umul64hi(d.random, total) << 40) | (d.random * total >> 24)) + 1;
}

__device__ __forceinline__ void add_weight(Shared& shared, unsigned slot, u64 weight) {
    const unsigned low = (unsigned)weight;
    const unsigned before = atomicAdd(&shared.low[slot], low);
    const unsigned high = (unsigned)(weight >> 32) + (before + low < before ? 1 : 0);
    if (high) atomicAdd(&shared.high[slot], high);
}

// Warp 0: where the sum from the top digit down reaches the need. On entry `before` is the
// weight of the ranks above all of these.
__device__ __forceinline__ void find_digit(const Draw& d, int cut, bool first, Shared& shared) {
    enum { kPerLane = kDigits / 32 };
    const unsigned lane = threadIdx.x;
    const unsigned top = kDigits - 1 - lane * kPerLane;
    u64 own = 0;
#pragma unroll
    for (unsigned i = 0; i < kPerLane; ++i) own += shared.sums[top - i];
    u64 through = own;
    for (int offset = 1; offset < 32; offset <<= 1) {
        const u64 above = __shfl_up_sync(0xffffffffu, through, offset);
        if (lane >= offset) through += above;
    }
    const u64 total = __shfl_sync(0xffffffffu, through, 31);
    const u64 need = first ? needed(d, cut, total) : shared.need;
    u64 sum = shared.before + through - own;
    __syncwarp();
    if (lane == 0) shared.need = need;
    if (sum >= need || sum + own < need) return;
#pragma unroll
    for (unsigned i = 0; i < kPerLane; ++i) {
        const u64 next = sum + shared.sums[top - i];
        if (sum < need && next >= need) {
            shared.digit = top - i;
            shared.before = sum;
        }
        sum = next;
    }
}

// Rank of the selected token among those of rank `lowest` and better.
template <typename T>
__device__ __forceinline__ u64 select(const T* logits, unsigned vocab, u64 lowest, const Draw& d,
                                      int cut, Shared& shared) {
    u64 found = 0, known = 0;  // bits of the rank, and which are known
    int shift = 56;
    bool first = true;
    if (threadIdx.x == 0) shared.before = 0;
    while (shift >= 0) {
        for (unsigned i = threadIdx.x; i < kDigits * kCopies; i += kThreads) {
            shared.low[i] = 0;
            shared.high[i] = 0;
        }
        __syncthreads();
        for (unsigned i = threadIdx.x; i < vocab; i += kThreads) {
            const float logit = to_float(logits[i]);
            const u64 r = rank<T>(logit, i, vocab);
            if (r < lowest || (r & known) != found) continue;
            const unsigned digit = (unsigned)(r >> shift) & (kDigits - 1);
            add_weight(shared, digit * kCopies + threadIdx.x % kCopies, weight(d, cut, logit));
        }
        __syncthreads();
        if (threadIdx.x < kDigits) {
            u64 sum = 0;
#pragma unroll
            for (unsigned i = 0; i < kCopies; ++i) {
                // Turned by the digit, so that the lanes of a warp meet on no bank.
                const unsigned slot = threadIdx.x * kCopies + (threadIdx.x / 4 + i) % kCopies;
                sum += ((u64)shared.high[slot] << 32) + shared.low[slot];
            }
            shared.sums[threadIdx.x] = sum;
        }
        __syncthreads();
        if (threadIdx.x < 32) find_digit(d, cut, first, shared);
        __syncthreads();
        found |= (u64)shared.digit << shift;
        known |= (u64)(kDigits - 1) << shift;
        first = false;
        shift -= 8;
        // Below the logit stands the token, in as many digits as the vocabulary needs.
        if (shift < (int)Key<T>::kLowest && shift >= 24) {
            shift = -8;
            for (unsigned left = vocab - 1; left > 0; left >>= 8) shift += 8;
        }
    }
    return found;
}

template <typename T>
__device__ __forceinline__ void sample(const T* __restrict__ logits, int* __restrict__ tokens,
                                       u64* fault, unsigned vocab, float temperature, u64 top_k,
                                       float top_p, u64 seed, unsigned site,
                                       unsigned first_sample, unsigned iteration,
                                       unsigned position) {
    __shared__ Shared shared;
    logits += (size_t)blockIdx.x * vocab;
    u64 chosen = best_rank(logits, vocab, fault, shared);
    if (chosen == ~0ull) return;
    if (temperature > 0.0f) {
        const uint4 counter = make_uint4(position, site, first_sample + blockIdx.x, iteration);
        const uint4 word = philox4x32_10(counter, make_uint2((unsigned)seed, seed >> 32));
        Draw d;
        d.top_k = top_k;
        d.top_p = top_p;
        d.temperature = temperature;
        d.top = to_float(logits[vocab - 1 - (unsigned)chosen]);
        // 2^(62 - bits of the vocabulary): the total stays below 2^62.
        d.scale = __longlong_as_double((u64)(1023 + 62 - (32 - __clz(vocab))) << 52);
        d.random = word.x >> 8;
        chosen = 0;
        for (int cut = kTopK; cut <= kDraw; ++cut) {
            if (cut == kTopK && (top_k == 0 || top_k >= vocab)) continue;
            if (cut == kTopP && top_p >= 1.0f) continue;
            chosen = select(logits, vocab, chosen, d, cut, shared);
        }
    }
    if (threadIdx.x == 0) tokens[blockIdx.x] = (int)(vocab - 1 - (unsigned)chosen);
}

#define SAMPLE(NAME, T)                                                                          \
    extern "C" __global__ void __launch_bounds__(kThreads)                                       \
        NAME(const T* logits, int* tokens, u64* fault, unsigned vocab, float temperature,        \
             u64 top_k, float top_p, u64 seed, unsigned site, unsigned first_sample,             \
             unsigned iteration, unsigned position) {                                            \
        sample(logits, tokens, fault, vocab, temperature, top_k, top_p, seed, site,              \
               first_sample, iteration, position);                                               \
    }

SAMPLE(sample_f32, float)
SAMPLE(sample_bf16, bf16)
