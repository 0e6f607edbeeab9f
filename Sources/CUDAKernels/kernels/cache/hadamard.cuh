// The Walsh–Hadamard butterflies of one vector, by a warp.
#ifndef HADAMARD_H
#define HADAMARD_H

#include "body_tiles.cuh"
#include "iq_lookup_seal.h"

/// Butterflies of 1, 2, 4 … channels, in the CPU's order; x[i] is channel 32 i + lane.
__device__ __forceinline__ void hadamard(float (&x)[IQ_D / 32]) {
    constexpr int per_lane = IQ_D / 32;
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int half = 1; half < 32; half *= 2) {
#pragma unroll
        for (int i = 0; i < per_lane; i++)
            x[i] = iq_butterfly(x[i], __shfl_xor_sync(0xFFFFFFFFu, x[i], half), lane & half);
    }
#pragma unroll
    for (int half = 1; half < per_lane; half *= 2) {
#pragma unroll
        for (int i = 0; i < per_lane; i++) {
            if (i & half) continue;
            float low = x[i], high = x[i | half];
            x[i] = iq_butterfly(low, high, 0);
            x[i | half] = iq_butterfly(high, low, 1);
        }
    }
}

#endif
