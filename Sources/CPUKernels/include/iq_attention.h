// Inner loops of attention over tiles of the cache.
//
// Every product of attention is here the same small operation: a block of `depth` rows (the axis that is summed
// over) by `lanes` columns, times one vector of `depth` multipliers per head:
//
//     out[h][lane] += Σ_i x[h][i] · value[i][lane]
//
//   q·Kᵀ: rows are channels, lanes are the 32 tokens of a tile, x is the query.
//   p·V : rows are the 32 tokens of a tile, lanes are channels, x is the softmax weight.
//
// Codes of b bits are kept in 32-bit words, 32 rows to b words of a lane, words of one index side by side:
//
//     word[w][lane]   w = 0 ..< b
//
//   b = 1, 2, 4, 8: word w holds rows w·32/b ..., row r of the word in byte r % 4 from bit b·(r / 4) on.
//   b = 3:       byte k of word w holds row 8w + k in bits 0–2, row 8w + 4 + k in bits 3–5, and bits 6–7 are:
//                  words 0, 1: the low two bits of row 24 + k, of row 28 + k
//                  word 2:     the high bit of row 24 + k at bit 6, of row 28 + k at bit 7
//
//                     bit  7 6   5 4 3   2 1 0            a word, shifted and masked, so gives four consecutive rows in
//         word 0, byte k  c c | b b b | a a a             four bytes: what byte products (maddubs, VNNI, sdot) take,
//         word 1, byte k  f f | e e e | d d d             with a broadcast of four consecutive multipliers
//         word 2, byte k  f c | h h h | g g g
#ifndef INNERQ_ATTENTION_H
#define INNERQ_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// How the scale of a lane is stored. u is a code, s and z are float16.
enum iq_scale_mode {
    IQ_SCALE_NONE = 0,       // value = u: scales belong to the rows and are folded into x
    IQ_SCALE_SYMMETRIC = 1,  // value = s·(u − bias)
    IQ_SCALE_ASYMMETRIC = 2, // value = s·u + z
    IQ_SCALE_HYBRID = 3,     // sign bit of s set: |s|·u + z; clear: s·(u − bias), negated if z is −0
};

// A block of 32 rows by `lanes` lanes of codes.
struct iq_code_block {
    const uint32_t *words;  // word w of lane l at words[w * word_stride + l]
    size_t word_stride;
    const uint16_t *scales; // float16, one a lane; unused with IQ_SCALE_NONE
    const uint16_t *zeros;  // float16, one a lane; asymmetric and hybrid only
    size_t lanes;           // a multiple of 16
    float bias;
    int mode;               // enum iq_scale_mode
};

// 32 multipliers of one head as integers: x[i] = scale · n[i] within scale / 2 (fine) or 128 · scale (coarse), where
// scale = max |x| / 32639. The parts are exact: n = 256 · high + low. Byte products take two passes over the codes, for `high`
// and `low`, so that queries and large softmax weights keep 16 bits: 8 are not enough for logits to stay the same
// (docs/performance.md). Coarse ones have no low part, and one pass.
struct iq_multipliers {
    int16_t n[32];   // |n| ≤ 32639
    int8_t high[32]; // −127 ... 127
    int8_t low[32];  // −128 ... 127; coarse: 0
    float scale;     // NaN if a multiplier is not finite
    int32_t total;   // Σ n
    int32_t is_fine;
};

// Tiles that are multiplied one after the other; KVCache/Tiles/TileLayout.swift draws one.
struct iq_tile_run {
    const void *const *tiles; // `count` of them, and `ahead` more addresses: tiles[i + ahead] is asked for while i is read
    size_t count;
    size_t ahead, ahead_bytes;
    size_t rows;              // a multiple of 16
    size_t lanes;             // a multiple of 32
    size_t scale_offset, zero_offset;
    float bias;
    int mode;                 // enum iq_scale_mode
};

typedef void (*iq_dot_integers_fn)(const struct iq_code_block *block, const struct iq_multipliers *x, size_t heads,
                                   float *out, size_t out_stride);
typedef void (*iq_dot_run_fn)(const struct iq_tile_run *run, const struct iq_multipliers *x, size_t x_step, size_t heads,
                              float *out, size_t out_step, size_t out_stride);
typedef void (*iq_dot_codes_fn)(const struct iq_code_block *block, const float *x, size_t x_stride, size_t heads,
                                float *out, size_t out_stride);
typedef void (*iq_unpack_fn)(const uint32_t *words, size_t word_stride, size_t lanes, float *out, size_t out_stride);

// Codes that choose from a table: [0] 1 bit, [1] 2 bits, [2] 3 bits, [3] 4 bits. `table` has 16 floats, of which the first
// 2^bits count. 32 rows; lanes % 16 == 0.
typedef void (*iq_lookup_fn)(const uint32_t *words, size_t word_stride, size_t lanes, const float *table,
                             const float *scales, const float *zeros, float *out, size_t out_stride);
typedef void (*iq_dot_lookup_fn)(const uint32_t *words, size_t word_stride, size_t lanes, const float *table,
                                 const float *x, size_t x_stride, size_t heads, float *out, size_t out_stride);

struct iq_attention_kernels {
    // out[h·out_stride + lane] += Σ_{i<depth} x[h·x_stride + i] · values[i·value_stride + lane]. lanes % 16 == 0.
    void (*dot_float)(const float *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                      size_t x_stride, size_t heads, float *out, size_t out_stride);
    // The same for many heads on a matrix unit: each number as a sum of two bfloat16, a product within 2^-15 of itself. NULL where
    // there is none.
    void (*dot_many)(const float *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                     size_t x_stride, size_t heads, float *out, size_t out_stride);
    // dot_float over float16 values.
    void (*dot_half)(const uint16_t *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                     size_t x_stride, size_t heads, float *out, size_t out_stride);
    // The same over packed codes, depth 32: [0] 2 bits, [1] 3 bits, [2] 4 bits, [3] 8 bits.
    iq_dot_codes_fn dot_codes[4];
    // integers[h] = the 32 multipliers from x[h·x_stride] on, as integers; coarse ones if none is larger than `coarse`.
    void (*quantize)(const float *x, size_t x_stride, size_t heads, float coarse, struct iq_multipliers *integers);
    // dot_codes with integer products: sums of code · n are exact, and multiplied once by both scales. Codes are read once
    // for all heads. [0] 2 bits, [1] 3 bits, [2] 4 bits, [3] 8 bits.
    iq_dot_integers_fn dot_integers[4];
    // The same over tiles: out[i·out_step + h·out_stride + lane] += … of tile i. Its multipliers are x[i·x_step + …], heads one
    // after the other for each block of 32 rows; a last block of 16 rows has two such, for either half of the lanes, with
    // zeros in the rows of the other.
    iq_dot_run_fn dot_runs[4];
    // out[i·out_stride + lane] = code of row i, as float: 32 rows.
    iq_unpack_fn unpack[4];
    // out[i·out_stride + lane] = scales[i] · table[code of row i] + zeros[i].
    iq_lookup_fn lookup[4];
    // out[h·out_stride + lane] += Σ_{i<32} x[h·x_stride + i] · table[code of row i].
    iq_dot_lookup_fn dot_lookup[4];
    // Turns (RoPE) a tile of keys [row][32 tokens] in place. Rows x = p·step and y = x + distance of pair p turn by the
    // angle of the tile's first token, plus that of the token in it:
    //     base [2][pairs]: cosines, sines;   tokens [pairs][2][32]: cosines, sines of 0 … 31 positions
    //     x' = x·cos − y·sin,  y' = x·sin + y·cos
    void (*turn_tile)(float *tile, size_t pairs, size_t step, size_t distance, const float *base, const float *tokens);
    // Largest of `count` ≥ 1 values.
    float (*maximum)(const float *values, size_t count);
    // values[i] = exp(values[i] − maximum) in place; returns their sum. −infinity gives 0.
    float (*exponentials)(float *values, size_t count, float maximum);
};

// Asks for memory that will be read soon. The processor's own prefetcher does not follow a cache from page to page.
static inline void iq_prefetch(const void *start, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)start + i, 0, 3);
}

extern const struct iq_attention_kernels iq_attention_portable;
#if defined(__x86_64__)
extern const struct iq_attention_kernels iq_attention_avx2;
// AVX-512 with VNNI: integer products; the rest is AVX2's.
extern const struct iq_attention_kernels iq_attention_avx512;
#if defined(__linux__)
// With AMX for many queries.
extern const struct iq_attention_kernels iq_attention_amx;
#endif
#elif defined(__aarch64__)
extern const struct iq_attention_kernels iq_attention_neon;
#endif

#ifdef __cplusplus
}
#endif

#endif
