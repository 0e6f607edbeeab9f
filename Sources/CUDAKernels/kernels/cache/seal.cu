// Quantizes tiles that are due: float16 tiles of the ring to tiles of the body, one layer, many sequences.
//
// A block takes K or V of one KV head of one tile; with error feedback, eight tokens of K. It goes in steps:
//
//     load      float16 → float32 in shared memory, group after group; keys normalized
//     groups    one thread a group: scale, zero point, codes; scales are stored
//     feedback  (keys) codes anew, channel after channel: seal_feedback.cuh
//     pack      staged codes, a byte each in the order of registers, → words, stored side by side
//
// Every number is the CPU's to the last bit: iq_seal.h.
//
// Macros: IQ_HEAD_SIZE; IQ_KEY_KIND, IQ_VALUE_KIND (enum iq_tile_kind); IQ_KEY_BITS, IQ_KEY_MODE, IQ_KEY_LEVELS and
// the same of IQ_VALUE (enum iq_mode, enum iq_levels); IQ_NORMALIZED, IQ_FEEDBACK (0 or 1).
#include "seal_tile.cuh"
#if IQ_FEEDBACK
#include "seal_feedback.cuh"
#endif

template <bool is_key, int kind, int bits, int mode, int levels>
__device__ __forceinline__ void seal_whole(
    const unsigned char *source, const float *scales, const float *means, unsigned char *tile,
    unsigned char *shared
) {
    if (kind == IQ_LOOKUP) return;
    if (kind == IQ_HALF) {
        for (int i = threadIdx.x; i < half_bytes / 16; i += threads)
            ((uint4 *)tile)[i] = ((const uint4 *)source)[i];
        return;
    }
    float *groups = (float *)shared;
    unsigned char *staged = shared + IQ_D * group_stride * 4;
    load<is_key, kind, 32, group_stride>((const uint4 *)source, 0, scales, means, groups, (float4 *)staged, [] {});
    __syncthreads();
    encode<is_key, kind, bits, mode, levels, 32>(groups, 0, tile, staged);
    __syncthreads();
    pack<kind == IQ_INNER, bits, 32>(staged, 0, tile);
}

extern "C" __global__ void __launch_bounds__(IQ_SEAL_THREADS)
iq_seal_tiles(const __grid_constant__ struct iq_seal work) {
    extern __shared__ __align__(16) unsigned char shared[];
    const struct iq_seal_sequence &sequence = work.sequence[blockIdx.z];
    int step = blockIdx.y;
    if (step >= sequence.tiles) return;
    constexpr int parts = IQ_FEEDBACK ? 5 : 2;
    int head = blockIdx.x / parts, part = blockIdx.x % parts;
    const unsigned char *source = ring_tile(work, sequence, step) + 2 * head * half_bytes;
    body_place place(sequence.body, work.page_stride, sequence.first_tile + step, work.kv_heads);
    if (part == parts - 1) {
        seal_whole<false, IQ_VALUE_KIND, IQ_VALUE_BITS, IQ_VALUE_MODE, IQ_VALUE_LEVELS>(
            source + half_bytes, nullptr, nullptr, place.values_of(head), shared);
        return;
    }
    unsigned char *tile = place.keys_of(head);
    const float *scales = (const float *)sequence.normalizer + head * IQ_D;
    const float *means = scales + work.kv_heads * IQ_D;
#if IQ_FEEDBACK
    const float *factors = (const float *)sequence.normalizer + 2 * work.kv_heads * IQ_D
        + (long long)head * (IQ_D * (IQ_D + 1) / 2);
    seal_feedback(source, part, scales, means, factors, tile, shared);
#else
    seal_whole<true, IQ_KEY_KIND, IQ_KEY_BITS, IQ_KEY_MODE, IQ_KEY_LEVELS>(source, scales, means, tile, shared);
#endif
}
