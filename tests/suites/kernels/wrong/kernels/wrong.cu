// Kernels that are wrong, each in one way. A comment `fault: name` marks the line that the virtual
// GPU must name. Compiled like the kernels in ptx/kernels (see ptx/README.md), with line numbers,
// to compiled/sm_80/wrong.ptx.

// The bound lets one thread too many pass, which reads behind the end of x.
extern "C" __global__ void read_beyond(const float* x, float* out, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) out[i] = x[i];  // fault: read_beyond
}

// The same, with a write.
extern "C" __global__ void write_beyond(const float* x, float* out, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) out[i] = i < n ? x[i] : 0.0f;  // fault: write_beyond
}

// Reads before the first element.
extern "C" __global__ void read_before(const float* x, float* out) {
    out[threadIdx.x] = x[(int)threadIdx.x - 1];  // fault: read_before
}

// Sixteen bytes at a time, from an address that is a multiple of four.
extern "C" __global__ void misaligned(const float* x, float* out) {
    float4 four = *(const float4*)(x + 4 * threadIdx.x + 1);  // fault: misaligned
    out[threadIdx.x] = four.x + four.y + four.z + four.w;
}

// Adds to memory that nothing has written.
extern "C" __global__ void uninitialised(float* out) {
    out[threadIdx.x] += 1.0f;  // fault: uninitialised
}

// Reads a shared element that no thread writes.
extern "C" __global__ void uninitialised_shared(float* out) {
    __shared__ float tile[64];
    if (threadIdx.x < 63) tile[threadIdx.x] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x];  // fault: uninitialised_shared
}

// Reads behind the end of a shared array.
extern "C" __global__ void shared_beyond(const float* x, float* out) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = tile[threadIdx.x + 1];  // fault: shared_beyond
}

// The barrier between the write of one warp and the read of the other is missing.
extern "C" __global__ void missing_barrier(const float* x, float* out) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];      // fault: missing_barrier
    out[threadIdx.x] = tile[threadIdx.x ^ 32];  // fault: missing_barrier_read
}

// The barrier that keeps the next round from overwriting what another warp still reads is missing.
extern "C" __global__ void missing_second_barrier(const float* x, float* out) {
    __shared__ float tile[64];
    float sum = 0.0f;
    for (int round = 0; round < 2; round++) {
        tile[threadIdx.x] = x[round * 64 + threadIdx.x];  // fault: missing_second_barrier
        __syncthreads();
        sum += tile[threadIdx.x ^ 32];  // fault: missing_second_barrier_read
    }
    out[threadIdx.x] = sum;
}

// Every block writes the same elements.
extern "C" __global__ void blocks_collide(float* out) {
    out[threadIdx.x] = (float)blockIdx.x;  // fault: blocks_collide
}

// Reads what cp.async copies before it has waited for the copy.
extern "C" __global__ void copy_not_awaited(const float* x, float* out) {
    __shared__ __align__(16) float tile[128];
    unsigned to = (unsigned)__cvta_generic_to_shared(tile + 4 * threadIdx.x);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + 4 * threadIdx.x) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    out[threadIdx.x] = tile[4 * threadIdx.x];  // fault: copy_not_awaited
}

// Two groups are in flight; waiting for all but two of them waits for none.
extern "C" __global__ void wait_too_weak(const float* x, float* out) {
    __shared__ __align__(16) float tile[256];
    for (int group = 0; group < 2; group++) {
        unsigned at = 128 * group + 4 * threadIdx.x;
        unsigned to = (unsigned)__cvta_generic_to_shared(tile + at);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + at) : "memory");
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    asm volatile("cp.async.wait_group 2;" ::: "memory");
    out[threadIdx.x] = tile[4 * threadIdx.x];  // fault: wait_too_weak
}

// Each thread has waited for its own copies, but not for those of the other warp.
extern "C" __global__ void wait_without_barrier(const float* x, float* out) {
    __shared__ __align__(16) float tile[256];
    unsigned to = (unsigned)__cvta_generic_to_shared(tile + 4 * threadIdx.x);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + 4 * threadIdx.x) : "memory");  // fault: wait_without_barrier
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    out[threadIdx.x] = tile[4 * (threadIdx.x ^ 32)];  // fault: wait_without_barrier_read
}

// Half a warp goes to the barrier.
extern "C" __global__ void half_a_warp_waits(const float* x, float* out) {
    float value = x[threadIdx.x];
    if (threadIdx.x < 16) {
        __syncthreads();  // fault: half_a_warp_waits
        value += 1.0f;
    }
    out[threadIdx.x] = value;
}

// One warp goes to the barrier twice, the other once.
extern "C" __global__ void one_warp_waits_again(const float* x, float* out) {
    float value = x[threadIdx.x];
    __syncthreads();
    if (threadIdx.x < 32) {
        __syncthreads();  // fault: one_warp_waits_again
        value += 1.0f;
    }
    out[threadIdx.x] = value;
}

// The mask names lanes that do not take part.
extern "C" __global__ void shuffle_from_absent_lanes(const float* x, float* out) {
    float value = x[threadIdx.x];
    if (threadIdx.x % 32 < 16) {
        value += __shfl_xor_sync(0xffffffffu, value, 1);  // fault: shuffle_from_absent_lanes
    }
    out[threadIdx.x] = value;
}

// The index of a row wraps around 2^32 and lands inside the buffer again.
extern "C" __global__ void index_wraps(const float* x, float* out, unsigned row, unsigned stride) {
    unsigned index = row * stride + threadIdx.x;
    out[threadIdx.x] = x[index];  // fault: index_wraps
}

// Waits for a flag that nobody sets.
extern "C" __global__ void endless_loop(volatile unsigned* flag, float* out) {
    while (*flag == 0) {  // fault: endless_loop
    }
    out[threadIdx.x] = 1.0f;
}

// Two warps wait for each other at different barriers.
extern "C" __global__ void crossed_barriers(float* out) {
    if (threadIdx.x < 32) {
        asm volatile("bar.sync 1, 64;" ::: "memory");  // fault: crossed_barriers
        asm volatile("bar.sync 2, 64;" ::: "memory");
    } else {
        asm volatile("bar.sync 2, 64;" ::: "memory");  // fault: crossed_barriers_other
        asm volatile("bar.sync 1, 64;" ::: "memory");
    }
    out[threadIdx.x] = 1.0f;
}

// An assertion that does not hold.
extern "C" __global__ void trapped(const float* x, float* out) {
    float value = x[threadIdx.x];
    if (value < 0.0f) asm volatile("trap;");  // fault: trapped
    out[threadIdx.x] = value;
}

// Right, for launches that are wrong.
extern "C" __global__ void scale(const float* x, float* out, unsigned n, float factor) {
    extern __shared__ float tile[];
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        tile[threadIdx.x] = x[i];
        out[i] = factor * tile[threadIdx.x];
    }
}
