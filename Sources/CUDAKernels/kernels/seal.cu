// Quantizes tiles that are due: float16 tiles of the ring to tiles of the body, one layer, many sequences.
//
// A block takes K or V of one KV head of one tile; with error feedback, eight tokens of K. It goes in steps:
//
//     load      float16 → float32 in shared memory, group after group; keys normalized
//     groups    one thread a group: scale, zero point, codes; scales are stored
//     feedback  (keys) codes anew, channel after channel: see `feed_back`
//     pack      staged codes, a byte each in the order of registers, → words, stored side by side
//
// Every number is the CPU's to the last bit: iq_seal.h.
//
// Macros: IQ_HEAD_SIZE; IQ_KEY_KIND, IQ_VALUE_KIND (enum iq_tile_kind); IQ_KEY_BITS, IQ_KEY_MODE, IQ_KEY_LEVELS and
// the same of IQ_VALUE (enum iq_mode, enum iq_levels); IQ_NORMALIZED, IQ_FEEDBACK (0 or 1).
#include "iq_device_append.h"
#include "iq_seal.h"

#define IQ_D IQ_HEAD_SIZE

constexpr int threads = IQ_SEAL_THREADS;
constexpr int group_stride = 33;                     // floats from a group to the next, so that banks differ
constexpr int half_bytes = 64 * IQ_D;

constexpr int tile_bytes(int kind, int bits, int mode) {
    return kind == IQ_HALF ? half_bytes
                           : 4 * IQ_D * bits + (mode == IQ_SYMMETRIC ? 2 : 4) * IQ_D;
}

constexpr int key_bytes = tile_bytes(IQ_KEY_KIND, IQ_KEY_BITS, IQ_KEY_MODE);
constexpr int value_bytes = tile_bytes(IQ_VALUE_KIND, IQ_VALUE_BITS, IQ_VALUE_MODE);

/// Which group an element belongs to, and where in it. `part_tokens` tokens from a multiple of it are there.
template <bool is_key, int kind, int part_tokens>
__device__ __forceinline__ int group_place(int token, int channel) {
    constexpr bool along_channels = is_key == (kind == IQ_INNER);
    int local = token % part_tokens;
    return along_channels ? ((channel >> 5) * part_tokens + local) * group_stride + (channel & 31)
                          : channel * group_stride + token;
}

/// Float16 tile → groups of float32. Of K, tokens part · part_tokens on: lanes part · part_tokens on, as a lane of four
/// holds four tokens.
template <bool is_key, int kind, int part_tokens>
__device__ __forceinline__ void load(
    const uint4 *source, int part, const float *scales, const float *means, float *groups
) {
    constexpr int fragments = IQ_D / 8;
    for (int i = threadIdx.x; i < fragments * part_tokens; i += threads) {
        int fragment = i / part_tokens, lane = part * part_tokens + i % part_tokens;
        uint4 registers = source[fragment * 32 + lane];
        uint32_t words[4] = {registers.x, registers.y, registers.z, registers.w};
        int g = lane >> 2, c = lane & 3, t = fragment & 1, block = 16 * (fragment >> 1);
#pragma unroll
        for (int a = 0; a < 4; a++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float x = iq_half_float((uint16_t)(words[a] >> (16 * e)));
                int token, channel;
                if (is_key) {
                    token = 4 * g + 2 * t + (a & 1);
                    channel = block + 8 * (a >> 1) + 2 * c + e;
#if IQ_NORMALIZED
                    x = iq_div(iq_sum(x, -means[channel]), scales[channel]);
#endif
                } else {
                    token = 4 * (2 * c + e) + 2 * t + (a >> 1);
                    channel = block + 8 * (a & 1) + g;
                }
                groups[group_place<is_key, kind, part_tokens>(token, channel)] = x;
            }
        }
    }
}

/// One thread a group: scale and zero point to the tile, codes to `staged`.
template <bool is_key, int kind, int bits, int mode, int levels, int part_tokens>
__device__ __forceinline__ void encode(
    const float *groups, int part, unsigned char *tile, unsigned char *staged
) {
    constexpr bool is_integer = kind == IQ_INNER;
    constexpr bool along_channels = is_key == is_integer;
    constexpr int count = IQ_D * part_tokens / 32;
    uint16_t *scales = (uint16_t *)(tile + 4 * IQ_D * bits), *zeros = scales + IQ_D;
    for (int i = threadIdx.x; i < count; i += threads) {
        float x[32];
#pragma unroll
        for (int j = 0; j < 32; j++) x[j] = groups[i * group_stride + j];
        uint32_t codes[8];
        struct iq_group group = iq_encode_group(x, bits, mode, levels, codes);
        int token = along_channels ? part * part_tokens + i % part_tokens : 0;
        int channel = along_channels ? i / part_tokens * 32 : i;
        int index = is_key ? iq_key_scale(kind, token, channel) : iq_value_scale(kind, IQ_D, token, channel);
        scales[index] = group.scale_bits;
        if (mode != IQ_SYMMETRIC) zeros[index] = group.zero_bits;
        int step = is_integer ? 4 : 1;               // codes of one register lie together
#pragma unroll
        for (int j = 0; j < 32; j += step) {
            int t = along_channels ? token : j, c = along_channels ? channel + j : channel;
            struct iq_fragment_place p =
                is_key ? iq_key_fragment(is_integer, t, c) : iq_value_fragment(is_integer, t, c);
            int at = (p.fragment * part_tokens + (p.lane - part * part_tokens)) * 4 + p.reg;
            if (is_integer) ((uint32_t *)staged)[at] = codes[j / 4];
            else staged[2 * at + p.element] = (unsigned char)(codes[j / 4] >> (8 * (j % 4)));
        }
    }
}

/// Staged codes → words.
template <bool is_integer, int bits, int part_tokens>
__device__ __forceinline__ void pack(const unsigned char *staged, int part, unsigned char *tile) {
    constexpr int count = IQ_D * bits * part_tokens / 32;
    const int run = part_tokens * iq_word_width(is_integer, bits, IQ_D);
    for (int i = threadIdx.x; i < count; i += threads) {
        int word = i / run * (run / part_tokens * 32) + part * run + i % run;
        ((uint32_t *)tile)[word] =
            iq_packed_word(is_integer, bits, IQ_D, word, staged, part * part_tokens, part_tokens);
    }
}

template <bool is_key, int kind, int bits, int mode, int levels>
__device__ __forceinline__ void seal_whole(
    const unsigned char *source, const float *scales, const float *means, unsigned char *tile,
    unsigned char *shared
) {
    if (kind == IQ_HALF) {
        for (int i = threadIdx.x; i < half_bytes / 16; i += threads)
            ((uint4 *)tile)[i] = ((const uint4 *)source)[i];
        return;
    }
    float *groups = (float *)shared;
    unsigned char *staged = shared + IQ_D * group_stride * 4;
    load<is_key, kind, 32>((const uint4 *)source, 0, scales, means, groups);
    __syncthreads();
    encode<is_key, kind, bits, mode, levels, 32>(groups, 0, tile, staged);
    __syncthreads();
    pack<kind == IQ_INNER, bits, 32>(staged, 0, tile);
}

#if IQ_FEEDBACK

constexpr int part_tokens = 8;
constexpr int bias = (1 << (IQ_KEY_BITS - 1)) - (IQ_KEY_LEVELS == IQ_OFFICIAL ? 1 : 0);

/// What rounding needs to know of a group.
struct step {
    float scale, high, low, unused;
};

/// Superblocks (16 channels) of one token, from `first` down to `last`. Half a warp takes a token; its lane p holds the
/// targets of channels 16 k + p, own[0] those of the highest superblock left.
///
/// Rounding is a chain through all channels: target → level → error → next target, some 45 cycles a link. Eight
/// channels at a time are taken by all lanes alike, so that the chain stays in registers of one lane; targets of lower
/// channels are shared out among lanes. A target receives the errors of higher channels in their order, as on the CPU.
/// With `below` superblocks left at most, own[1 ... below] are kept up to date.
template <int below>
__device__ __forceinline__ void feed_back(
    int first, int last, float *own, int token, int half, const float *groups, const struct step *steps,
    const float *factors, unsigned char *staged
) {
    int p = threadIdx.x & 15;
    constexpr float lowest = -bias, highest = (1 << (IQ_KEY_BITS - 1)) - 1;
#pragma unroll 1
    for (int superblock = first; superblock >= last; superblock--) {
        int group = (superblock >> 1) * part_tokens + token;
        struct step step = steps[group];
        struct iq_divisor divisor = {step.high, step.low};
        float low = step.scale == 0 ? 0 : lowest, high = step.scale == 0 ? 0 : highest;
        const float *values = groups + group * group_stride + 16 * (superblock & 1);
        // Row c = 16 · superblock + i starts at c (c + 1) / 2 = (that of i = 0) + 16 · superblock · i + i (i + 1) / 2; the
        // last term is known here, the one before it is taken off row by row. Then 16 · superblock to the own channels.
        const int length = 16 * superblock;
        const float *row = factors + length * (length + 1) / 2 + 16 * length;
        const float *lane_row = row + p;
#pragma unroll
        for (int upper = 1; upper >= 0; upper--) {
            float target[8];
            uint32_t codes[2] = {0, 0};
#pragma unroll
            for (int i = 0; i < 8; i++)
                target[i] = __shfl_sync(0xFFFFFFFFu, own[0], 16 * half + 8 * upper + i);
#pragma unroll
            for (int i = 7; i >= 0; i--) {
                constexpr int start[16] = {0, 1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 66, 78, 91, 105, 120};
                const int at = start[8 * upper + i];
                float error;
                float level = iq_feedback_level(
                    values[8 * upper + i], target[i], step.scale, divisor, low, high, &error);
                codes[i / 4] |= iq_level_code(level, bias) << (8 * (i % 4));
#pragma unroll
                for (int j = 0; j < i; j++)
                    target[j] = iq_sum(target[j], iq_mul(row[at + 8 * upper + j], error));
                // Lanes whose channel is done, or lies before channel 0, compute what nobody reads.
                if (upper) own[0] = iq_sum(own[0], iq_mul(lane_row[at], error));
#pragma unroll
                for (int k = 1; k <= below; k++)
                    own[k] = iq_sum(own[k], iq_mul(lane_row[at - 16 * k], error));
                row -= length;
                lane_row -= length;
            }
            if (p < 2) {
                struct iq_fragment_place place =
                    iq_key_fragment(1, token, 16 * superblock + 8 * upper + 4 * p);
                // Tokens of a part are a multiple of 8, so that lanes are from 8 · part on.
                ((uint32_t *)staged)[(place.fragment * part_tokens + place.lane) * 4 + place.reg] =
                    p ? codes[1] : codes[0];
            }
        }
#pragma unroll
        for (int k = 0; k < below; k++) own[k] = own[k + 1];
    }
}

/// Copies factors of channels `first ..< end` beside other work; 16 bytes at a time, and a bit more at both ends.
__device__ __forceinline__ void copy_factors(const float *source, float *target, int first, int end) {
    int from = first * (first + 1) / 2 / 4, to = (end * (end + 1) / 2 + 3) / 4;
    for (int i = from + threadIdx.x; i < to; i += threads) {
        uint32_t address = (uint32_t)__cvta_generic_to_shared(target + 4 * i);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(address), "l"(source + 4 * i) : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
}

__device__ __forceinline__ void seal_feedback(
    const unsigned char *source, int part, const float *scales, const float *means, const float *factors,
    unsigned char *tile, unsigned char *shared
) {
    constexpr int group_count = IQ_D / 32 * part_tokens, superblocks = IQ_D / 16, middle = superblocks / 2;
    float *groups = (float *)shared;
    unsigned char *staged = shared + group_count * group_stride * 4;
    struct step *steps = (struct step *)(staged + 8 * IQ_D);
    float *rows = (float *)(steps + group_count);
    copy_factors(factors, rows, 16 * middle, IQ_D);
    copy_factors(factors, rows, 0, 16 * middle);
    load<true, IQ_INNER, part_tokens>((const uint4 *)source, part, scales, means, groups);
    __syncthreads();
    for (int i = threadIdx.x; i < group_count; i += threads) {
        float x[32];
#pragma unroll
        for (int j = 0; j < 32; j++) x[j] = groups[i * group_stride + j];
        float scale = iq_symmetric_scale(x, IQ_KEY_BITS, IQ_KEY_LEVELS);
        struct iq_divisor divisor = iq_divisor_of(scale);
        steps[i] = {scale, divisor.high, divisor.low, 0};
        ((uint16_t *)(tile + 4 * IQ_D * IQ_KEY_BITS))[i / part_tokens * 32 + part * part_tokens + i % part_tokens] =
            scale == 0 ? 0 : iq_half_bits(scale);
    }
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    int half = threadIdx.x >> 4 & 1, p = threadIdx.x & 15, token = 2 * (threadIdx.x >> 5) + half;
    float own[superblocks];
#pragma unroll
    for (int k = 0; k < superblocks; k++) {
        int channel = 16 * (superblocks - 1 - k) + p;
        own[k] = groups[((channel >> 5) * part_tokens + token) * group_stride + (channel & 31)];
    }
    feed_back<superblocks - 1>(superblocks - 1, middle, own, token, half, groups, steps, rows, staged);
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    feed_back<middle - 1>(middle - 1, 0, own, token, half, groups, steps, rows, staged);
    __syncthreads();
    pack<true, IQ_KEY_BITS, part_tokens>(staged, part, tile);
}

#endif

extern "C" __global__ void __launch_bounds__(IQ_SEAL_THREADS)
iq_seal_tiles(const __grid_constant__ struct iq_seal work) {
    extern __shared__ __align__(16) unsigned char shared[];
    const struct iq_seal_sequence &sequence = work.sequence[blockIdx.z];
    int step = blockIdx.y;
    if (step >= sequence.tiles) return;
    constexpr int parts = IQ_FEEDBACK ? 5 : 2;
    int head = blockIdx.x / parts, part = blockIdx.x % parts;
    int slot = (sequence.recent_first + step) % work.ring_tiles;
    const unsigned char *source =
        (const unsigned char *)sequence.recent + slot * work.raw_stride + 2 * head * half_bytes;
    int number = sequence.first_tile + step;
    unsigned char *page = (unsigned char *)sequence.body + (number / IQ_PAGE_TILES) * work.page_stride;
    int place = head * IQ_PAGE_TILES + number % IQ_PAGE_TILES;
    if (part == parts - 1) {
        unsigned char *tile = page + (long long)work.kv_heads * IQ_PAGE_TILES * key_bytes + (long long)place * value_bytes;
        seal_whole<false, IQ_VALUE_KIND, IQ_VALUE_BITS, IQ_VALUE_MODE, IQ_VALUE_LEVELS>(
            source + half_bytes, nullptr, nullptr, tile, shared);
        return;
    }
    unsigned char *tile = page + (long long)place * key_bytes;
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
