// What a kernel leaves of the first index that it could not use. The word is 0 where there is none;
// it is sticky: nobody waits for a launch to look at it, and later launches keep what is there.
#pragma once

// Keeps the lowest index, with the value found there: the greatest complement.
__device__ __forceinline__ void report(unsigned long long* word, unsigned index, unsigned value) {
    atomicMax(word, ~((unsigned long long)index << 32 | value));
}
