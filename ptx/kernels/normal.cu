// Gaussian noise: out[s, i] = mean + std * n, with n number i of the stream
// (seed, site, first_sample + s, iteration) of Philox4x32-10 (Salmon et al., SC 2011).
//
// Counter [block, site, sample, iteration], key seed; the four words a, b, c, d of a block make
// four numbers by Box-Muller: sqrt(-2 ln u) cos(2 pi v) and the sine, u = (a + 1) / 2^32,
// v = b / 2^32, and the same of c and d. Evaluated in f64 and rounded once to f32, as
// engine/src/philox.rs does: logarithm, sine and cosine are within 1 ulp of f64 on both sides,
// so two results differ only where the f64 numbers lie on different sides of the middle between
// two f32, about once in 10^8 numbers, and then by 1 ulp.
//
// out [samples, per_sample] f32. Launch: 128 threads a block, x over the blocks of four numbers of
// one sample, y over samples (and again from gridDim.y on).
// Bytes it must move: 4 out per number. It moves those.

#include "elementary.cuh"
#include "vector.cuh"

// ln x for x in (0, 1]: x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), s = f / (2 + f), and the
// minimax polynomial of FreeBSD's e_log.c in s^2.
__device__ __forceinline__ double natural_log(double x) {
    long long bits = __double_as_longlong(x);
    // Adds to the exponent where the fraction is sqrt(2) or more.
    bits += 0x3ff0000000000000ll - 0x3fe6a09e667f3bcdll;
    const int k = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffffll) + 0x3fe6a09e667f3bcdll;
    const double f = __longlong_as_double(bits) - 1.0;
    const double s = f / (2.0 + f);
    const double z = s * s;
    double p = 1.479819860511658591e-01;
    p = fma(p, z, 1.531383769920937332e-01);
    p = fma(p, z, 1.818357216161805012e-01);
    p = fma(p, z, 2.222219843214978396e-01);
    p = fma(p, z, 2.857142874366239149e-01);
    p = fma(p, z, 3.999999999940941908e-01);
    p = fma(p, z, 6.666666666666735130e-01);
    const double half_square = 0.5 * f * f;
    const double rest = s * (half_square + z * p);
    // k ln 2 in two parts; the product with the first is exact.
    const double high = k * 6.93147180369123816490e-01, low = k * 1.90821492927058770002e-10;
    return high - ((half_square - (rest + low)) - f);
}

// Sine and cosine of x in [0, 2 pi): the polynomials of FreeBSD's k_sin.c and k_cos.c after
// subtracting a multiple of pi / 2.
__device__ __forceinline__ void sine_cosine(double x, double& sine, double& cosine) {
    const int quadrant = (int)rint(x * 6.36619772367581382433e-01);
    const double q = quadrant;
    double r = fma(-q, 1.57079632679489655800e+00, x);
    r = fma(-q, 6.12323399573676603587e-17, r);
    const double z = r * r;
    double p = 1.58969099521155010221e-10;
    p = fma(p, z, -2.50507602534068634195e-08);
    p = fma(p, z, 2.75573137070700676789e-06);
    p = fma(p, z, -1.98412698298579493134e-04);
    p = fma(p, z, 8.33333333332248946124e-03);
    p = fma(p, z, -1.66666666666666324348e-01);
    const double s = fma(p * z, r, r);
    p = -1.13596475577881948265e-11;
    p = fma(p, z, 2.08757232129817482790e-09);
    p = fma(p, z, -2.75573143513906633035e-07);
    p = fma(p, z, 2.48015872894767294178e-05);
    p = fma(p, z, -1.38888888888741095749e-03);
    p = fma(p, z, 4.16666666666666019037e-02);
    const double half_square = 0.5 * z, high = 1.0 - half_square;
    const double c = high + (((1.0 - high) - half_square) + z * z * p);
    const double a = quadrant & 1 ? c : s, b = quadrant & 1 ? s : c;
    sine = quadrant & 2 ? -a : a;
    cosine = (quadrant + 1) & 2 ? -b : b;
}

__device__ __forceinline__ void box_muller(unsigned a, unsigned b, float* x) {
    const double step = 1.0 / 4294967296.0;
    const double radius = sqrt(-2.0 * natural_log(((double)a + 1.0) * step));
    double sine, cosine;
    sine_cosine(6.283185307179586476925 * ((double)b * step), sine, cosine);
    x[0] = (float)(radius * cosine);
    x[1] = (float)(radius * sine);
}

extern "C" __global__ void __launch_bounds__(128)
    normal_f32(float* out, unsigned long long seed, unsigned site, unsigned iteration,
               unsigned first_sample, unsigned samples, unsigned per_sample, float mean,
               float std) {
    const unsigned block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= (per_sample + 3ull) / 4) return;
    const uint2 key = make_uint2((unsigned)seed, (unsigned)(seed >> 32));
    const bool aligned = is_aligned(out) && per_sample % 4 == 0;
    const unsigned left = per_sample - 4 * block;
    for (unsigned s = blockIdx.y; s < samples; s += gridDim.y) {
        const uint4 word = philox4x32_10(make_uint4(block, site, first_sample + s, iteration), key);
        float x[4];
        box_muller(word.x, word.y, x);
        box_muller(word.z, word.w, x + 2);
#pragma unroll
        for (int i = 0; i < 4; ++i) x[i] = __fadd_rn(mean, __fmul_rn(std, x[i]));
        float* to = out + (size_t)s * per_sample + (size_t)block * 4;
        if (aligned) {
            store_vector(to, x);
            continue;
        }
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            if (i < left) to[i] = x[i];
        }
    }
}
