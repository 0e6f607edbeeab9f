// Partials of warps, then of blocks, to the attention of a problem.
//
// A record of a problem and split holds, for each head, d + 4 floats: weighted values, maximum, sum, two unused. All bits
// of a record are set when no launch is running. Blocks that are resident together wait for each other's words to
// change ("LL": no fence, no atomic), and whoever reads a word sets its bits again; exactly one warp reads a word. Where
// blocks may run one after the other the last one that is done merges.
#pragma once
#include "decode_shape.cuh"

#define IQ_UNWRITTEN 0xFFFFFFFFu
/// About a second: a wait that long means that a launch was broken off.
#define IQ_MOST_POLLS (1 << 21)

__device__ __forceinline__ float4 read_volatile(const float *from) {
    float4 x;
    asm volatile("ld.volatile.global.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w) : "l"(from));
    return x;
}
__device__ __forceinline__ bool is_unwritten(float x) { return __float_as_uint(x) == IQ_UNWRITTEN; }
__device__ __forceinline__ bool is_written(float4 x) {
    return !is_unwritten(x.x) && !is_unwritten(x.y) && !is_unwritten(x.z) && !is_unwritten(x.w);
}

/// A warp's share of the records of one head, `first`, `first` + step and so on, merged into shared memory: weighted
/// values, then maximum and sum. Words that are not there yet are asked for together, again and again.
__device__ __forceinline__ void gather_records(
    float *record, int record_floats, int splits, int first, int step, float *values, float2 *sums, int *gave_up,
    int lane) {
    constexpr int batch = 2;
    constexpr int wide = (shape::d + 127) / 128;
    const bool has = lane < shape::d / 4;
    const float unwritten = __uint_as_float(IQ_UNWRITTEN);
    const float4 none{unwritten, unwritten, unwritten, unwritten};
    float largest = IQ_LOWEST, total = 0;
    float4 sum[wide] = {};
#pragma unroll 1
    for (int start = first; start < splits; start += batch * step) {
        float4 ml[batch], x[batch][wide];
        float *from[batch];
#pragma unroll
        for (int i = 0; i < batch; i++) {
            const bool exists = start + i * step < splits;
            from[i] = record + uint64_t(start + i * step) * record_floats;
            ml[i] = exists ? none : float4{IQ_LOWEST, 0, 0, 0};
#pragma unroll
            for (int w = 0; w < wide; w++) x[i][w] = exists && has ? none : float4{0, 0, 0, 0};
        }
        int polls = 0;
        bool waits = true;
#pragma unroll 1
        while (waits && ++polls < IQ_MOST_POLLS) {
            waits = false;
#pragma unroll
            for (int i = 0; i < batch; i++) {
                if (!is_written(ml[i])) ml[i] = read_volatile(from[i] + shape::d);
#pragma unroll
                for (int w = 0; w < wide; w++)
                    if (!is_written(x[i][w])) x[i][w] = read_volatile(from[i] + (w * 32 + lane) * 4);
            }
#pragma unroll
            for (int i = 0; i < batch; i++) {
                waits |= !is_written(ml[i]);
#pragma unroll
                for (int w = 0; w < wide; w++) waits |= !is_written(x[i][w]);
            }
        }
        if (waits) atomicExch(gave_up, 1);
        // All lanes have read maximum and sum before lane 0 takes them away.
        __syncwarp();
#pragma unroll
        for (int i = 0; i < batch; i++) {
            if (start + i * step < splits) {
                if (lane == 0) *(float4 *)(from[i] + shape::d) = none;
#pragma unroll
                for (int w = 0; w < wide; w++)
                    if (has) *(float4 *)(from[i] + (w * 32 + lane) * 4) = none;
            }
            const float maximum = fmaxf(largest, ml[i].x);
            const float old = exp2_fast(largest - maximum), factor = exp2_fast(ml[i].x - maximum);
            total = total * old + ml[i].y * factor;
            largest = maximum;
#pragma unroll
            for (int w = 0; w < wide; w++) {
                sum[w].x = sum[w].x * old + x[i][w].x * factor;
                sum[w].y = sum[w].y * old + x[i][w].y * factor;
                sum[w].z = sum[w].z * old + x[i][w].z * factor;
                sum[w].w = sum[w].w * old + x[i][w].w * factor;
            }
        }
    }
    if (lane == 0) *sums = float2{largest, total};
#pragma unroll
    for (int w = 0; w < wide; w++)
        if (has) *(float4 *)(values + (w * 32 + lane) * 4) = sum[w];
}

/// The whole block merges the records of one head and writes its output.
__device__ __forceinline__ void merge_records(
    float *record, int record_floats, int splits, float *output, int *gave_up, char *memory, int warp, int lane) {
    float *values = (float *)(memory + shape::partials_end);
    float2 *sums = (float2 *)(values + IQ_WARPS * shape::d);
    gather_records(record, record_floats, splits, warp, IQ_WARPS, values + warp * shape::d, sums + warp, gave_up, lane);
    __syncthreads();
    for (int at = threadIdx.x; at < shape::d; at += IQ_WARPS * 32) {
        float2 ml[IQ_WARPS];
        float x[IQ_WARPS], largest = IQ_LOWEST, total = 0, sum = 0;
#pragma unroll
        for (int w = 0; w < IQ_WARPS; w++) {
            ml[w] = sums[w];
            x[w] = values[w * shape::d + at];
            largest = fmaxf(largest, ml[w].x);
        }
#pragma unroll
        for (int w = 0; w < IQ_WARPS; w++) {
            const float factor = exp2_fast(ml[w].x - largest);
            total += factor * ml[w].y;
            sum += factor * x[w];
        }
        output[at] = total > 0 ? sum / total : 0;
    }
}

/// A warp's partial to shared memory: [head][merge_stride], with (maximum, sum) of each head behind.
__device__ __forceinline__ void store_partial(Partials &state, float *values, float2 *sums, int lane) {
    const int g = lane >> 2, c = lane & 3;
#pragma unroll
    for (int set = 0; set < shape::sets; set++) state.l[set] = column_sum(state.l[set]);
    if constexpr (shape::group_zeros || shape::common_zeros) {
#pragma unroll
        for (int set = 0; set < shape::sets; set++)
#pragma unroll
            for (int i = 0; i < shape::groups; i++) {
                const float zero = column_sum(state.zeros[set][shape::common_zeros ? 0 : i]);
#pragma unroll
                for (int k = 0; k < 4; k++) state.acc[set][2 * i + (k >> 1)][k & 1] += zero;
            }
    }
    if constexpr (shape::single) {
        float largest = fmaxf(state.m[0], __shfl_xor_sync(0xFFFFFFFFu, state.m[0], 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, 2));
        const float factor = exp2_fast(state.m[0] - largest);
        float l = state.l[0] * factor;
        l += __shfl_xor_sync(0xFFFFFFFFu, l, 1);
        l += __shfl_xor_sync(0xFFFFFFFFu, l, 2);
        if (lane == 0) sums[0] = float2{largest, l};
        // Sum over the quad; each lane ends with a quarter of the channels.
        constexpr int all = 2 * shape::channel_tiles;
        const bool upper = c & 2, odd = c & 1;
        float half[all / 2];
#pragma unroll
        for (int i = 0; i < all / 2; i++) {
            const float low = state.acc[0][i / 2][i % 2] * factor;
            const float high = state.acc[0][(i + all / 2) / 2][(i + all / 2) % 2] * factor;
            half[i] = (upper ? high : low) + __shfl_xor_sync(0xFFFFFFFFu, upper ? low : high, 2);
        }
#pragma unroll
        for (int i = 0; i < all / 4; i++) {
            const float low = half[i], high = half[i + all / 4];
            const float x = (odd ? high : low) + __shfl_xor_sync(0xFFFFFFFFu, odd ? low : high, 1);
            const int at = i + (odd ? all / 4 : 0) + (upper ? all / 2 : 0);
            values[8 * at + g] = x;
        }
    } else {
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            const int head = 4 * set + c;
            if (g == 0) sums[head] = float2{state.m[set], state.l[set]};
#pragma unroll
            for (int m = 0; m < shape::channel_tiles; m++)
#pragma unroll
                for (int h = 0; h < 2; h++)
                    values[head * shape::merge_stride + 16 * m + 8 * h + g] = state.acc[set][m][h];
        }
    }
}

/// Ends a block: merges its warps, then, where a problem has several blocks, those.
__device__ __forceinline__ void merge_block(
    Partials &state, char *memory, const iq_decode &p, const iq_sequence &s, int index, int problem, bool exists,
    int first_head, int heads, int split, int warp, int lane) {
    constexpr int warp_floats = shape::partial_stride;
    float *values = (float *)(memory + shape::partial_begin);
    float2 *sums = (float2 *)(memory + shape::sums_begin);
    store_partial(state, values + warp * warp_floats, sums + warp * shape::merge_heads, lane);
    __syncthreads();

    const int warps = 1 << s.warps_log2;
    const int first_warp = warp & ~(warps - 1);
    float *output = (float *)p.output + (uint64_t(index) * p.query_heads + first_head) * shape::d;
    const int record_floats = IQ_HEADS * (shape::d + 4);
    float *records = (float *)p.partials + uint64_t(s.first_partial + problem * s.splits) * record_floats;
    const bool is_whole = s.splits == 1;
    constexpr int pairs = shape::d / 2;
#pragma unroll 1
    for (int unit = (warp - first_warp) * 32 + lane; exists && unit < heads * pairs; unit += warps * 32) {
        const int head = unit / pairs, at = head * shape::merge_stride + 2 * (unit % pairs);
        // Warps of other problems count nothing; their partials are numbers all the same.
        float2 ml[IQ_WARPS], x[IQ_WARPS];
        float largest = IQ_LOWEST;
#pragma unroll
        for (int w = 0; w < IQ_WARPS; w++) {
            ml[w] = sums[w * shape::merge_heads + head];
            x[w] = *(const float2 *)(values + w * warp_floats + at);
            if ((w & ~(warps - 1)) != first_warp) ml[w].x = 2 * IQ_LOWEST;
            largest = fmaxf(largest, ml[w].x);
        }
        float total = 0;
        float2 sum{0, 0};
#pragma unroll
        for (int w = 0; w < IQ_WARPS; w++) {
            const float factor = exp2_fast(ml[w].x - largest);
            total += factor * ml[w].y;
            sum.x += factor * x[w].x;
            sum.y += factor * x[w].y;
        }
        if (is_whole) {
            const float inverse = total > 0 ? 1 / total : 0;
            *(float2 *)(output + head * shape::d + 2 * (unit % pairs)) = float2{sum.x * inverse, sum.y * inverse};
        } else {
            float *to = records + uint64_t(split) * record_floats + head * (shape::d + 4);
            __stcg((float2 *)(to + 2 * (unit % pairs)), sum);
            if (unit % pairs == 0) __stcg((float4 *)(to + shape::d), float4{largest, total, 0, 0});
        }
    }
    if (is_whole) return;

    int *counters = (int *)p.counters;
    if (p.polls) {
        // Block splits − 1 − r merges heads r, r + splits, …
#pragma unroll 1
        for (int head = s.splits - 1 - split; head < heads; head += s.splits) {
            merge_records(records + head * (shape::d + 4), record_floats, s.splits, output + head * shape::d, counters,
                          memory, warp, lane);
            if (head + s.splits < heads) __syncthreads();
        }
        return;
    }
    __shared__ int is_last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        int *counter = counters + 1 + s.first_partial + problem;
        is_last = atomicAdd(counter, 1) == s.splits - 1;
        if (is_last) *counter = 0;
    }
    __syncthreads();
    if (!is_last) return;
    __threadfence();
#pragma unroll 1
    for (int head = 0; head < heads; head++) {
        merge_records(records + head * (shape::d + 4), record_floats, s.splits, output + head * shape::d, counters, memory,
                      warp, lane);
        __syncthreads();
    }
}
