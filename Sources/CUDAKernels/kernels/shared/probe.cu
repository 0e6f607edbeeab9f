// Reads an array once: eight 16-byte loads of a thread are under way together, neighbours side by side.
#include "iq_device_probe.h"

__device__ __forceinline__ uint4 load(const uint4 *from) {
    uint4 x;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(from));
    return x;
}

extern "C" __global__ void __launch_bounds__(IQ_PROBE_THREADS)
iq_probe_read(const __grid_constant__ struct iq_probe p) {
    const uint4 *source = (const uint4 *)p.source;
    const uint64_t count = p.bytes / 16, stride = (uint64_t)gridDim.x * IQ_PROBE_THREADS;
    uint64_t i = (uint64_t)blockIdx.x * IQ_PROBE_THREADS + threadIdx.x;
    unsigned sum = 0;
    for (; i + 7 * stride < count; i += 8 * stride) {
        uint4 x[8];
#pragma unroll
        for (int k = 0; k < 8; k++) x[k] = load(source + i + k * stride);
#pragma unroll
        for (int k = 0; k < 8; k++) sum += x[k].x ^ x[k].y ^ x[k].z ^ x[k].w;
    }
    for (; i < count; i += stride) sum += load(source + i).x;
    // The array is zeros; that is not known to the compiler.
    if (sum == 0x5EED) *(unsigned *)p.target = sum;
}
