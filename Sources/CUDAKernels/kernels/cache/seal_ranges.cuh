// Ranges of each token, and which elements are outliers: parts of seal_codebook.cu. One block, all KV heads of a tile.
//
// Outliers are bits of masks, one word for 32 elements, in the order that a side lists them in:
//
//     K   word [KV head][channel], bit = token           V   word [KV head][token][channel / 32], bit = channel % 32
//
// so that the element of bit b of word w of a head has index 32 w + b in its tile (SideLayout).
#ifndef SEAL_RANGES_H
#define SEAL_RANGES_H

#include "page_source.cuh"

constexpr int threads = IQ_SEAL_CODEBOOK_THREADS;
constexpr int warps = threads / 32;
constexpr int histogram_stride = 257;
constexpr unsigned whole = 0xFFFFFFFFu;

/// Exclusive sum over the threads of a block; `total`: over all. `room`: of 33 ints. Barriers before and after.
__device__ __forceinline__ int block_sum(int value, int *room, int &total) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int sum = value;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        int other = __shfl_up_sync(whole, sum, step);
        if (lane >= step) sum += other;
    }
    __syncthreads();
    if (lane == 31) room[warp] = sum;
    __syncthreads();
    if (warp == 0) {
        int own = lane < warps ? room[lane] : 0, all = own;
#pragma unroll
        for (int step = 1; step < 32; step *= 2) {
            int other = __shfl_up_sync(whole, all, step);
            if (lane >= step) all += other;
        }
        room[lane] = all - own;
        if (lane == 31) room[32] = all;
    }
    __syncthreads();
    total = room[32];
    return room[warp] + sum - value;
}

/// What of 256 counts holds the `rank`-th of all (from 1), its rank among those, and how many they are.
struct counted {
    int bin, rank, count;
};

/// A whole warp. Counts are bits `mask` of the words from bit `shift` on.
__device__ __forceinline__ counted find_rank(const uint32_t *histogram, int shift, uint32_t mask, int rank) {
    int lane = threadIdx.x & 31, own = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) own += histogram[8 * lane + i] >> shift & mask;
    int sum = own;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        int other = __shfl_up_sync(whole, sum, step);
        if (lane >= step) sum += other;
    }
    int before = sum - own;
    bool is_here = before < rank && rank <= sum;
    counted found = {0, 0, 0};
    if (is_here) {
        for (int i = 0; i < 8; i++) {
            int count = histogram[8 * lane + i] >> shift & mask;
            if (rank <= before + count) {
                found = {8 * lane + i, rank - before, count};
                break;
            }
            before += count;
        }
    }
    int source = __ffs(__ballot_sync(whole, is_here)) - 1;
    found.bin = __shfl_sync(whole, found.bin, source);
    found.rank = __shfl_sync(whole, found.rank, source);
    found.count = __shfl_sync(whole, found.count, source);
    return found;
}

/// Which elements of a token are outliers, by their place in the order of numbers and their channel of all heads: those
/// above `high` and below `low`, and of their equals the channels before `high_end` and from `low_first` to `low_end`.
struct token_limits {
    int high, low;
    int high_end, low_first, low_end;
    __device__ bool takes(int order, int channel) const {
        return order > high || order < low || (order == high && channel < high_end)
            || (order == low && channel >= low_first && channel < low_end);
    }
};

/// The channel after the `count`-th of those from `first` on that are at `order`; a whole warp.
template <class Source>
__device__ __forceinline__ int end_of_equals(
    const Source &source, int token, int channels, int order, int first, int count
) {
    int lane = threadIdx.x & 31;
    if (count == 0) return first;
    for (int start = first / 32 * 32; start < channels; start += 32) {
        int channel = start + lane;
        float x = source.value(channel / IQ_D, token, channel % IQ_D);
        unsigned found = __ballot_sync(whole, channel >= first && (int)iq_half_order(iq_half_bits(x)) == order);
        int here = __popc(found);
        if (here >= count) {
            for (; count > 1; count--) found &= found - 1;
            return start + __ffs(found);
        }
        count -= here;
    }
    return channels;
}

/// Finds the `outliers` largest and smallest elements of each token.
template <bool is_key, class Source>
__device__ __forceinline__ void find_limits(
    const Source &source, int kv_heads, int outliers, uint32_t *histograms, token_limits *limits
) {
    int channels = kv_heads * IQ_D, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    auto clear = [&] {
        for (int i = threadIdx.x; i < 32 * histogram_stride; i += threads) histograms[i] = 0;
        __syncthreads();
    };
    auto for_all = [&](auto body) {
        for (int i = threadIdx.x; i < channels; i += threads) {
            unit_place<is_key> unit(i);
            float x[32];
            source.load(unit, x);
#pragma unroll
            for (int j = 0; j < 32; j++)
                body(unit.token(j >> 3, j >> 1 & 3, j & 1), iq_half_order(iq_half_bits(x[j])));
        }
        __syncthreads();
    };
    // The upper eight bits of the two limits, then the lower eight.
    clear();
    for_all([&](int token, uint32_t order) { atomicAdd(histograms + token * histogram_stride + (order >> 8), 1u); });
    counted highs[32 / warps], lows[32 / warps];
#pragma unroll
    for (int i = 0; i < 32 / warps; i++) {
        int token = warp + i * warps;
        highs[i] = find_rank(histograms + token * histogram_stride, 0, whole, channels - outliers + 1);
        lows[i] = find_rank(histograms + token * histogram_stride, 0, whole, outliers);
        if (lane == 0) {
            limits[token].high = highs[i].bin;
            limits[token].low = lows[i].bin;
        }
    }
    __syncthreads();
    clear();
    for_all([&](int token, uint32_t order) {
        uint32_t *own = histograms + token * histogram_stride + (order & 255);
        uint32_t count = ((int)(order >> 8) == limits[token].high) + ((int)(order >> 8) == limits[token].low) * 0x10000u;
        if (count) atomicAdd(own, count);
    });
#pragma unroll
    for (int i = 0; i < 32 / warps; i++) {
        int token = warp + i * warps;
        counted high = find_rank(histograms + token * histogram_stride, 0, 0xFFFF, highs[i].rank);
        counted low = find_rank(histograms + token * histogram_stride, 16, 0xFFFF, lows[i].rank);
        token_limits found;
        found.high = highs[i].bin << 8 | high.bin;
        found.low = lows[i].bin << 8 | low.bin;
        // Of equals at a limit, those of lower channels; below after those above, where all are equal.
        int taken = high.count - high.rank + 1;
        found.high_end = channels;
        found.low_first = 0;
        found.low_end = channels;
        if (taken < high.count) found.high_end = end_of_equals(source, token, channels, found.high, 0, taken);
        if (found.high == found.low) found.low_first = found.high_end;
        if (low.rank < low.count || found.low_first > 0)
            found.low_end = end_of_equals(source, token, channels, found.low, found.low_first, low.rank);
        if (lane == 0) limits[token] = found;
    }
    __syncthreads();
}

/// Marks what lies beyond the limits of its token, and finds the range of the rest.
/// - ends: 64 words, smallest and largest place in the order of each token.
template <bool is_key, class Source>
__device__ __forceinline__ void find_ranges(
    const Source &source, int kv_heads, bool has_outliers, const token_limits *limits, uint32_t *masks, uint32_t *ends,
    struct iq_vector_range *ranges
) {
    constexpr int slots = is_key ? 4 : 8;
    int channels = kv_heads * IQ_D, lane = threadIdx.x & 31;
    if (threadIdx.x < 32) {
        ends[2 * threadIdx.x] = whole;
        ends[2 * threadIdx.x + 1] = 0;
    }
    __syncthreads();
    uint32_t low[slots], high[slots];
#pragma unroll
    for (int i = 0; i < slots; i++) {
        low[i] = whole;
        high[i] = 0;
    }
    for (int i = threadIdx.x; i < channels; i += threads) {
        unit_place<is_key> unit(i);
        float x[32];
        source.load(unit, x);
#pragma unroll
        for (int j = 0; j < 32; j++) {
            int k = j >> 3, a = j >> 1 & 3, e = j & 1, slot = unit.slot(k, a, e);
            int token = unit.token(k, a, e), channel = unit.channel(k, a, e);
            uint32_t order = iq_half_order(iq_half_bits(x[j]));
            if (has_outliers && limits[token].takes(order, unit.head * IQ_D + channel)) {
                int index = is_key ? channel * 32 + token : token * IQ_D + channel;
                atomicOr(masks + unit.head * IQ_D + (index >> 5), 1u << (index & 31));
            } else {
                low[slot] = min(low[slot], order);
                high[slot] = max(high[slot], order);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < slots; i++) {
#pragma unroll
        for (int step = is_key ? 1 : 4; step < (is_key ? 4 : 32); step *= 2) {
            low[i] = min(low[i], __shfl_xor_sync(whole, low[i], step));
            high[i] = max(high[i], __shfl_xor_sync(whole, high[i], step));
        }
        if (is_key ? (lane & 3) == 0 : lane < 4) {
            int token = is_key ? lane + i : 8 * lane + i;
            atomicMin(ends + 2 * token, low[i]);
            atomicMax(ends + 2 * token + 1, high[i]);
        }
    }
    __syncthreads();
    if (threadIdx.x < 32) {
        int token = threadIdx.x;
        float least = 0, most = 0;
        if (ends[2 * token] <= ends[2 * token + 1]) {
            least = iq_half_of_order(ends[2 * token]);
            most = iq_half_of_order(ends[2 * token + 1]);
            if (least == 0 && most == 0) {
                // All of the rest are zeros: the first of the smallest and the last of the largest have signs.
                auto is_rest = [&](int channel) {
                    return !has_outliers || !limits[token].takes(
                        iq_half_order(iq_half_bits(source.value(channel / IQ_D, token, channel % IQ_D))), channel);
                };
                int first = 0, last = channels - 1;
                while (first < last && !is_rest(first)) first++;
                while (last > first && !is_rest(last)) last--;
                least = source.value(first / IQ_D, token, first % IQ_D);
                most = source.value(last / IQ_D, token, last % IQ_D);
            }
        }
        ranges[token] = iq_vector_range_of(least, most);
    }
    __syncthreads();
}

#endif
