// The posterior q(z|x) = N(mu, exp(logvar)) and its prior N(0, I).
//
// Reparameterise: z = mu + eps exp(logvar / 2).
// KL:             kl[s] = 1/2 sum(mu^2 + exp(logvar) - logvar - 1), in f64: near the prior the
//                 terms cancel.
// Backward:       d_mu = d_z + mu,
//                 d_logvar = d_z eps exp(logvar / 2) / 2 + (exp(logvar) - 1) / 2.
// Update:         the KL, the gradients for scale * d_z, AdamW on mu and logvar, the new z: one
//                 whole fast step.
// mu, logvar, eps, d_mu, d_logvar [samples, layers, per_layer] f32; moments [2, samples, layers,
// per_layer] f32; z and d_z [layers, samples, per_layer] f32 or bf16; kl [samples] f64.
// The update takes its constants from row step[sample] of `schedule` [steps, 9] f32, so that a
// recorded launch serves every step of a loop; a step that is not below `steps` is left in `fault`
// [1] with its sample, and nothing else is written of it.
// Every f32 operation is rounded as on the CPU, whose bits all of them give, but for the KL: its
// f64 terms are added in another order.
//
// Launch: reparameterise and backward 256 threads per (sample, layer) in x and 1024 columns in y;
// kl and update one block of 512 threads per sample: threads stride over its latents, and their
// sums are added lane by lane and warp by warp.
// Bytes it must move, per latent number, with z of s bytes: reparameterise 12 + s, kl 8,
// backward 20 + s, update 52 + 2 s (mu, logvar, four moments in and out, eps, d_z in, z out).
// It moves those.

#include "adam.cuh"
#include "elementary.cuh"
#include "fault.cuh"
#include "reduce.cuh"
#include "vector.cuh"

enum { kSample = 512 };  // threads of a block that does a whole sample

__device__ __forceinline__ float draw(float mu, float logvar, float eps) {
    return __fadd_rn(mu, __fmul_rn(eps, exp_rounded(__fmul_rn(0.5f, logvar))));
}

__device__ __forceinline__ double kl_term(float mu, float logvar) {
    const double m = mu, lv = logvar;
    return m * m + exp(lv) - lv - 1.0;
}

__device__ __forceinline__ void gradients(float d_z, float mu, float logvar, float eps,
                                          float& d_mu, float& d_logvar) {
    const float deviation = exp_rounded(__fmul_rn(0.5f, logvar));
    const float through_z = __fmul_rn(__fmul_rn(__fmul_rn(d_z, eps), 0.5f), deviation);
    const float through_kl = __fmul_rn(0.5f, __fsub_rn(exp_rounded(logvar), 1.0f));
    d_logvar = __fadd_rn(through_z, through_kl);
    d_mu = __fadd_rn(d_z, mu);
}

// A (sample, layer): its first element in the sample-major and in the layer-major arrays.
struct Piece {
    size_t sample_major, layer_major;
};

__device__ __forceinline__ Piece piece(unsigned sample, unsigned layer, unsigned samples,
                                       unsigned layers, unsigned per_layer) {
    return {((size_t)sample * layers + layer) * per_layer,
            ((size_t)layer * samples + sample) * per_layer};
}

// N neighbouring numbers: four where rows are aligned, else one.
template <int N, typename T>
__device__ __forceinline__ void load(const T* from, float (&x)[N]) {
    if constexpr (N == 4) {
        load_four(from, x);
    } else {
        x[0] = to_float(*from);
    }
}

template <int N, typename T>
__device__ __forceinline__ void store(T* to, const float (&x)[N]) {
    if constexpr (N == 4) {
        store_four(to, x);
    } else {
        *to = from_float<T>(x[0]);
    }
}

template <int N, typename T>
__device__ __forceinline__ void reparameterise(const float* __restrict__ mu,
                                               const float* __restrict__ logvar,
                                               const float* __restrict__ eps, T* __restrict__ z,
                                               unsigned samples, unsigned layers,
                                               unsigned per_layer) {
    const Piece at = piece(blockIdx.x / layers, blockIdx.x % layers, samples, layers, per_layer);
    const unsigned first = (blockIdx.y * blockDim.x + threadIdx.x) * N;
    for (unsigned c = first; c < per_layer; c += gridDim.y * blockDim.x * N) {
        float m[N], lv[N], e[N];
        load<N>(mu + at.sample_major + c, m);
        load<N>(logvar + at.sample_major + c, lv);
        load<N>(eps + at.sample_major + c, e);
#pragma unroll
        for (int i = 0; i < N; ++i) m[i] = draw(m[i], lv[i], e[i]);
        store<N>(z + at.layer_major + c, m);
    }
}

template <int N, typename T>
__device__ __forceinline__ void backward(const T* __restrict__ d_z, const float* __restrict__ mu,
                                         const float* __restrict__ logvar,
                                         const float* __restrict__ eps, float* __restrict__ d_mu,
                                         float* __restrict__ d_logvar, unsigned samples,
                                         unsigned layers, unsigned per_layer) {
    const Piece at = piece(blockIdx.x / layers, blockIdx.x % layers, samples, layers, per_layer);
    const unsigned first = (blockIdx.y * blockDim.x + threadIdx.x) * N;
    for (unsigned c = first; c < per_layer; c += gridDim.y * blockDim.x * N) {
        float d[N], m[N], lv[N], e[N];
        load<N>(d_z + at.layer_major + c, d);
        load<N>(mu + at.sample_major + c, m);
        load<N>(logvar + at.sample_major + c, lv);
        load<N>(eps + at.sample_major + c, e);
#pragma unroll
        for (int i = 0; i < N; ++i) gradients(d[i], m[i], lv[i], e[i], m[i], lv[i]);
        store<N>(d_mu + at.sample_major + c, m);
        store<N>(d_logvar + at.sample_major + c, lv);
    }
}

template <int N>
__device__ __forceinline__ double kl(const float* __restrict__ mu,
                                     const float* __restrict__ logvar, unsigned count) {
    double sum = 0.0;
    for (unsigned c = threadIdx.x * N; c < count; c += kSample * N) {
        float m[N], lv[N];
        load<N>(mu + c, m);
        load<N>(logvar + c, lv);
#pragma unroll
        for (int i = 0; i < N; ++i) sum += kl_term(m[i], lv[i]);
    }
    return sum;
}

// kl[sample] from the sums of the threads of its block.
__device__ __forceinline__ void store_kl(double sum, double* kl) {
    sum = block_sum<kSample>(sum);
    if (threadIdx.x == 0) kl[blockIdx.x] = 0.5 * sum;
}

extern "C" __global__ void __launch_bounds__(kSample)
    gaussian_kl_f32(const float* mu, const float* logvar, double* kl_out, unsigned per_sample) {
    mu += (size_t)blockIdx.x * per_sample;
    logvar += (size_t)blockIdx.x * per_sample;
    const bool aligned = is_aligned(mu) && is_aligned(logvar) && per_sample % 4 == 0;
    store_kl(aligned ? kl<4>(mu, logvar, per_sample) : kl<1>(mu, logvar, per_sample), kl_out);
}

template <typename T>
struct Update {
    const T* d_z;
    const float* eps;
    float* mu;
    float* logvar;
    float* mu_moments;
    float* logvar_moments;
    double* kl;
    T* z;
    unsigned samples, layers, per_layer;
    float d_z_scale;
    Adam adam;
};

// AdamW on N numbers whose moments lie at `first` and `first + n`.
template <int N>
__device__ __forceinline__ void adam_step(const Adam& adam, float (&p)[N], const float (&g)[N],
                                          float* first, size_t n) {
    float m[N], v[N];
    load<N>(first, m);
    load<N>(first + n, v);
#pragma unroll
    for (int i = 0; i < N; ++i) adam.step(p[i], g[i], m[i], v[i], adam.keep);
    store<N>(first, m);
    store<N>(first + n, v);
}

// The sum of the KL terms of this thread before the step.
template <int N, typename T>
__device__ __forceinline__ double update(const Update<T>& a) {
    const size_t n = (size_t)a.samples * a.layers * a.per_layer;
    double sum = 0.0;
    for (unsigned layer = 0; layer < a.layers; ++layer) {
        const Piece at = piece(blockIdx.x, layer, a.samples, a.layers, a.per_layer);
        for (unsigned c = threadIdx.x * N; c < a.per_layer; c += kSample * N) {
            const size_t i = at.sample_major + c;
            float d[N], e[N], m[N], lv[N], d_lv[N];
            load<N>(a.d_z + at.layer_major + c, d);
            load<N>(a.eps + i, e);
            load<N>(a.mu + i, m);
            load<N>(a.logvar + i, lv);
#pragma unroll
            for (int k = 0; k < N; ++k) {
                sum += kl_term(m[k], lv[k]);
                gradients(__fmul_rn(d[k], a.d_z_scale), m[k], lv[k], e[k], d[k], d_lv[k]);
            }
            adam_step<N>(a.adam, m, d, a.mu_moments + i, n);
            adam_step<N>(a.adam, lv, d_lv, a.logvar_moments + i, n);
            store<N>(a.mu + i, m);
            store<N>(a.logvar + i, lv);
#pragma unroll
            for (int k = 0; k < N; ++k) m[k] = draw(m[k], lv[k], e[k]);
            store<N>(a.z + at.layer_major + c, m);
        }
    }
    return sum;
}

#define GAUSSIAN(SUFFIX, T)                                                                      \
    extern "C" __global__ void __launch_bounds__(256) gaussian_reparameterise_##SUFFIX(          \
        const float* mu, const float* logvar, const float* eps, T* z, unsigned samples,          \
        unsigned layers, unsigned per_layer) {                                                   \
        if (is_aligned(mu) && is_aligned(logvar) && is_aligned(eps) && is_aligned(z) &&          \
            per_layer % 4 == 0) {                                                                \
            reparameterise<4>(mu, logvar, eps, z, samples, layers, per_layer);                   \
        } else {                                                                                 \
            reparameterise<1>(mu, logvar, eps, z, samples, layers, per_layer);                   \
        }                                                                                        \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(256) gaussian_backward_##SUFFIX(                \
        const T* d_z, const float* mu, const float* logvar, const float* eps, float* d_mu,       \
        float* d_logvar, unsigned samples, unsigned layers, unsigned per_layer) {                \
        if (is_aligned(d_z) && is_aligned(mu) && is_aligned(logvar) && is_aligned(eps) &&        \
            is_aligned(d_mu) && is_aligned(d_logvar) && per_layer % 4 == 0) {                    \
            backward<4>(d_z, mu, logvar, eps, d_mu, d_logvar, samples, layers, per_layer);       \
        } else {                                                                                 \
            backward<1>(d_z, mu, logvar, eps, d_mu, d_logvar, samples, layers, per_layer);       \
        }                                                                                        \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(kSample, 1) gaussian_update_##SUFFIX(           \
        const T* d_z, const float* eps, float* mu, float* logvar, float* mu_moments,             \
        float* logvar_moments, double* kl, T* z, unsigned samples, unsigned layers,              \
        unsigned per_layer, float d_z_scale, const Adam* schedule, const int* step,              \
        unsigned long long* fault, unsigned steps) {                                             \
        const unsigned row = (unsigned)step[blockIdx.x];                                         \
        if (row >= steps) {                                                                      \
            if (threadIdx.x == 0) report(fault, blockIdx.x, row);                                \
            return;                                                                              \
        }                                                                                        \
        const Update<T> a = {d_z, eps,     mu,     logvar,    mu_moments, logvar_moments,        \
                             kl,  z,       samples, layers,   per_layer,  d_z_scale,             \
                             schedule[row]};                                                     \
        const bool aligned = is_aligned(d_z) && is_aligned(eps) && is_aligned(mu) &&             \
                             is_aligned(logvar) && is_aligned(mu_moments) &&                     \
                             is_aligned(logvar_moments) && is_aligned(z) && per_layer % 4 == 0;  \
        store_kl(aligned ? update<4>(a) : update<1>(a), kl);                                     \
    }

GAUSSIAN(f32, float)
GAUSSIAN(bf16, bf16)
