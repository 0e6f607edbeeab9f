// Decode attention: one new token of each sequence over the sink, body and recent tiles of its cache, in one launch.
//
// A problem is one sequence, KV head and chunk of its query heads. Its tiles are cut among blocks (or among some warps of
// one); each warp streams the tiles that it takes through its own slots (ring.cuh) and keeps a float32 partial (maximum,
// sum, weighted values). A block merges its warps' partials; blocks of one problem merge theirs (merge.cuh).
//
// Integer tiles (tile_integer.cuh): both products exact in int32 with one scale a group. Half tiles (tile_half.cuh):
// float16 operands, queries and weights as a sum of two float16 numbers. With one query head, the eight columns of the
// tensor cores hold four groups or four tiles instead of four heads ("single").
//
// Bytes read are those of the tiles: at head size 128 and 3.5 bits 3,584 for 32 tokens of K and V of a KV head. On an H200
// (2026-11-21, batch 1, share of what plain reads reach at 32,768 / 131,072 tokens): 32 KV heads, 3.5 bits 85 / 96 %,
// float16 99 / 101 %; 8 KV heads for 32 query heads, 55 / 83 %, float16 89 / 98 %. docs/performance.md has all figures.
//
// Specialised by: IQ_HEAD_SIZE; IQ_KEY_KIND, _BITS, _BIAS, _ZEROS; IQ_VALUE_KIND, _BITS, _BIAS, _MODE (0 symmetric,
// 1 asymmetric, 2 hybrid); IQ_NORMALIZED, keys have a normalizer; IQ_HEADS, query heads of a problem at most; IQ_WARPS of
// a block; IQ_BLOCKS on one multiprocessor; IQ_SEQUENCES at most. Lookup tiles (tile_lookup.cuh) also by IQ_KEY_LOOKUP and
// IQ_VALUE_LOOKUP (enum iq_lookup), IQ_KEY_OUTLIERS and IQ_VALUE_OUTLIERS, IQ_PRE_ROTARY (enum iq_pre_rotary).
#include "iq_device_cache.h"
#include "iq_device_tile.h"
#include "ptx.cuh"
#include "expand.cuh"
#include "ring.cuh"
#include "decode_shape.cuh"
#include "items.cuh"
#include "tile_half.cuh"
#include "tile_integer.cuh"
#include "chunk_lookup.cuh"
#include "merge.cuh"

struct Parameters {
    iq_decode head;
    iq_sequence sequence[IQ_SEQUENCES];
};

/// Where the tokens of a warp's raw tiles are.
struct RawTokens {
    int sink_tiles, sink_tokens, recent_position, recent_end, visible;
};

/// One float16 tile of the sink or of recent. Returns the next item.
__device__ __forceinline__ int raw_chunk(
    Partials &state, const HalfQuery &q, const Items &items, const RawTokens &tokens, Slot &keys, Slot &values,
    uint32_t counter, int item, int lane) {
    const int tile = items.raw_first + item;
    const bool is_sink = tile < tokens.sink_tiles;
    const int first = is_sink ? tile * 32 : tokens.recent_position + (tile - tokens.sink_tiles) * 32;
    const int end = is_sink ? tokens.sink_tokens : tokens.recent_end;
    float score[shape::sets][1][4];
    keys.wait();
    {
        float sums[shape::sets][4];
        half_scores<16, 0>(q.b, keys.data, lane, sums);
#pragma unroll
        for (int set = 0; set < shape::sets; set++)
#pragma unroll
            for (int j = 0; j < 4; j++) score[set][0][j] = sums[set][j];
    }
    __syncwarp();
    const int next = items.next_keys(counter, keys, lane);
#pragma unroll
    for (int set = 0; set < shape::sets; set++) {
        if (first < tokens.visible || first + 32 > end)
            mask_tile(score[set][0], first, tokens.visible, end, lane);
        // Head 0 is in column pair 0; the others are free here.
        if (shape::single && (lane & 3))
#pragma unroll
            for (int j = 0; j < 4; j++) score[set][0][j] = IQ_ABSENT;
    }
    scores_to_weights<1>(state, score);
    float weight[shape::sets][4];
#pragma unroll
    for (int set = 0; set < shape::sets; set++)
#pragma unroll
        for (int j = 0; j < 4; j++) weight[set][j] = score[set][0][j];
    values.wait();
    half_values<16, 0, false>(state, values.data + shape::raw_values_at, lane, weight);
    __syncwarp();
    items.fetch_values(next, values, lane);
    return next;
}

/// A chunk of sealed tiles. Returns the next item.
template <class Query>
__device__ __forceinline__ int body_chunk(
    Partials &state, const Query &q, const Items &items, Slot &keys, Slot &values,
    uint32_t counter, int item, int lane, int offset, int visible) {
    const int first = items.first_tile(item), count = items.tiles(item, first);
    const int position = offset + 32 * first;
    int next;
    keys.wait();
    if constexpr (shape::single) {
        float score[4];
        single_scores(q, keys.data, count, lane, score);
        __syncwarp();
        next = items.next_keys(counter, keys, lane);
        if (position < visible) mask_tile(score, position + 32 * (lane & 3), visible, 0x7FFFFFFF, lane);
        values.wait();
        single_values(state, values.data, count, lane, score);
    } else {
#pragma unroll
        for (int at = 0; at < shape::load; at += shape::step) {
            if (at > 0 && at >= count) break;
            float score[shape::sets][shape::step][4];
#pragma unroll
            for (int n = 0; n < shape::step; n++) {
                float sums[shape::sets][4];
                if (at + n < count) q.scores(keys.data + (at + n) * shape::key_bytes, lane, sums);
#pragma unroll
                for (int set = 0; set < shape::sets; set++) {
#pragma unroll
                    for (int j = 0; j < 4; j++) score[set][n][j] = at + n < count ? sums[set][j] : IQ_ABSENT;
                    if (position + 32 * (at + n) < visible)
                        mask_tile(score[set][n], position + 32 * (at + n), visible, 0x7FFFFFFF, lane);
                }
            }
            if (at + shape::step >= shape::load || at + shape::step >= count) {
                __syncwarp();
                next = items.next_keys(counter, keys, lane);
            }
            const uint32_t value_tiles = values.data + at * shape::value_bytes;
            if constexpr (shape::integer_values) {
                if (at == 0) values.wait();
                integer_values(state, value_tiles, count - at, lane, score);
            } else {
                scores_to_weights<shape::step>(state, score);
                if (at == 0) values.wait();
#pragma unroll
                for (int n = 0; n < shape::step; n++) {
                    if (at + n >= count) break;
                    float weight[shape::sets][4];
#pragma unroll
                    for (int set = 0; set < shape::sets; set++)
#pragma unroll
                        for (int j = 0; j < 4; j++) weight[set][j] = score[set][n][j];
                    half_values<shape::value_bits, IQ_VALUE_MODE == 0 ? IQ_VALUE_BIAS : 0, IQ_VALUE_KIND == IQ_OUTER>(
                        state, value_tiles + n * shape::value_bytes, lane, weight);
                }
            }
        }
    }
    __syncwarp();
    items.fetch_values(next, values, lane);
    return next;
}

/// Queries of body keys, by kind of tile.
struct IntegerScores {
    const IntegerQuery &q;
    __device__ __forceinline__ void scores(uint32_t tile, int lane, float (&sums)[shape::sets][4]) const {
        integer_scores(q, tile, lane, sums);
    }
};
struct RawScores {
    const HalfQuery &q;
    __device__ __forceinline__ void scores(uint32_t tile, int lane, float (&sums)[shape::sets][4]) const {
        half_scores<16, 0>(q.b, tile, lane, sums);
    }
};
struct OuterScores {
    const QueryChannels &q;
    const float *query;
    int heads;
    float scale;
    __device__ __forceinline__ void scores(uint32_t tile, int lane, float (&sums)[shape::sets][4]) const {
        if constexpr (shape::d > 128) {
            // Too many registers to keep; read again for each tile.
            QueryChannels channels;
            channels.request(query, heads, lane);
            channels.multiply(scale);
            outer_scores(channels, tile, lane, sums);
        } else {
            outer_scores(q, tile, lane, sums);
        }
    }
};

extern "C" __global__ void __launch_bounds__(IQ_WARPS * 32, IQ_BLOCKS)
iq_decode_attention(const __grid_constant__ Parameters parameters) {
    extern __shared__ __align__(128) char memory[];
    const iq_decode &p = parameters.head;
    // The lines of the constant bank that the next steps read are asked for together; one after the other they cost half
    // a microsecond.
    if (IQ_SEQUENCES == 1)
        asm volatile("" ::"l"(p.queries), "r"(p.kv_heads), "r"(parameters.sequence[0].body_first));
    const int lane = threadIdx.x & 31;
    // The same in all lanes, and the compiler shall know it: addresses of barriers then need no loop over the lanes.
    const int warp = __shfl_sync(0xFFFFFFFFu, threadIdx.x >> 5, 0);

    // Which sequence, problem, split and warp of the problem this is.
    int index = 0;
    if (IQ_SEQUENCES > 1) {
        int high = p.sequences;
        while (high - index > 1) {
            const int middle = (index + high) / 2;
            if (parameters.sequence[middle].first_block <= int(blockIdx.x)) index = middle; else high = middle;
        }
    }
    const iq_sequence &s = parameters.sequence[index];
    const int block = int(blockIdx.x) - s.first_block;
    int problem, split = 0;
    if (1 << s.warps_log2 == IQ_WARPS) {
        problem = s.splits_magic ? __umulhi(block, s.splits_magic) : block;
        split = block - problem * s.splits;
    } else {
        problem = (block * IQ_WARPS + warp) >> s.warps_log2;
    }
    const int first_warp = warp & ~((1 << s.warps_log2) - 1);
    const bool exists = problem < p.kv_heads;
    const int kv_head = exists ? problem : p.kv_heads - 1, chunk = blockIdx.y;
    const int first_head = kv_head * p.ratio + chunk * IQ_HEADS;
    const int heads = min(IQ_HEADS, p.ratio - chunk * IQ_HEADS);

    // The tiles of this split: see iq_sequence.units.
    const int sink_tiles = (s.sink_tokens + 31) / 32;
    const int raw_tiles = sink_tiles + (s.recent_tokens + 31) / 32;
    const int from = split * s.units, to = from + s.units;
    const int round_up = (1 << p.raw_cost_log2) - 1;
    const int raw_first = min((from + round_up) >> p.raw_cost_log2, raw_tiles);
    const int raw_end = min((to + round_up) >> p.raw_cost_log2, raw_tiles);
    const int before = raw_tiles << p.raw_cost_log2;
    Items items;
    items.source = {s.sink, s.recent, p.raw_stride, p.page_stride, sink_tiles, s.recent_first, p.ring_tiles};
    items.raw_first = raw_first;
    items.raw_count = raw_end - raw_first;
    // Both ends are moved to the pages they lie in.
    const int page = ~(IQ_PAGE_TILES - 1);
    items.body_first = min(max((s.body_first + from - before) & page, s.body_first), s.body_end);
    items.body_end = min(max((s.body_first + to - before) & page, s.body_first), s.body_end);
    if (split == s.splits - 1) items.body_end = s.body_end;
    items.divide(s.warps_log2);
    if (!exists) items.count = items.raw_count = 0;
    items.key_plane = s.body + uint32_t(kv_head * IQ_PAGE_TILES) * uint32_t(shape::key_bytes);
    items.value_plane = s.body + uint32_t(p.kv_heads * IQ_PAGE_TILES) * uint32_t(shape::key_bytes)
        + uint32_t(kv_head * IQ_PAGE_TILES) * uint32_t(shape::value_bytes);
    items.raw_keys_at = kv_head * 2 * shape::raw_bytes;
    if constexpr (shape::has_lookup) {
        items.side_plane = s.body
            + uint32_t(p.kv_heads * IQ_PAGE_TILES) * uint32_t(shape::key_bytes + shape::value_bytes);
        items.key_side_bytes = p.key_side_bytes;
        items.side_bytes = p.key_side_bytes + p.value_side_bytes;
    }

    Slot keys, values;
    const uint32_t base = shared_address(memory);
    keys.data = base + warp * shape::warp_slots;
    values.data = keys.data + shape::key_slot;
    keys.barrier = base + shape::slots_end + warp * 16;
    values.barrier = keys.barrier + 8;
    keys.parity = values.parity = 0;
    // Items that warps have taken, one counter for each problem of the block.
    const uint32_t counter = base + shape::slots_end + IQ_WARPS * 16 + first_warp * 4;
    keys.prepare(lane);
    values.prepare(lane);
    if (warp == first_warp && lane == 0)
        asm volatile("st.shared.u32 [%0], %1;" ::"r"(counter), "r"(1 << s.warps_log2) : "memory");
#if IQ_BULK_COPIES
    if (lane == 0) asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
    __syncwarp();

    const RawTokens tokens{sink_tiles, s.sink_tokens, s.recent_position, s.recent_position + s.recent_tokens, s.visible};
    const float scale = p.scale * 1.4426950408889634f;
    const float *query = (const float *)p.queries + (uint64_t(index) * p.query_heads + first_head) * shape::d;
    Partials state;
    state.clear();

    int item = warp - first_warp;
    Lookup lookup(p, s, {base, uint32_t(warp)}, kv_head);

    // Queries are asked for before the first tile: behind megabytes of tiles they would come late. Only where the launch
    // before is still running, which writes them, body tiles go first.
    const bool overlaps = p.overlaps;
    let_next_launch_begin();
    if (overlaps && item < items.raw_count) wait_for_launch_before();
    if constexpr (shape::integer_keys) {
        IntegerQuery q;
        const float *normalizer = (const float *)s.normalizer + kv_head * shape::d;
        if (!overlaps) q.request(query, heads, normalizer, p.kv_heads * shape::d, lane);
        items.fetch_keys(item, keys, lane);
        items.fetch_values(item, values, lane);
        if (overlaps) {
            wait_for_launch_before();
            q.request(query, heads, normalizer, p.kv_heads * shape::d, lane);
        }
        lookup.build(items, item, kv_head, lane);
        __syncthreads();
        q.prepare(scale, lane);
        if (item < items.raw_count) {
            QueryChannels channels;
            HalfQuery raw;
            channels.request(query, heads, lane);
            channels.multiply(scale);
            raw.prepare(channels, lane);
#pragma unroll 1
            do item = raw_chunk(state, raw, items, tokens, keys, values, counter, item, lane);
            while (item < items.raw_count);
        }
        lookup.begin(state, items, item, lane);
#pragma unroll 1
        while (item < items.count) {
            if constexpr (shape::lookup_values) {
                IntegerScores scores{q};
                item = lookup_chunk(state, scores, lookup, items, keys, values, counter, item, lane, s.body_position, s.visible);
            } else if constexpr (shape::single)
                item = body_chunk(state, q, items, keys, values, counter, item, lane, s.body_position, s.visible);
            else
                item = body_chunk(state, IntegerScores{q}, items, keys, values, counter, item, lane, s.body_position, s.visible);
        }
    } else {
        QueryChannels channels;
        if (!overlaps) channels.request(query, heads, lane);
        items.fetch_keys(item, keys, lane);
        items.fetch_values(item, values, lane);
        if (overlaps) {
            wait_for_launch_before();
            channels.request(query, heads, lane);
        }
        BaseTurn base;
        if constexpr (IQ_PRE_ROTARY) lookup.request(base, query, heads, scale, lane);
        lookup.build(items, item, kv_head, lane);
        __syncthreads();
        channels.multiply(scale);
        if constexpr (IQ_PRE_ROTARY) base.prepare(keys.data + shape::query_at, lane);
        HalfQuery raw;
        raw.prepare(channels, lane);
#pragma unroll 1
        while (item < items.raw_count)
            item = raw_chunk(state, raw, items, tokens, keys, values, counter, item, lane);
        lookup.begin(state, items, item, lane);
        if constexpr (shape::lookup_keys) {
            LookupKeys scores(channels, base, lookup.key_levels, lookup.tables, lookup.room, kv_head, lane);
#pragma unroll 1
            while (item < items.count)
                item = lookup_chunk(state, scores, lookup, items, keys, values, counter, item, lane, s.body_position, s.visible);
        }
#pragma unroll 1
        while (item < items.count) {
            if constexpr (shape::lookup_keys) {
            } else if constexpr (shape::lookup_values && IQ_KEY_KIND == IQ_HALF) {
                RawScores scores{raw};
                item = lookup_chunk(state, scores, lookup, items, keys, values, counter, item, lane, s.body_position, s.visible);
            } else if constexpr (shape::lookup_values) {
                OuterScores scores{channels, query, heads, scale};
                item = lookup_chunk(state, scores, lookup, items, keys, values, counter, item, lane, s.body_position, s.visible);
            } else if constexpr (IQ_KEY_KIND == IQ_HALF)
                item = body_chunk(state, RawScores{raw}, items, keys, values, counter, item, lane, s.body_position, s.visible);
            else
                item = body_chunk(
                    state, OuterScores{channels, query, heads, scale}, items, keys, values, counter, item, lane,
                    s.body_position, s.visible);
        }
    }
    lookup.end(state, items, lane);
    merge_block(
        state, memory, p, s, index, kv_head * p.chunks + chunk, exists, first_head, heads, split, warp, lane);
}
