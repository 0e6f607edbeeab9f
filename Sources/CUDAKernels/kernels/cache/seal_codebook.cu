// Quantizes tiles that are due to codebook formats (KVQuant): float16 tiles of the ring to tiles and sides of the body,
// one layer, many sequences.
//
// A block takes K or V of a tile, all KV heads together, since they share a token's range and a page's outliers. It reads
// the float16 tiles again in every step, from the second-level cache:
//
//     turns      (keys before RoPE) cosines and sines of the tile's tokens
//     limits     (ranges of tokens, outliers) where the largest and smallest elements of each token begin
//     ranges     (ranges of tokens) of the elements between the limits
//     farthest   (static ranges, outliers) those beyond, or the farthest of them
//     codes      a lane's sixteen registers of elements → its words of the tile
//     outliers   in order, to the side
//
// Every byte is the CPU's: iq_lookup_seal.h.
//
// Macros: those of body_tiles.cuh; IQ_PRE_ROTARY (enum iq_pre_rotary).
#include "seal_ranges.cuh"

constexpr bool seals_keys = key_lookup == IQ_CHANNEL_RANGES || key_lookup == IQ_TOKEN_RANGES;
constexpr bool seals_values = value_lookup == IQ_CHANNEL_RANGES || value_lookup == IQ_TOKEN_RANGES;

/// What all steps share.
struct shared_numbers {
    token_limits limits[32];
    struct iq_vector_range ranges[32];
    uint32_t ends[64];
    iq_turn firsts[pairs];
    float boundaries[16];
    int room[33];
    counted found;
};

/// Words of the masks that a thread counts: a run of them.
struct word_run {
    int first, end;
    __device__ explicit word_run(int words) {
        int each = (words + threads - 1) / threads;
        first = min((int)threadIdx.x * each, words);
        end = min(first + each, words);
    }
    __device__ int count(const uint32_t *masks) const {
        int sum = 0;
        for (int w = first; w < end; w++) sum += __popc(masks[w]);
        return sum;
    }
};

/// The element of bit `bit` of word `word` of the masks.
template <bool is_key, class Source>
__device__ __forceinline__ float element_at(const Source &source, int word, int bit) {
    int index = word % IQ_D * 32 + bit;
    return is_key ? source.value(word / IQ_D, index & 31, index >> 5)
                  : source.value(word / IQ_D, index / IQ_D, index % IQ_D);
}

/// Leaves the `capacity` farthest of the marked elements, of equals the first.
template <bool is_key, class Source>
__device__ __forceinline__ void keep_farthest(
    const Source &source, const float *ranges, const float *zeros, int words, int count, int capacity, uint32_t *masks,
    uint32_t *histogram, shared_numbers &shared
) {
    word_run run(words);
    auto excess = [&](int word, int bit) {
        int index = word % IQ_D * 32 + bit;
        int channel = word / IQ_D * IQ_D + (is_key ? index >> 5 : index % IQ_D);
        struct iq_vector_range range = {ranges[channel], zeros[channel]};
        return iq_float_bits(iq_excess(element_at<is_key>(source, word, bit), range));
    };
    uint32_t prefix = 0;
    int rank = count - capacity + 1, equals = 0;
#pragma unroll 1
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (threadIdx.x < 256) histogram[threadIdx.x] = 0;
        __syncthreads();
        for (int w = run.first; w < run.end; w++) {
            for (uint32_t rest = masks[w]; rest; rest &= rest - 1) {
                uint32_t bits = excess(w, __ffs(rest) - 1);
                if ((uint64_t)bits >> (shift + 8) == (uint64_t)prefix) atomicAdd(histogram + (bits >> shift & 255), 1u);
            }
        }
        __syncthreads();
        if (threadIdx.x < 32) {
            counted found = find_rank(histogram, 0, whole, rank);
            if (threadIdx.x == 0) shared.found = found;
        }
        __syncthreads();
        prefix = prefix << 8 | (uint32_t)shared.found.bin;
        rank = shared.found.rank;
        equals = shared.found.count;
        __syncthreads();
    }
    // Of those at the threshold, the first ones.
    int kept = equals - rank + 1, at = 0, total;
    for (int w = run.first; w < run.end; w++)
        for (uint32_t rest = masks[w]; rest; rest &= rest - 1) at += excess(w, __ffs(rest) - 1) == prefix;
    at = block_sum(at, shared.room, total);
    for (int w = run.first; w < run.end; w++) {
        uint32_t mask = masks[w];
        for (uint32_t rest = mask; rest; rest &= rest - 1) {
            int bit = __ffs(rest) - 1;
            uint32_t bits = excess(w, bit);
            if (bits < prefix || (bits == prefix && at++ >= kept)) mask &= ~(1u << bit);
        }
        masks[w] = mask;
    }
    __syncthreads();
}

/// Marks elements beyond static ranges, at most `capacity`.
template <bool is_key, class Source>
__device__ __forceinline__ void find_beyond(
    const Source &source, const float *lows, const float *highs, const float *ranges, const float *zeros, int kv_heads,
    int capacity, uint32_t *masks, uint32_t *histogram, shared_numbers &shared
) {
    int words = kv_heads * IQ_D, count;
    for (int i = threadIdx.x; i < words; i += threads) {
        unit_place<is_key> unit(i);
        float x[32];
        source.load(unit, x);
#pragma unroll
        for (int j = 0; j < 32; j++) {
            int token = unit.token(j >> 3, j >> 1 & 3, j & 1), channel = unit.channel(j >> 3, j >> 1 & 3, j & 1);
            int all = unit.head * IQ_D + channel;
            if (x[j] < lows[all] || x[j] > highs[all]) {
                int index = is_key ? channel * 32 + token : token * IQ_D + channel;
                atomicOr(masks + unit.head * IQ_D + (index >> 5), 1u << (index & 31));
            }
        }
    }
    __syncthreads();
    block_sum(word_run(words).count(masks), shared.room, count);
    if (count > capacity)
        keep_farthest<is_key>(source, ranges, zeros, words, count, capacity, masks, histogram, shared);
}

/// Starts, outliers and what is left of the side.
template <bool is_key, class Source>
__device__ __forceinline__ void store_outliers(
    const Source &source, int kv_heads, struct iq_side places, const uint32_t *masks, unsigned char *side,
    shared_numbers &shared
) {
    int words = kv_heads * IQ_D, total;
    word_run run(words);
    int next = block_sum(run.count(masks), shared.room, total);
    uint16_t *starts = (uint16_t *)(side + places.starts);
    uint32_t *outliers = (uint32_t *)(side + places.outliers);
    for (int w = run.first; w < run.end; w++) {
        if (w % IQ_D == 0) starts[w / IQ_D] = (uint16_t)next;
        for (uint32_t rest = masks[w]; rest; rest &= rest - 1) {
            int bit = __ffs(rest) - 1;
            outliers[next++] = (uint32_t)iq_half_bits(element_at<is_key>(source, w, bit)) << 16
                | (uint32_t)(w % IQ_D * 32 + bit);
        }
    }
    if (threadIdx.x == 0) {
        starts[kv_heads] = (uint16_t)total;
        if (kv_heads % 2 == 0) starts[kv_heads + 1] = 0;
    }
    int rest = (places.byte_count - places.outliers) / 4;
    for (int i = total + threadIdx.x; i < rest; i += threads) outliers[i] = 0;
}

template <bool is_key, int rotary, int lookup, int bits>
__device__ __forceinline__ void seal(
    const unsigned char *raw, const unsigned char *tables, struct iq_tables all, const struct iq_lookup_layer &layer,
    int kv_heads, int number, const body_place &place, unsigned char *side, unsigned char *dynamic,
    shared_numbers &shared
) {
    struct iq_lookup_tables at = is_key ? all.keys : all.values;
    int capacity = is_key ? layer.key_capacity : layer.value_capacity;
    bool has_outliers = capacity > 0;
    const float *ranges = (const float *)(tables + at.ranges), *zeros = (const float *)(tables + at.zeros);
    iq_turn *turns = (iq_turn *)dynamic;
    uint32_t *masks = (uint32_t *)(dynamic + (rotary ? 8 * angle_stride * pairs : 0));
    uint32_t *histograms = masks + (has_outliers ? kv_heads * IQ_D : 0);
    struct iq_side places = iq_side_of(lookup, kv_heads, capacity);
    if (threadIdx.x < 16) shared.boundaries[threadIdx.x] = ((const float *)(tables + at.boundaries))[threadIdx.x];
    if (has_outliers) for (int i = threadIdx.x; i < kv_heads * IQ_D; i += threads) masks[i] = 0;
    if (rotary)
        make_turns<threads>(
            (const double *)(tables + all.frequencies), (const float *)(tables + all.places),
            layer.body_position + 32 * number, shared.firsts, turns);
    __syncthreads();
    page_source<is_key, rotary> source = {raw, turns};
    if (lookup == IQ_TOKEN_RANGES) {
        int outliers = is_key ? layer.key_outliers : layer.value_outliers;
        if (has_outliers) find_limits<is_key>(source, kv_heads, outliers, histograms, shared.limits);
        find_ranges<is_key>(source, kv_heads, has_outliers, shared.limits, masks, shared.ends, shared.ranges);
        if (threadIdx.x < 32) {
            struct iq_vector_range range = shared.ranges[threadIdx.x];
            ((uint32_t *)side)[threadIdx.x] = iq_half_bits(range.range) | (uint32_t)iq_half_bits(range.zero) << 16;
        }
    } else if (has_outliers) {
        find_beyond<is_key>(
            source, (const float *)(tables + at.lows), (const float *)(tables + at.highs), ranges, zeros, kv_heads,
            capacity, masks, histograms, shared);
    }
    float boundaries[(1 << bits) - 1];
#pragma unroll
    for (int i = 0; i < (1 << bits) - 1; i++) boundaries[i] = shared.boundaries[i];
    for (int i = threadIdx.x; i < kv_heads * IQ_D; i += threads) {
        unit_place<is_key> unit(i);
        float x[32];
        source.load(unit, x);
        uint32_t words[bits] = {};
#pragma unroll
        for (int j = 0; j < 32; j++) {
            int k = j >> 3, a = j >> 1 & 3, e = j & 1, channel = unit.head * IQ_D + unit.channel(k, a, e);
            struct iq_vector_range range;
            if (lookup == IQ_TOKEN_RANGES) range = shared.ranges[unit.token(k, a, e)];
            else range = {ranges[channel], zeros[channel]};
            iq_add_code(words, bits, 4 * k + a, e, iq_lookup_code(iq_normalized(x[j], range), boundaries, bits));
        }
        uint32_t *tile = (uint32_t *)(is_key ? place.keys_of(unit.head) : place.values_of(unit.head));
#pragma unroll
        for (int j = 0; j < bits; j++) tile[iq_lane_word(bits * unit.set + j, bits * IQ_D / 32, unit.lane)] = words[j];
    }
    if (has_outliers) store_outliers<is_key>(source, kv_heads, places, masks, side, shared);
}

extern "C" __global__ void __launch_bounds__(IQ_SEAL_CODEBOOK_THREADS, 1)
iq_seal_codebook(const __grid_constant__ struct iq_seal work) {
    extern __shared__ __align__(16) unsigned char dynamic[];
    __shared__ shared_numbers shared;
    const struct iq_seal_sequence &sequence = work.sequence[blockIdx.z];
    int step = blockIdx.y;
    if (step >= sequence.tiles) return;
    const unsigned char *raw = ring_tile(work, sequence, step);
    int number = sequence.first_tile + step;
    body_place place(sequence.body, work.page_stride, number, work.kv_heads);
    const unsigned char *tables = (const unsigned char *)sequence.normalizer;
    struct iq_tables all = iq_tables_of(
        work.lookup.table_start, work.kv_heads, IQ_D, key_lookup, value_lookup, IQ_PRE_ROTARY);
    int key_side = iq_side_of(key_lookup, work.kv_heads, work.lookup.key_capacity).byte_count;
    int value_side = iq_side_of(value_lookup, work.kv_heads, work.lookup.value_capacity).byte_count;
    unsigned char *side = place.sides(work.kv_heads, key_side + value_side);
    if (seals_keys && blockIdx.x == 0)
        seal<true, IQ_PRE_ROTARY, seals_keys ? key_lookup : IQ_TOKEN_RANGES, seals_keys ? IQ_KEY_BITS : 1>(
            raw, tables, all, work.lookup, work.kv_heads, number, place, side, dynamic, shared);
    else if (seals_values)
        seal<false, IQ_POST_ROTARY, seals_values ? value_lookup : IQ_TOKEN_RANGES, seals_values ? IQ_VALUE_BITS : 1>(
            raw + half_bytes, tables, all, work.lookup, work.kv_heads, number, place, side + key_side, dynamic, shared);
}
