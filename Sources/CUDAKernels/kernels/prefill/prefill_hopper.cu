// Float16 attention of prompts on Hopper (sm_90a): prefill.cu's arithmetic with asynchronous tensor cores.
//
// A block is 12 warps and takes 128 rows of one KV head; a row is (query, head of the group), as in prefill.cu.
//
//     warps 0–3     copy: two copy K, two copy V, two tiles ahead
//     warps 4–7     rows 0–63        scores of tile n + 1 are multiplied while the weights of tile n times V are, and
//     warps 8–11    rows 64–127      the softmax of one tile runs under the second product of the one before
//
//     shared    Q [panel][128 rows][64]    K, V [stage][panel][keys][64]    float16; a panel is 64 channels
//               16-byte chunk c of row r of a panel lies at chunk c ^ (r & 7): the tensor cores' 128-byte swizzle
//     wgmma     scores: Q (shared) · K (shared)      output: weights (registers) · V (shared, channels contiguous)
//     barriers  full and empty of K and V, two stages each
//
// Weights, references and partials: prefill_rows.cuh. Tiles of 128 keys; 64 for head size 256.
//
// Measured on an H200, 2026-11-21, float32 queries, causal, TFLOP/s:      tokens    2048    8192   32768
//     head size 128, 32 heads, 8 KV heads (32)                                     416     560     549   (344 495 512)
//     head size 64, 32 heads, 8 KV heads                                           215     345     350
// Warp groups taking turns at the tensor cores (named barriers): no faster at 128, 3 to 8 % at 64 (one run); not done.
//
// Macros: IQ_HEAD_SIZE 64, 96, 128 or 256; IQ_QUERY_HALF for float16 queries.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)
#include "prefill_rows.cuh"
#include "hopper.cuh"

namespace {

constexpr int panels = (headSize + 63) / 64;
constexpr int tileKeys = headSize <= 128 ? 128 : 64;
constexpr int blockRows = 128;
constexpr int queryPanelBytes = blockRows * 128, tilePanelBytes = tileKeys * 128;
constexpr int tileBytes = panels * tilePanelBytes;

// Copies tiles of K, or of V, as 64 threads. `base`: element 0 of the KV head.
__device__ __forceinline__ void copyTiles(
    const char *base, int stride, int firstTile, int endTile, int keyCount, unsigned shared, unsigned full,
    unsigned empty
) {
    const int row = (threadIdx.x & 63) >> 3, chunk = threadIdx.x & 7;
    shared += row * 128 + 16 * (chunk ^ row);
    for (int tile = firstTile; tile < endTile; ++tile) {
        const int stage = (tile - firstTile) & 1, use = (tile - firstTile) >> 1;
        awaitBarrier(empty + 8 * stage, (use & 1) ^ 1);
        const unsigned target = shared + stage * tileBytes;
        const char *source = base + 2 * ((long long)(tile * tileKeys + row) * stride) + 16 * chunk;
        const int left = keyCount - tile * tileKeys - row;
#pragma unroll 4
        for (int j = 0; j < tileKeys; j += 8) {
            const int bytes = j < left ? 16 : 0;
#pragma unroll
            for (int panel = 0; panel < panels; ++panel)
                if (8 * panel + chunk < headSize / 8)
                    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                                     target + panel * tilePanelBytes + j * 128),
                                 "l"(source + panel * 128), "r"(bytes)
                                 : "memory");
            source += 16 * (long long)stride;
        }
        asm volatile("cp.async.wait_all;" ::: "memory");
        fenceWrites();
        arrive(full + 8 * stage);
    }
}

// A row group's state: two rows a lane, g and g + 8 of its warp's 16.
struct Rows {
    float o[headSize / 2];
    float s[tileKeys / 2];
    unsigned weights[tileKeys / 16][4];
    float reference[2], sum[2], less[2];
    bool grown;

    __device__ __forceinline__ void beginScores(unsigned q, unsigned k) {
#pragma unroll
        for (int c = 0; c < headSize / 16; ++c) {
            const int panel = c / 4, offset = 32 * (c % 4);
            multiplyKeys(s, matrix(q + panel * queryPanelBytes + offset, 16),
                         matrix(k + panel * tilePanelBytes + offset, 16), c > 0);
        }
        commitProducts();
    }

    __device__ __forceinline__ void beginOutput(unsigned v) {
#pragma unroll
        for (int k = 0; k < tileKeys / 16; ++k)
            multiplyValues(o, weights[k], matrix(v + k * 2048, tilePanelBytes));
        commitProducts();
    }

    // Keys before `first` and from `end` on, counted from this lane's first, are not seen.
    __device__ __forceinline__ void mask(int half, int first, int end) {
#pragma unroll
        for (int n = 0; n < tileKeys / 8; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i)
                if (8 * n + i >= end || 8 * n + i < first) s[4 * n + 2 * half + i] = minusInfinity;
    }

    // Scores become weights in float32; outputs are to be multiplied by `less` if `grown`.
    __device__ __forceinline__ void weigh(float factor) {
        float maximum[2];
        grown = false;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            float x = fmaxf(s[2 * h], s[2 * h + 1]);
#pragma unroll
            for (int n = 1; n < tileKeys / 8; ++n) x = fmaxf(x, fmaxf(s[4 * n + 2 * h], s[4 * n + 2 * h + 1]));
            x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
            x = fmaxf(x, __shfl_xor_sync(~0u, x, 2));
            maximum[h] = x;
            grown |= (x - reference[h]) * factor > growth;
        }
        grown = __any_sync(~0u, grown);
        if (grown) {
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                float next = fmaxf(reference[h], maximum[h]);
                less[h] = exp2Fast((reference[h] - next) * factor);
                reference[h] = next;
                sum[h] *= less[h];
            }
        }
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const float shift = weightShift - reference[h] * factor;
            float total[2] = {0, 0};
#pragma unroll
            for (int n = 0; n < tileKeys / 8; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float &x = s[4 * n + 2 * h + i];
                    x = exp2Fast(x * factor + shift);
                    total[i] += x;
                }
            sum[h] += total[0] + total[1];
        }
    }

    // These to be called when no product uses outputs or weights.
    __device__ __forceinline__ void rescale() {
#pragma unroll
        for (int i = 0; i < headSize / 2; ++i) o[i] *= less[(i >> 1) & 1];
    }
    __device__ __forceinline__ void takeWeights() {
#pragma unroll
        for (int k = 0; k < tileKeys / 16; ++k)
#pragma unroll
            for (int i = 0; i < 4; ++i) weights[k][i] = packHalves(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
    }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(IQ_PREFILL_HOPPER_THREADS, 1)
iq_prefill_attention_hopper(const __grid_constant__ struct iq_prefill p) {
    extern __shared__ __align__(1024) unsigned char memory[];
    const unsigned sharedQ = (unsigned)__cvta_generic_to_shared(memory);
    const unsigned sharedK = sharedQ + panels * queryPanelBytes;
    const unsigned sharedV = sharedK + 2 * tileBytes;
    const unsigned fullK = sharedV + 2 * tileBytes, emptyK = fullK + 16, fullV = fullK + 32, emptyV = fullK + 48;

    // Blocks of late rows see most keys: they go first. KV heads are neighbours, so that blocks running together read
    // the same keys.
    const int kvHead = blockIdx.x % p.kv_heads;
    const int rowBlock = gridDim.x / p.kv_heads - 1 - blockIdx.x / p.kv_heads;
    const int ratio = p.query_heads / p.kv_heads;
    const int rowCount = p.count * ratio;
    const int firstRow = rowBlock * blockRows;

    // Keys that the block's rows see: first ..< end; every row of the block: common….
    const int lastRow = min(firstRow + blockRows, rowCount) - 1;
    const int firstKey = p.window ? max(0, firstRow / ratio + p.offset - p.window + 1) : 0;
    const int endKey = min(p.key_count, lastRow / ratio + p.offset + 1);
    const int commonEnd = min(p.key_count, firstRow / ratio + p.offset + 1);
    const int commonFirst = p.window ? lastRow / ratio + p.offset - p.window + 1 : 0;
    const int firstTile = firstKey / tileKeys;
    const int endTile = endKey > firstKey ? (endKey + tileKeys - 1) / tileKeys : firstTile;

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < 2; ++stage) {
            initBarrier(fullK + 8 * stage, 64);       // copying threads
            initBarrier(fullV + 8 * stage, 64);
            initBarrier(emptyK + 8 * stage, 8);       // multiplying warps
            initBarrier(emptyV + 8 * stage, 8);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();

    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x < 64)
            copyTiles(reinterpret_cast<const char *>(p.keys) + 2LL * kvHead * p.key_head_stride, p.key_stride,
                      firstTile, endTile, p.key_count, sharedK, fullK, emptyK);
        else
            copyTiles(reinterpret_cast<const char *>(p.values) + 2LL * kvHead * p.value_head_stride,
                      p.value_stride, firstTile, endTile, p.key_count, sharedV, fullV, emptyV);
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");

    const int group = threadIdx.x / 128 - 1, lane = threadIdx.x & 31;
    const unsigned groupQ = sharedQ + group * 64 * 128;
    loadQueries<64, 128>(
        p, kvHead, ratio, min(firstRow + 64 * group, rowCount - 1), rowCount, threadIdx.x & 127,
        [=](int row, int chunk) {
            return groupQ + (chunk >> 3) * queryPanelBytes + row * 128 + 16 * ((chunk ^ row) & 7);
        });
    fenceWrites();
    asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");

    const int laneRow = firstRow + 64 * group + 16 * ((threadIdx.x >> 5) & 3) + (lane >> 2);
    const float factor = p.scale * log2e;
    Rows rows;
#pragma unroll
    for (int i = 0; i < headSize / 2; ++i) rows.o[i] = 0;
    rows.reference[0] = rows.reference[1] = nothingSeen;
    rows.sum[0] = rows.sum[1] = 0;

    auto softmax = [&](int tile) {
        const int tileKey = tile * tileKeys;
        if (tileKey + tileKeys > commonEnd || tileKey < commonFirst) {
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const int position = (laneRow + 8 * h) / ratio + p.offset;
                const int lanes = tileKey + 2 * (lane & 3);
                rows.mask(h, p.window ? position - p.window + 1 - lanes : -tileKeys,
                          min(position + 1, p.key_count) - lanes);
            }
        }
        rows.weigh(factor);
    };

    if (firstTile < endTile) {
        awaitBarrier(fullK, 0);
        beginProducts();
        rows.beginScores(groupQ, sharedK);
        awaitProducts<0>();
        settle(rows.s);
        if (lane == 0) arrive(emptyK);
        softmax(firstTile);
        rows.takeWeights();
        for (int tile = firstTile + 1; tile < endTile; ++tile) {
            const int n = tile - firstTile, stage = n & 1, before = stage ^ 1;
            awaitBarrier(fullK + 8 * stage, (n >> 1) & 1);
            beginProducts();
            rows.beginScores(groupQ, sharedK + stage * tileBytes);
            awaitBarrier(fullV + 8 * before, ((n - 1) >> 1) & 1);
            beginProducts();
            rows.beginOutput(sharedV + before * tileBytes);
            awaitProducts<1>();
            settle(rows.s);
            if (lane == 0) arrive(emptyK + 8 * stage);
            softmax(tile);
            settle(rows.s);
            // Written twice, so that the assembler cannot move the wait up: softmax is to run under the product with V.
            if (rows.grown) {
                awaitProducts<0>();
                settle(rows.o);
                rows.rescale();
            } else {
                awaitProducts<0>();
                settle(rows.o);
            }
            if (lane == 0) arrive(emptyV + 8 * before);
            rows.takeWeights();
        }
        const int n = endTile - 1 - firstTile;
        awaitBarrier(fullV + 8 * (n & 1), (n >> 1) & 1);
        beginProducts();
        rows.beginOutput(sharedV + (n & 1) * tileBytes);
        awaitProducts<0>();
        settle(rows.o);
    }

#pragma unroll
    for (int h = 0; h < 2; ++h) {
        float total = rows.sum[h];
        total += __shfl_xor_sync(~0u, total, 1);
        total += __shfl_xor_sync(~0u, total, 2);
        const int row = laneRow + 8 * h;
        if (row < rowCount)
            writeRow(p, (long long)(row / ratio) * p.query_heads + kvHead * ratio + row % ratio,
                     rows.reference[h], total, reinterpret_cast<float(&)[headSize / 8][4]>(rows.o), 2 * h);
    }
}
#endif
