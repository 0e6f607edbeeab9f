// Appends new tokens to the float16 tiles of one layer: RoPE, rounding, placement.
//
// A thread takes four channels of one head of one token, as two runs of two neighbours, so that it holds both channels
// of each RoPE pair and writes two whole words of a key tile:
//
//     interleaved pairs, and channels that do not turn     4u 4u+1 | 4u+2 4u+3
//     half-split pairs                                     2u 2u+1 | 2u+pairs 2u+1+pairs
//
// Macros: IQ_HEAD_SIZE.
#include "iq_device_append.h"
#include "iq_exact.h"

/// As the CPU's kernels turn a pair where it has fused multiply-add: one product is rounded, then the other added.
__device__ __forceinline__ void turn(float &a, float &b, float cosine, float sine) {
    float x = a, y = b;
    a = __fmaf_rn(x, cosine, -__fmul_rn(y, sine));
    b = __fmaf_rn(y, cosine, __fmul_rn(x, sine));
}

extern "C" __global__ void __launch_bounds__(IQ_APPEND_THREADS)
iq_append_tokens(const __grid_constant__ struct iq_append work) {
    constexpr int d = IQ_HEAD_SIZE, units = d / 4;
    const struct iq_append_sequence &sequence = work.sequence[blockIdx.z];
    int step = blockIdx.y;
    if (step >= sequence.count) return;
    int index = blockIdx.x * IQ_APPEND_THREADS + threadIdx.x;
    int head = index / units, unit = index % units;
    int row = sequence.first_row + step;
    int position = sequence.position + step;
    const float *source;
    int kind;                                        // 0 query, 1 key, 2 value
    if (head < work.query_heads) {
        kind = 0;
        if (!work.queries) return;
        source = (const float *)work.queries + (long long)row * work.query_stride;
    } else if ((head -= work.query_heads) < work.kv_heads) {
        kind = 1;
        source = (const float *)work.keys + (long long)row * work.key_stride;
    } else if ((head -= work.kv_heads) < work.kv_heads) {
        kind = 2;
        source = (const float *)work.values + (long long)row * work.value_stride;
    } else {
        return;
    }
    source += head * d;
    bool turns = kind < 2 && 2 * unit < work.pairs;
    bool is_split = turns && !work.is_interleaved;
    int first = is_split ? 2 * unit : 4 * unit;
    int second = is_split ? first + work.pairs : first + 2;
    float2 x = *(const float2 *)(source + first), y = *(const float2 *)(source + second);
    if (turns) {
        const float *cosines = (const float *)work.angles + (long long)position * 2 * work.pairs + 2 * unit;
        const float *sines = cosines + work.pairs;
        float2 cosine = *(const float2 *)cosines, sine = *(const float2 *)sines;
        if (is_split) {
            turn(x.x, y.x, cosine.x, sine.x);
            turn(x.y, y.y, cosine.y, sine.y);
        } else {
            turn(x.x, x.y, cosine.x, sine.x);
            turn(y.x, y.y, cosine.y, sine.y);
        }
    }
    if (kind == 0) {
        long long size = (long long)work.query_heads * d;
        float *turned = (float *)work.turned + row * size + head * d;
        *(float2 *)(turned + first) = x;
        *(float2 *)(turned + second) = y;
        if (sequence.statistics && position < sequence.statistics_end) {
            float *kept = (float *)sequence.statistics + position * size + head * d;
            *(float2 *)(kept + first) = x;
            *(float2 *)(kept + second) = y;
        }
        return;
    }
    int token;
    unsigned char *tile;
    if (position < sequence.body_position) {
        token = position & 31;
        tile = (unsigned char *)sequence.sink + (position >> 5) * work.raw_stride;
    } else {
        int place = position - sequence.recent_position;
        token = place & 31;
        int slot = sequence.recent_first + (place >> 5);
        if (slot >= work.ring_tiles) slot -= work.ring_tiles;
        tile = (unsigned char *)sequence.recent + slot * work.raw_stride;
    }
    uint16_t *halves = (uint16_t *)(tile + (2 * head + (kind - 1)) * (64 * d));
    uint32_t low = iq_stored_half(x.x) | (uint32_t)iq_stored_half(x.y) << 16;
    uint32_t high = iq_stored_half(y.x) | (uint32_t)iq_stored_half(y.y) << 16;
    if (uint64_t dense = kind == 1 ? work.dense_keys : work.dense_values) {
        uint16_t *target = (uint16_t *)dense + ((long long)row * work.kv_heads + head) * d;
        *(uint32_t *)(target + first) = low;
        *(uint32_t *)(target + second) = high;
    }
    if (kind == 1) {
        *(uint32_t *)(halves + iq_half_index(iq_key_fragment(0, token, first))) = low;
        *(uint32_t *)(halves + iq_half_index(iq_key_fragment(0, token, second))) = high;
    } else {
        halves[iq_half_index(iq_value_fragment(0, token, first))] = (uint16_t)low;
        halves[iq_half_index(iq_value_fragment(0, token, first + 1))] = (uint16_t)(low >> 16);
        halves[iq_half_index(iq_value_fragment(0, token, second))] = (uint16_t)high;
        halves[iq_half_index(iq_value_fragment(0, token, second + 1))] = (uint16_t)(high >> 16);
    }
}
