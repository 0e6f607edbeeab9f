// Quantizes tiles that are due to rotated formats (TurboQuant): float16 tiles of the ring to tiles of the body, one
// layer, many sequences.
//
// A block takes K or V of one KV head of one tile:
//
//     load     float16 × signs → float32 in shared memory, [token][d + 1]
//     norms    one thread a token, since sums of squares go channel by channel
//     turn     a warp a token: butterflies, lanes first, then registers; codes, staged a byte each
//     pack     staged codes → words, stored side by side
//
// Every byte is the CPU's: iq_lookup_seal.h.
//
// Macros: as of seal_codebook.cu.
#include "hadamard.cuh"
#include "iq_pack.h"

constexpr bool seals_keys = key_lookup == IQ_ROTATED, seals_values = value_lookup == IQ_ROTATED;
constexpr int threads = IQ_SEAL_THREADS;

template <bool is_key, int bits>
__device__ __forceinline__ void seal(
    const unsigned char *source, const unsigned char *tables, struct iq_lookup_tables at, unsigned char *tile,
    unsigned char *shared
) {
    constexpr int stride = IQ_D + 1, per_lane = IQ_D / 32;
    __shared__ float norms[32];
    float *vectors = (float *)shared;
    unsigned char *staged = shared + 32 * stride * 4;
    const float *signs = (const float *)(tables + at.signs);
    for (int i = threadIdx.x; i < 4 * IQ_D; i += threads) {
        uint4 registers = ((const uint4 *)source)[i];
        uint32_t words[4] = {registers.x, registers.y, registers.z, registers.w};
        int fragment = i >> 5, lane = i & 31, g = lane >> 2, c = lane & 3, t = fragment & 1, block = 16 * (fragment >> 1);
#pragma unroll
        for (int j = 0; j < 8; j++) {
            int a = j >> 1, e = j & 1;
            int token = is_key ? 4 * g + 2 * t + (a & 1) : 4 * (2 * c + e) + 2 * t + (a >> 1);
            int channel = is_key ? block + 8 * (a >> 1) + 2 * c + e : block + 8 * (a & 1) + g;
            vectors[token * stride + channel] =
                iq_mul(signs[channel], iq_half_float((uint16_t)(words[a] >> (16 * e))));
        }
    }
    __syncthreads();
    if (threadIdx.x < 32) {
        // A square does not depend on the sign.
        const float *own = vectors + threadIdx.x * stride;
        float squares = 0;
        for (int i = 0; i < IQ_D; i++) squares = iq_sum(squares, iq_mul(own[i], own[i]));
        uint16_t norm = iq_stored_norm(squares);
        ((uint16_t *)(tile + 4 * IQ_D * bits))[threadIdx.x] = norm;
        norms[threadIdx.x] = iq_half_float(norm);
    }
    __syncthreads();
    float boundaries[(1 << bits) - 1];
#pragma unroll
    for (int i = 0; i < (1 << bits) - 1; i++) boundaries[i] = ((const float *)(tables + at.boundaries))[i];
    int lane = threadIdx.x & 31;
    for (int token = threadIdx.x >> 5; token < 32; token += threads / 32) {
        float x[per_lane];
#pragma unroll
        for (int i = 0; i < per_lane; i++) x[i] = vectors[token * stride + 32 * i + lane];
        hadamard(x);
#pragma unroll
        for (int i = 0; i < per_lane; i++) {
            float turned = iq_mul(x[i], iq_rotation_scale(IQ_D));
            int channel = 32 * i + lane;
            struct iq_fragment_place p =
                is_key ? iq_key_fragment(0, token, channel) : iq_value_fragment(0, token, channel);
            staged[iq_half_index(p)] = (unsigned char)iq_rotated_code(turned, norms[token], boundaries, bits);
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < IQ_D * bits; i += threads)
        ((uint32_t *)tile)[i] = iq_packed_word(0, bits, IQ_D, i, staged, 0, 32);
}

extern "C" __global__ void __launch_bounds__(IQ_SEAL_THREADS)
iq_seal_rotated(const __grid_constant__ struct iq_seal work) {
    extern __shared__ __align__(16) unsigned char shared[];
    constexpr int tensors = seals_keys + seals_values;
    const struct iq_seal_sequence &sequence = work.sequence[blockIdx.z];
    int step = blockIdx.y;
    if (step >= sequence.tiles) return;
    int head = blockIdx.x / tensors;
    bool is_key = seals_keys && blockIdx.x % tensors == 0;
    const unsigned char *source = ring_tile(work, sequence, step) + 2 * head * half_bytes;
    body_place place(sequence.body, work.page_stride, sequence.first_tile + step, work.kv_heads);
    const unsigned char *tables = (const unsigned char *)sequence.normalizer;
    struct iq_tables all = iq_tables_of(
        work.lookup.table_start, work.kv_heads, IQ_D, key_lookup, value_lookup, IQ_PRE_ROTARY);
    if (seals_keys && is_key)
        seal<true, seals_keys ? IQ_KEY_BITS : 1>(source, tables, all.keys, place.keys_of(head), shared);
    else if (seals_values)
        seal<false, seals_values ? IQ_VALUE_BITS : 1>(
            source + half_bytes, tables, all.values, place.values_of(head), shared);
}
