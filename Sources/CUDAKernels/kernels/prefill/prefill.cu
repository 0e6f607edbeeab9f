// Float16 attention of prompts: the softmax runs online over tiles of 64 keys, scores never leave the registers.
//
// A block is 4 warps; it takes 128 rows (64 for head size 256) of one KV head over all the keys that they see. A row is
// (query, head of the group), row = query · ratio + head, so that every ratio fills the tensor cores, and few queries
// with many heads are as cheap as many queries.
//
//     shared    Q [rows][d]    K [stage][64][d]    V [stage][64][d]      float16, 16-byte chunks swizzled by row
//     warp      32 rows (16) × 64 keys of scores, 32 (16) × d of output, float32
//     mma       m16n8k16: Q is A (ldmatrix), K is B (ldmatrix), weights are A (registers), V is B (ldmatrix.trans)
//
// Measured on an H200, 2026-11-21, float32 queries, causal, TFLOP/s:      tokens    2048    8192   32768
//     head size 128, 32 heads, 8 KV heads (32)                                     307     403     389   (276 359 363)
//     head size 64, 32 heads, 8 KV heads                                           224     312     329
//
// Macros: IQ_HEAD_SIZE 64, 96, 128 or 256; IQ_QUERY_HALF for float16 queries.
// Structs, and how to launch: iq_device_prefill.h.
#include "prefill_rows.cuh"

namespace {

constexpr int rowTiles = headSize <= 128 ? 2 : 1;        // of 16 rows, of a warp
constexpr int warpRows = 16 * rowTiles;
constexpr int blockRows = 4 * warpRows;
constexpr int tileKeys = 64;
constexpr int pitch = 2 * headSize;                      // bytes of a row in shared memory
#if IQ_HEAD_SIZE <= 64 || (IQ_HEAD_SIZE <= 128 && __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1200)
constexpr int stages = 2;
#else
constexpr int stages = 1;
#endif
constexpr int tileBytes = tileKeys * pitch;

// Swizzle: 16-byte chunk c of a row lies at chunk c ^ swizzle(row), so that 8 rows of a chunk cover all banks. Rows of
// 96 channels are 12 chunks: only the low two bits may change, and rows two apart fall on the same banks.
constexpr int swizzleMask = headSize == 96 ? 3 : 7;
__device__ __forceinline__ int swizzle(int row) {
    return headSize == 96 ? (row >> 1) & 3 : row & 7;
}

__device__ __forceinline__ void loadMatrices(unsigned (&r)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void loadMatricesTransposed(unsigned (&r)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void multiply(
    float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1
) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void copyAsync(unsigned shared, const void *global, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
__device__ __forceinline__ void awaitCopies() { asm volatile("cp.async.wait_group 0;" ::: "memory"); }

// A number whose use the compiler cannot move out of a loop: what it makes is not worth registers.
template <typename Integer> __device__ __forceinline__ Integer perTile(Integer x) {
    asm volatile("" : "+r"(x));
    return x;
}

// Address of a later chunk of a lane's row: `address` is that of chunk 0 (or 1), swizzled; rows start at multiples of 64
// bytes (128 where three bits are swizzled), so that the exclusive or touches nothing else. `chunk` is even.
__device__ __forceinline__ unsigned atChunk(unsigned address, int chunk) {
    return (address ^ (16 * (chunk & swizzleMask))) + 16 * (chunk & ~swizzleMask);
}

// Copies a tile of K or V from key `first` on; keys from `end` on become zeros. Addresses are made anew for every tile,
// for registers are scarcer than instructions. `base`: element 0 of the KV head; `stride`: elements of a token.
__device__ __forceinline__ void copyTile(
    unsigned shared, const char *base, int stride, int first, int end
) {
    constexpr int perRow = headSize == 96 ? 4 : 8;       // threads of a row
    constexpr int rows = IQ_PREFILL_THREADS / perRow;    // of one step
    int row = threadIdx.x / perRow, chunk = threadIdx.x % perRow;
    shared += row * pitch + 16 * (chunk ^ swizzle(row));
    const char *global = base + 2 * ((long long)(first + row) * stride) + 16 * chunk;
#pragma unroll
    for (int j = 0; j < tileKeys / rows; ++j) {
        int bytes = first + row + j * rows < end ? 16 : 0;
#pragma unroll
        for (int i = 0; i < headSize / 8 / perRow; ++i)
            copyAsync(shared + j * rows * pitch + 16 * i * perRow, global + 16 * i * perRow, bytes);
        global += 2 * rows * (long long)stride;
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(IQ_PREFILL_THREADS, 2)
iq_prefill_attention(const __grid_constant__ struct iq_prefill p) {
    extern __shared__ __align__(128) unsigned char memory[];
    const unsigned sharedQ = (unsigned)__cvta_generic_to_shared(memory);
    const unsigned sharedK = sharedQ + blockRows * pitch;
    const unsigned sharedV = sharedK + stages * tileBytes;

    // Blocks of late rows see most keys: they go first. KV heads are neighbours, so that blocks running together read
    // the same keys.
    const int kvHead = blockIdx.x % p.kv_heads;
    const int rowBlock = gridDim.x / p.kv_heads - 1 - blockIdx.x / p.kv_heads;
    const int ratio = p.query_heads / p.kv_heads;
    const int rowCount = p.count * ratio;
    const int firstRow = rowBlock * blockRows;
    const int lane = threadIdx.x & 31;
    const int warpRow = firstRow + (threadIdx.x >> 5) * warpRows;

    // Keys that the block's rows see: first ..< end; the warp's: … ..< warpEnd; every row of the block: common….
    const int lastRow = min(firstRow + blockRows, rowCount) - 1;
    const int firstKey = p.window ? max(0, firstRow / ratio + p.offset - p.window + 1) : 0;
    const int endKey = min(p.key_count, lastRow / ratio + p.offset + 1);
    const int warpLast = min(warpRow + warpRows, rowCount) - 1;
    const int warpEnd = warpRow < rowCount ? min(endKey, warpLast / ratio + p.offset + 1) : 0;
    const int commonEnd = min(p.key_count, firstRow / ratio + p.offset + 1);
    const int commonFirst = p.window ? lastRow / ratio + p.offset - p.window + 1 : 0;
    const int firstTile = firstKey / tileKeys;
    const int endTile = endKey > firstKey ? (endKey + tileKeys - 1) / tileKeys : firstTile;

    const char *keys = reinterpret_cast<const char *>(p.keys) + 2LL * kvHead * p.key_head_stride;
    const char *values = reinterpret_cast<const char *>(p.values) + 2LL * kvHead * p.value_head_stride;
    if (firstTile < endTile) {
        copyTile(sharedK, keys, p.key_stride, firstTile * tileKeys, p.key_count);
        if (stages == 2) copyTile(sharedV, values, p.value_stride, firstTile * tileKeys, p.key_count);
    }
    commitCopies();
    loadQueries<blockRows, IQ_PREFILL_THREADS>(
        p, kvHead, ratio, firstRow, rowCount, threadIdx.x,
        [=](int row, int chunk) { return sharedQ + row * pitch + 16 * (chunk ^ swizzle(row)); });

    // Lanes of ldmatrix: lanes 8i … 8i + 7 give the rows of matrix i. Rows of a matrix pair differ first in V and Q,
    // chunks in K, so that registers come in the order of the fragments.
    const int matrixRow = lane & 7, low = (lane >> 3) & 1, high = lane >> 4;
    const unsigned laneK = sharedK + (high * 8 + matrixRow) * pitch + 16 * (low ^ swizzle(matrixRow));
    const unsigned laneV = sharedV + (low * 8 + matrixRow) * pitch + 16 * (high ^ swizzle(matrixRow));
    const unsigned laneQ = laneV - sharedV + sharedQ + (threadIdx.x >> 5) * warpRows * pitch;

    float o[rowTiles][headSize / 8][4];
    float reference[rowTiles][2], sum[rowTiles][2];
#pragma unroll
    for (int m = 0; m < rowTiles; ++m) {
#pragma unroll
        for (int n = 0; n < headSize / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) o[m][n][i] = 0;
        reference[m][0] = reference[m][1] = nothingSeen;
        sum[m][0] = sum[m][1] = 0;
    }
    const float factor = p.scale * log2e;

    for (int tile = firstTile; tile < endTile; ++tile) {
        const int tileKey = tile * tileKeys;
        const int stage = stages == 2 ? (tile - firstTile) & 1 : 0;
        const bool sees = tileKey < warpEnd;
        awaitCopies();
        __syncthreads();
        if (stages == 2) {
            if (tile + 1 < endTile) {
                copyTile(sharedK + (stage ^ 1) * tileBytes, keys, p.key_stride, tileKey + tileKeys, p.key_count);
                copyTile(sharedV + (stage ^ 1) * tileBytes, values, p.value_stride, tileKey + tileKeys, p.key_count);
            }
        } else {
            copyTile(sharedV, values, p.value_stride, tileKey, p.key_count);
        }
        commitCopies();

        float s[rowTiles][tileKeys / 8][4];
        if (sees) {
            const unsigned tileK = perTile(laneK + stage * tileBytes), tileQ = perTile(laneQ);
#pragma unroll
            for (int m = 0; m < rowTiles; ++m)
#pragma unroll
                for (int n = 0; n < tileKeys / 8; ++n)
#pragma unroll
                    for (int i = 0; i < 4; ++i) s[m][n][i] = 0;
#pragma unroll
            for (int k = 0; k < headSize / 16; ++k) {
                unsigned q[rowTiles][4];
#pragma unroll
                for (int m = 0; m < rowTiles; ++m)
                    loadMatrices(q[m], atChunk(tileQ, 2 * k) + m * 16 * pitch);
#pragma unroll
                for (int n = 0; n < tileKeys / 16; ++n) {
                    unsigned b[4];
                    loadMatrices(b, atChunk(tileK, 2 * k) + n * 16 * pitch);
#pragma unroll
                    for (int m = 0; m < rowTiles; ++m) {
                        multiply(s[m][2 * n], q[m], b[0], b[1]);
                        multiply(s[m][2 * n + 1], q[m], b[2], b[3]);
                    }
                }
            }
        }
        if (stages == 1) {
            awaitCopies();
            __syncthreads();
            if (tile + 1 < endTile) copyTile(sharedK, keys, p.key_stride, tileKey + tileKeys, p.key_count);
            commitCopies();
        }
        if (!sees) continue;

        if (tileKey + tileKeys > commonEnd || tileKey < commonFirst) {
            const int laneRow = perTile(warpRow + (lane >> 2));
#pragma unroll
            for (int m = 0; m < rowTiles; ++m)
#pragma unroll
                for (int h = 0; h < 2; ++h) {
                    int position = (laneRow + 16 * m + 8 * h) / ratio + p.offset;
                    int end = min(position + 1, p.key_count) - tileKey - 2 * (lane & 3);
                    int first = p.window ? position - p.window + 1 - tileKey - 2 * (lane & 3) : -tileKeys;
#pragma unroll
                    for (int n = 0; n < tileKeys / 8; ++n)
#pragma unroll
                        for (int i = 0; i < 2; ++i)
                            if (8 * n + i >= end || 8 * n + i < first) s[m][n][2 * h + i] = minusInfinity;
                }
        }

        // Maxima of rows; the reference moves if one has grown far beyond it.
        float maximum[rowTiles][2];
        bool grown = false;
#pragma unroll
        for (int m = 0; m < rowTiles; ++m)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                float x = fmaxf(s[m][0][2 * h], s[m][0][2 * h + 1]);
#pragma unroll
                for (int n = 1; n < tileKeys / 8; ++n)
                    x = fmaxf(x, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
                x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
                x = fmaxf(x, __shfl_xor_sync(~0u, x, 2));
                maximum[m][h] = x;
                grown |= (x - reference[m][h]) * factor > growth;
            }
        if (__any_sync(~0u, grown)) {
#pragma unroll
            for (int m = 0; m < rowTiles; ++m)
#pragma unroll
                for (int h = 0; h < 2; ++h) {
                    float next = fmaxf(reference[m][h], maximum[m][h]);
                    float less = exp2Fast((reference[m][h] - next) * factor);
                    reference[m][h] = next;
                    sum[m][h] *= less;
#pragma unroll
                    for (int n = 0; n < headSize / 8; ++n) {
                        o[m][n][2 * h] *= less;
                        o[m][n][2 * h + 1] *= less;
                    }
                }
        }

        // Weights, 16 keys at a time, times values.
        const unsigned tileV = perTile(laneV + stage * tileBytes);
#pragma unroll
        for (int k = 0; k < tileKeys / 16; ++k) {
            unsigned a[rowTiles][4];
#pragma unroll
            for (int m = 0; m < rowTiles; ++m)
#pragma unroll
                for (int h = 0; h < 2; ++h) {
                    float shift = weightShift - reference[m][h] * factor;
#pragma unroll
                    for (int n = 0; n < 2; ++n) {
                        float x = exp2Fast(s[m][2 * k + n][2 * h] * factor + shift);
                        float y = exp2Fast(s[m][2 * k + n][2 * h + 1] * factor + shift);
                        sum[m][h] += x + y;
                        a[m][h + 2 * n] = packHalves(x, y);
                    }
                }
#pragma unroll
            for (int n = 0; n < headSize / 16; ++n) {
                unsigned b[4];
                loadMatricesTransposed(b, atChunk(tileV, 2 * n) + k * 16 * pitch);
#pragma unroll
                for (int m = 0; m < rowTiles; ++m) {
                    multiply(o[m][2 * n], a[m], b[0], b[1]);
                    multiply(o[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

#pragma unroll
    for (int m = 0; m < rowTiles; ++m)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            float total = sum[m][h];
            total += __shfl_xor_sync(~0u, total, 1);
            total += __shfl_xor_sync(~0u, total, 2);
            int row = warpRow + 16 * m + 8 * h + (lane >> 2);
            if (row < rowCount)
                writeRow(p, (long long)(row / ratio) * p.query_heads + kvHead * ratio + row % ratio,
                         reference[m][h], total, o[m], 2 * h);
        }
}
