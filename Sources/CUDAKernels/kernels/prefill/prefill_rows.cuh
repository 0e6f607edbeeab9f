// What the prompt attention kernels have in common: rows of queries in, rows of outputs out, the arithmetic of weights.
// Included by them after IQ_HEAD_SIZE is defined.
//
// Weights are float16: 2^7 · exp(score − reference), at most 2^15. The reference of a row follows its maximum only when
// that has grown by 2^8, so that outputs are rarely rescaled, and weights far below the maximum keep their precision.
#include "iq_device_prefill.h"

namespace {

constexpr int headSize = IQ_HEAD_SIZE;

// Log2 of the weight at the reference, and growth of the maximum that moves the reference.
constexpr float weightShift = 7.0f;
constexpr float growth = 8.0f;
constexpr float nothingSeen = -1e30f;
constexpr float log2e = 1.44269504f;
#define minusInfinity __int_as_float(0xff800000)

__device__ __forceinline__ float exp2Fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ unsigned packHalves(float low, float high) {
    unsigned r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

// Rows first ..< first + rows of queries into shared memory as float16; rows from `end` on repeat the last one.
// Done by `threads` threads together; `place(row, chunk)`: address of 8 channels of a row, counted from `first`.
template <int rows, int threads, typename Place>
__device__ __forceinline__ void loadQueries(
    const struct iq_prefill &p, int kvHead, int ratio, int first, int end, int thread, Place place
) {
    constexpr int perRow = headSize / 8;
    constexpr int steps = rows * perRow / threads, batch = steps % 4 == 0 ? 4 : 2;   // loads on their way together
    static_assert(rows * perRow % threads == 0 && steps % batch == 0, "");
#pragma unroll 1
    for (int step = 0; step < steps; step += batch) {
        unsigned halves[batch][4];
#pragma unroll
        for (int i = 0; i < batch; ++i) {
            const int index = thread + (step + i) * threads, chunk = index % perRow;
            const int row = min(first + index / perRow, end - 1);
            const long long element =
                (long long)(row / ratio) * p.query_stride + (kvHead * ratio + row % ratio) * headSize + 8 * chunk;
#ifdef IQ_QUERY_HALF
            uint4 x = *reinterpret_cast<const uint4 *>(p.queries + 2 * element);
            halves[i][0] = x.x, halves[i][1] = x.y, halves[i][2] = x.z, halves[i][3] = x.w;
#else
            const float4 *source = reinterpret_cast<const float4 *>(p.queries + 4 * element);
            float4 x = source[0], y = source[1];
            halves[i][0] = packHalves(x.x, x.y), halves[i][1] = packHalves(x.z, x.w);
            halves[i][2] = packHalves(y.x, y.y), halves[i][3] = packHalves(y.z, y.w);
#endif
        }
#pragma unroll
        for (int i = 0; i < batch; ++i) {
            const int index = thread + (step + i) * threads;
            asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(place(index / perRow, index % perRow)),
                         "r"(halves[i][0]), "r"(halves[i][1]), "r"(halves[i][2]), "r"(halves[i][3])
                         : "memory");
        }
    }
}

// Normalizes one row of a lane's outputs, merges the initial partial and writes.
// `row` counts (query, head) of all heads; `o`: this row's two values of every 8 channels.
__device__ __forceinline__ void writeRow(
    const struct iq_prefill &p, long long row, float reference, float sum, float (&o)[headSize / 8][4],
    int half
) {
    int column = 2 * (threadIdx.x & 3);
    float m = sum > 0 ? reference * p.scale : minusInfinity;
    float mine = sum > 0 ? 1 / sum : 0;                       // factors of this and of the initial output
    float theirs = 0;
    sum *= 0x1p-7f;                                           // 2^−weightShift
    if (p.initial) {
        float2 s = reinterpret_cast<const float2 *>(p.initial_statistics)[row];
        if (s.y > 0) {
            float both = fmaxf(m, s.x);
            float a = sum > 0 ? sum * exp2Fast((m - both) * log2e) : 0;
            float b = s.y * exp2Fast((s.x - both) * log2e);
            mine *= a / (a + b);
            theirs = b / (a + b);
            m = both;
            sum = a + b;
        }
    }
    float2 *output = reinterpret_cast<float2 *>(p.output) + (row * headSize + column) / 2;
    const float2 *initial = reinterpret_cast<const float2 *>(p.initial) + (row * headSize + column) / 2;
#pragma unroll
    for (int n = 0; n < headSize / 8; ++n) {
        float2 value = {o[n][half] * mine, o[n][half + 1] * mine};
        if (theirs != 0) {
            float2 before = initial[4 * n];
            value.x += theirs * before.x;
            value.y += theirs * before.y;
        }
        output[4 * n] = value;
    }
    // The initial statistics may lie where these go: every lane of the row has read them first.
    __syncwarp(0xFu << (threadIdx.x & 28));
    if (p.statistics && column == 0)
        reinterpret_cast<float2 *>(p.statistics)[row] = {m, sum};
}

}  // namespace
