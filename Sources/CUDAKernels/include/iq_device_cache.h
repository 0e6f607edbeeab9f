// What kernels are told: where a sequence's cache lies on the GPU, and what each launch has to do. Passed by value.
//
// One layer of one sequence:
//
//     sink     float16 tiles, at `sink + tile · raw_stride`
//     body     sealed tiles; tile T is tile T mod 4 of page T / 4, at `body + (T / 4) · page_stride`:
//              page = { [KV head][tile 0…3] K tile } { [KV head][tile 0…3] V tile }
//     recent   float16 tiles in a ring of `ring_tiles` slots: recent tile i is at
//              `recent + ((recent_first + i) mod ring_tiles) · raw_stride`
//
//     raw tile (sink and recent) = [KV head]{ K half tile, V half tile }, 2 · 64 · d bytes a head
//
// Token `sink_tokens_of_policy + 32 T + i` is token i of body tile T; recent tiles follow the last sealed tile.
// The address space of a sequence is reserved once and backed by memory as it grows: no page table, no copying.
#ifndef IQ_DEVICE_CACHE_H
#define IQ_DEVICE_CACHE_H

#ifndef __CUDACC__
#include <stdint.h>
#endif
#ifdef __CUDACC_RTC__
typedef unsigned long long uint64_t;
typedef unsigned int uint32_t;
typedef unsigned short uint16_t;
typedef unsigned char uint8_t;
typedef int int32_t;
#endif

/// Sequences of one launch at most.
#define IQ_MOST_SEQUENCES 64

/// One layer of one sequence. 96 bytes.
struct iq_sequence {
    uint64_t sink;
    uint64_t recent;
    uint64_t body;
    /// Key scales, then means (zeros if keys are not centred), then error feedback factors if any:
    /// float32 [KV head][d], [KV head][d], [KV head][d (d + 1) / 2]; 0 where keys are not normalized.
    uint64_t normalizer;
    /// Body tiles first ..< end: the visible ones, from the beginning of a page on.
    int32_t body_first, body_end;
    /// Tokens in the sink, the policy's sink (position of the first body token).
    int32_t sink_tokens, body_position;
    /// Ring slot of the first recent tile, tokens in recent, position of the first of them.
    int32_t recent_first, recent_tokens, recent_position;
    /// First position that the query sees.
    int32_t visible;
    // The plan of a decode launch (DecodePlan):
    /// Cost that one split takes: a body tile is one, a raw tile `raw_cost`, a power of two. Split s of a problem takes
    /// costs [s, s + 1) · units; raw tile i begins at raw_cost · i, body tile b of the visible ones at
    /// raw_cost · raw tiles + b.
    int32_t units;
    /// First block of the sequence in the grid.
    int32_t first_block;
    /// Blocks of one problem, or 1; and ⌈2³² / splits⌉, 0 for 1 (divisions take long on a GPU).
    int32_t splits;
    uint32_t splits_magic;
    /// Binary logarithm of the warps of one problem in a block: of all of them, or of fewer where a block holds several
    /// problems.
    int32_t warps_log2;
    /// First record of the sequence in the partials: one for each problem and split, where splits > 1.
    int32_t first_partial;
    int32_t reserved[2];
};

/// Attention of one new token of each sequence over one layer's cache: what precedes `iq_sequence[]`. A problem is one
/// sequence, KV head and chunk of its query heads. The grid is (blocks of all sequences' KV heads) × chunks; record
/// (KV head · chunks + chunk) · splits + split of a sequence is its partial.
struct iq_decode {
    uint64_t queries;          // float32 [sequence][query heads][d], after RoPE
    uint64_t output;           // float32 [sequence][query heads][d]
    /// float32 [record][heads of a problem][d + 4], all bits set before the first launch and after each.
    uint64_t partials;
    /// int32: [0] is set to 1 if a wait was given up; [1 + first_partial + problem of the sequence] counts the blocks of a
    /// problem that are done. Zeros before and after a launch.
    uint64_t counters;
    uint32_t page_stride, raw_stride;
    int32_t sequences, query_heads, kv_heads, ring_tiles;
    float scale;               // attention scale
    int32_t raw_cost_log2;
    int32_t polls;             // 1: all blocks are resident, so that partials are waited for
    int32_t chunks;            // problems of one KV head: the grid's second dimension
    int32_t ratio;             // query heads of a KV head
    /// 1: launched to overlap the launch before, which has written queries and raw tiles but no body tile.
    int32_t overlaps;
    /// Lookup tiles: bytes of a tile's side of K and of V, multiples of 16; where tables begin, from the normalizer's
    /// address, as iq_tables_of is told.
    int32_t key_side_bytes, value_side_bytes, tables_start;
    int32_t reserved;
};
#endif
