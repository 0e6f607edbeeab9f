// What the prompt attention kernels are told. Passed by value.
//
// One launch is the attention of one sequence: `count` queries over `key_count` dense float16 keys and values.
// Query i sees keys j with
//
//     i + offset − window < j ≤ i + offset          (window 0: no lower limit)
//
// so `offset` is the position of query 0 minus the position of key 0. An offset of `key_count` or more lets every query
// see every key. A query that sees no key gives zeros, and a partial of maximum −∞ and sum 0.
//
// A partial is (output, maximum, sum): output is normalized, sum = Σ exp(scale · q·k − maximum). `maximum` is a
// reference near the largest score (at most 8 ln 2 below it), so that partials merge exactly without it being the largest.
#ifndef IQ_DEVICE_PREFILL_H
#define IQ_DEVICE_PREFILL_H

#ifdef __CUDACC_RTC__
typedef unsigned long long uint64_t;
typedef int int32_t;
#else
#include <stdint.h>
#endif

/// Attention of a prompt. 112 bytes. Addresses, and strides in bytes, are multiples of 16.
struct iq_prefill {
    uint64_t queries;              // float32 (float16 if compiled so) [count][query heads][d], rows `query_stride` apart
    uint64_t keys;                 // float16: token t of KV head h at element t · key_stride + h · key_head_stride
    uint64_t values;
    uint64_t output;               // float32 [count][query heads][d]
    uint64_t statistics;           // 0, or float32 [count][query heads]{maximum, sum}: written
    uint64_t initial;              // 0, or the output of a partial to merge in; may be `output` itself
    uint64_t initial_statistics;   // its float32 [count][query heads]{maximum, sum}; may be `statistics` itself
    int32_t count, key_count;
    int32_t query_heads, kv_heads;
    int32_t offset;                // −2^30 … 2^30
    int32_t window;                // 0: none
    // In elements.
    int32_t query_stride;          // from token to token
    int32_t key_stride, key_head_stride;
    int32_t value_stride, value_head_stride;
    float scale;                   // of scores; above 0
    int32_t reserved[2];
};

// Launches:
//                        iq_prefill_attention (prefill.cu)     iq_prefill_attention_hopper (prefill_hopper.cu)
//     code for           sm_80 and later                       sm_90a only
//     grid               iq_prefill_blocks(…) × 1 × 1          iq_prefill_hopper_blocks(…) × 1 × 1
//     block              IQ_PREFILL_THREADS                    IQ_PREFILL_HOPPER_THREADS
//     dynamic shared     iq_prefill_shared_bytes(…)            iq_prefill_hopper_shared_bytes(…)
//
// Shared memory may be more than 48 KiB: to be allowed by a function attribute. A count of 0 launches nothing.
// A row is a query of one of the query heads of a KV head: row = query · ratio + head of the group.

#define IQ_PREFILL_THREADS 128
#define IQ_PREFILL_HOPPER_THREADS 384

#ifndef __CUDACC_RTC__
/// Rows of a block.
static inline int iq_prefill_rows(int d) { return d <= 128 ? 128 : 64; }

/// Keys and values are double buffered where two blocks still fit on a multiprocessor.
/// `architecture`: 10 · major + minor of the code.
static inline int iq_prefill_stages(int d, int architecture) {
    return d <= 64 || (d <= 128 && architecture >= 90 && architecture < 120) ? 2 : 1;
}

static inline int iq_prefill_shared_bytes(int d, int architecture) {
    return 2 * d * (iq_prefill_rows(d) + 2 * 64 * iq_prefill_stages(d, architecture));
}

static inline long long iq_prefill_blocks(int d, long long count, int query_heads, int kv_heads) {
    long long rows = count * (query_heads / kv_heads);
    return (rows + iq_prefill_rows(d) - 1) / iq_prefill_rows(d) * kv_heads;
}

static inline int iq_prefill_hopper_shared_bytes(int d) {
    int panels = (d + 63) / 64, keys = d <= 128 ? 128 : 64;
    return 128 * panels * (128 + 4 * keys) + 64;
}

static inline long long iq_prefill_hopper_blocks(int d, long long count, int query_heads, int kv_heads) {
    (void)d;
    return (count * (query_heads / kv_heads) + 127) / 128 * kv_heads;
}
#endif

#endif
