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
//   b = 1, 2, 4, 8: word w holds rows w·32/b ... , row j of the word at bit b·j.
//   b = 3:       word w holds rows 10w ... 10w+9 at bits 3j; row 30 has its two low bits at bits 30–31 of word 0
//                and its high bit at bit 30 of word 2; row 31 likewise in word 1 and bit 31 of word 2.
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
    // The same over float16 values.
    void (*dot_half)(const uint16_t *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                     size_t x_stride, size_t heads, float *out, size_t out_stride);
    // The same over packed codes, depth 32: [0] 2 bits, [1] 3 bits, [2] 4 bits, [3] 8 bits.
    iq_dot_codes_fn dot_codes[4];
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

extern const struct iq_attention_kernels iq_attention_portable;
#if defined(__x86_64__)
extern const struct iq_attention_kernels iq_attention_avx2;
#endif

#ifdef __cplusplus
}
#endif

#endif
