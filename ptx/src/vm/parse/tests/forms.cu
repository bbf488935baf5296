// Forms of PTX that the parser must read: what NVRTC makes of this is forms.ptx.
typedef unsigned short u16;
struct Pair { float scale; long long count; char tag[5]; };
struct alignas(16) Wide { int x[6]; };
__constant__ float table[5] = {1.0f, -2.5f, 3e-8f};
__constant__ int counts[2][3] = {{1, 2}, {4, 5, -6}};
__device__ double seed = 0.1;
__device__ unsigned long long ticket;
__device__ const char word[] = "abc";
extern __shared__ __align__(16) unsigned char arena[];

__device__ __noinline__ int never(int x) { return x; }

__device__ __forceinline__ float warp_sum(float x) {
    for (int step = 16; step; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

extern "C" __global__ void __launch_bounds__(256, 2) reduce(const float *in, float *out, unsigned n, Pair pair) {
    __shared__ float part[8];
    __shared__ double extra;
    float sum = 0;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i] * pair.scale + table[i % 5] + (float)counts[i & 1][i % 3] + (float)word[i & 3];
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) part[threadIdx.x / 32] = sum;
    if (threadIdx.x == 0) extra = seed;
    __syncthreads();
    if (threadIdx.x < 32) {
        float v = threadIdx.x < 8 ? part[threadIdx.x] : 0.f;
        v = warp_sum(v);
        if (threadIdx.x == 0) { out[blockIdx.x] = v + (float)extra + (float)pair.count + pair.tag[3]; atomicAdd(&ticket, 1ull); }
    }
}

extern "C" __global__ void tile(const u16 *a, const u16 *b, float *c, int k, Wide wide) {
    unsigned base = (unsigned)__cvta_generic_to_shared(arena);
    unsigned lane = threadIdx.x;
    float acc[4] = {0, 0, 0, 0};
#pragma unroll 1
    for (int i = 0; i < k; i += 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(base + lane * 16), "l"(a + i * 8 + lane * 8));
        asm volatile("{\n .reg .pred p;\n .reg .b32 t;\n setp.ne.b32 p, %2, 0;\n @p cp.async.ca.shared.global [%0], [%1], 16, %2;\n}\n" ::"r"(base + 512 + lane * 16), "l"(b + i * 8 + lane * 8), "r"(wide.x[2]));
        asm volatile("cp.async.commit_group;\n");
        asm volatile("cp.async.wait_group %0;\n" ::"n"(0));
        __syncthreads();
        unsigned r[4], s[2];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(base + lane * 16));
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2+512];\n" : "=r"(s[0]), "=r"(s[1]) : "r"(base + lane * 16));
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n" : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3]) : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(s[0]), "r"(s[1]));
        // The same label twice: each has its own scope.
        asm volatile("{\n .reg .pred p, q;\n .reg .b32 n, d;\n mov.b32 n, %0;\nAGAIN:\n sub.u32 n, n, 1;\n setp.gt.s32 p|q, n, 0;\n @p bra AGAIN;\n @!q bra DONE;\n nanosleep.u32 1;\nDONE:\n}\n" ::"r"(lane));
        asm volatile("{\n .reg .pred p;\n .reg .b32 n;\n mov.b32 n, %0;\nAGAIN:\n sub.u32 n, n, 1;\n setp.gt.s32 p, n, 0;\n @p bra AGAIN;\n}\n" ::"r"(lane));
        asm volatile("{ .reg .b32 d; .reg .pred q; shfl.sync.bfly.b32 d|q, %0, 1, 31, -1; selp.b32 d, d, 0, q; }" ::"r"(lane));
        asm volatile("{ .reg .b16 lo, hi; mov.b32 {lo, hi}, %0; mov.b32 {_, hi}, %0; }" ::"r"(lane));
        asm volatile("bar.warp.sync 0xffffffff;\n barrier.sync 0;\n bar.sync 1, 64;\n" ::);
    }
    *(float4 *)(c + lane * 4) = (float4{acc[0], acc[1], acc[2], acc[3]});
}

extern "C" __global__ void branches(int *x, int n, int kind) {
    int i = threadIdx.x;
    if (i >= n) return;
    int local[16];
    for (int j = 0; j < 16; j++) local[j] = x[j];
    while (true) {
        if (x[i] == 3) break;
        if (x[i] == 4) continue;
        x[i] += local[x[i] & 15];
#pragma unroll 1
        for (int j = 0; j < i; j++) if (x[j] < 0) return;
    }
    if (kind == 17) __trap();
    long long t = clock64();
    x[i] += (int)t + __popc(__activemask()) + (int)(0.5 * x[i]);
    printf_free: x[i]++;
    if (x[i] < 100) goto printf_free;
}
