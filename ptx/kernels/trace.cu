// What a pass found of each sequence, kept on the device until somebody asks.
//
// With r = step[s]: trace[r][0][s] = sum of token_nll[s][t] over t, trace[r][1][s] = kl[s]; then
// step[s] = r + 1. The sum is in f64, in the order of the tokens, as on the CPU.
// token_nll [samples, seq] f32, kl [samples] f64, step [samples] i32, trace [rows, 2, samples] f64.
// A step that is not below `rows` is left in `fault` [1] with its sequence; nothing is written.
//
// Every sequence counts its own steps: no block waits for another, and one recorded launch serves
// every step of a loop.
//
// Launch: one block of 256 threads per sequence: all load, one adds. The adds follow one another,
// 8 cycles each: 5 us for 1024 tokens, whatever the number of sequences up to one per processor.
// Bytes it must move: 4 per token, 24 and the step twice per sequence. It moves those.

#include "fault.cuh"

enum { kChunk = 1024 };  // tokens on the chip at a time

extern "C" __global__ void __launch_bounds__(256)
    trace_f32(const float* token_nll, const double* kl, int* step, double* trace,
              unsigned long long* fault, unsigned seq, unsigned rows) {
    __shared__ float chunk[kChunk];
    const unsigned sample = blockIdx.x, samples = gridDim.x;
    token_nll += (size_t)sample * seq;
    double sum = 0.0;
    for (unsigned first = 0; first < seq; first += kChunk) {
        const unsigned count = seq - first < kChunk ? seq - first : kChunk;
        for (unsigned i = threadIdx.x; i < count; i += blockDim.x) chunk[i] = token_nll[first + i];
        __syncthreads();
        if (threadIdx.x == 0) {
#pragma unroll 8
            for (unsigned i = 0; i < count; ++i) sum += (double)chunk[i];
        }
        __syncthreads();
    }
    if (threadIdx.x != 0) return;
    const int row = step[sample];
    if ((unsigned)row >= rows) return report(fault, sample, row);
    double* to = trace + (size_t)row * 2 * samples + sample;
    to[0] = sum;
    to[samples] = kl[sample];
    step[sample] = row + 1;
}
