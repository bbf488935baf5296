// Building blocks of the matrix products: asynchronous copies, ldmatrix, mma, and tiles of an
// operand in shared memory whose layout is free of bank conflicts.
#pragma once
#include "common.cuh"

__device__ __forceinline__ unsigned shared_address(const void* p) {
    return (unsigned)__cvta_generic_to_shared(p);
}

// Sixteen bytes to shared memory, of which the first `bytes` (16 or 0) are read; zeros otherwise.
__device__ __forceinline__ void copy_async_16(unsigned to, const void* from, unsigned bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}
// Four bytes, likewise.
__device__ __forceinline__ void copy_async_4(unsigned to, const void* from, unsigned bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void copy_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits until at most `PENDING` of this thread's groups are under way.
template <int PENDING>
__device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8x8 matrices of bf16; lane l gives the address of row l % 8 of matrix l / 8.
template <bool TRANSPOSED>
__device__ __forceinline__ void load_matrices(unsigned (&r)[4], unsigned address) {
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(address)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(address)
                     : "memory");
}

// Two floats to shared memory in one access; the compiler splits some of those it finds itself.
__device__ __forceinline__ void store_shared_pair(unsigned to, float x, float y) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(to), "f"(x), "f"(y) : "memory");
}

// c += a b, 16x8 += 16x16 16x8. Lane l holds rows l/4 and l/4 + 8, columns 2(l%4) and the next.
__device__ __forceinline__ void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two numbers as bf16, the first in the lower half.
__device__ __forceinline__ unsigned pack(float low, float high) {
    unsigned r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

// Four numbers side by side, as they lie in memory.
__device__ __forceinline__ float4 load_four(const float* p) { return *(const float4*)p; }
__device__ __forceinline__ float4 load_four(const bf16* p) {
    uint2 v = *(const uint2*)p;
    return make_float4(__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000u),
                       __uint_as_float(v.y << 16), __uint_as_float(v.y & 0xffff0000u));
}
__device__ __forceinline__ void store_four(float* p, float4 x) { *(float4*)p = x; }
__device__ __forceinline__ void store_four(bf16* p, float4 x) {
    *(uint2*)p = make_uint2(pack(x.x, x.y), pack(x.z, x.w));
}

// Whether rows of n numbers, from `a` and from `b` (or null), can be moved four at a time.
template <typename T>
__device__ __forceinline__ bool rows_of_fours(unsigned n, const T* a, const T* b) {
    return n % 4 == 0 && ((size_t)a | (size_t)b) % (4 * sizeof(T)) == 0;
}
