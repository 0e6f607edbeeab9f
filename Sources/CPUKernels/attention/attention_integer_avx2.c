// AVX2 attention over codes, in integers.
//
// A register has a word of 8 lanes; shifted and masked, that is four consecutive rows of each lane, as bytes.
// `maddubs` multiplies them with four multipliers, repeated in all lanes, and adds pairs, 32 products an instruction:
//
//     codes      | r0 r1 r2 r3 | r0 r1 r2 r3 | …   u8, one lane each 32 bits
//     high, low  | x0 x1 x2 x3 | x0 x1 x2 x3 | …   s8, the same in all lanes, one of each a head
//     sums       |  a     b    |  a     b    | …   s16: 8 · 2 · 128 · 15 = 30,720 fits for codes of up to 4 bits
//
// so a group of 32 rows sums in int16 and is widened once. Codes of 8 bits would not fit; they are widened to int16 and
// meet the whole multipliers by `pmaddwd`. Codes are unpacked once for three heads and scaled once a group; a broadcast serves
// two registers of lanes, since loads are scarcer than products (Zen 3: one and a half products a cycle, one load beside).
//
// 3 bits, 3 heads, 16 lanes: 40 instructions to unpack 512 codes, 240 to multiply them with 3 × 512 multipliers of 16 bits
// and about 50 to scale them.
#include "iq_attention.h"

#include "attention_avx2.h"
#include "attention_integer.h"
#include "integers_avx2.h"

#if defined(__x86_64__)

// ---- multipliers ---------------------------------------------------------------------------------------------

INLINE __m256i broadcast4(const void *p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
}

AVX2 void iq_quantize_avx2(const float *x, size_t x_stride, size_t heads, float coarse,
                           struct iq_multipliers *integers) {
    for (size_t h = 0; h < heads; h++, x += x_stride, integers++) {
        const float largest = largest_of(x, 32);
        struct rounded r = round32(x, iq_multiplier_inverse(largest));
        integers->is_fine = !(largest <= coarse);
        if (!integers->is_fine) r = without_low(r);
        __m256i high, low;
        split(r, &high, &low);
        _mm256_storeu_si256((__m256i *)integers->n, r.n[0]);
        _mm256_storeu_si256((__m256i *)(integers->n + 16), r.n[1]);
        _mm256_storeu_si256((__m256i *)integers->high, high);
        _mm256_storeu_si256((__m256i *)integers->low, low);
        integers->scale = scale_of(largest);
        integers->total = sum32(r);
    }
}

// ---- products ------------------------------------------------------------------------------------------------

enum { HEADS = 3, VECTORS = 2 };

// Keeps the compiler from adding products to each other before it adds them to the sum: it then has no registers left.
#define IN_ORDER(vector) __asm__ volatile("" : "+x"(vector))

// Codes of rows 4·quad …, times the multipliers of H heads.
INLINE void add_quad(int H, int is_fine, const __m256i codes[VECTORS], const struct iq_multipliers *const x[HEADS], int quad,
                     __m256i high[HEADS][VECTORS], __m256i low[HEADS][VECTORS]) {
#pragma clang loop unroll(full)
    for (int h = 0; h < H; h++) {
        const __m256i mh = broadcast4(x[h]->high + 4 * quad);
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) {
            high[h][v] = _mm256_add_epi16(high[h][v], _mm256_maddubs_epi16(codes[v], mh));
            IN_ORDER(high[h][v]);
        }
        if (!is_fine) continue;
        const __m256i ml = broadcast4(x[h]->low + 4 * quad);
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) {
            low[h][v] = _mm256_add_epi16(low[h][v], _mm256_maddubs_epi16(codes[v], ml));
            IN_ORDER(low[h][v]);
        }
    }
}

// Codes of 8 bits: pairs of rows as int16, sums in int32 (32 · 255 · 32,639 fits).
INLINE void add_words(int H, const __m256i words[VECTORS], const struct iq_multipliers *const x[HEADS], int quad,
                      __m256i sums[HEADS][VECTORS]) {
    const __m256i first = _mm256_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1, //
                                           0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
    const __m256i second = _mm256_setr_epi8(2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1, //
                                            2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1);
    for (int pair = 0; pair < 2; pair++) {
        __m256i codes[VECTORS];
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) codes[v] = _mm256_shuffle_epi8(words[v], pair ? second : first);
#pragma clang loop unroll(full)
        for (int h = 0; h < H; h++) {
            const __m256i m = broadcast4(x[h]->n + 4 * quad + 2 * pair);
#pragma clang loop unroll(full)
            for (int v = 0; v < VECTORS; v++) {
                sums[h][v] = _mm256_add_epi32(sums[h][v], _mm256_madd_epi16(codes[v], m));
                IN_ORDER(sums[h][v]);
            }
        }
    }
}

// Adds the scaled sums to the outputs.
INLINE void finish(int H, const struct iq_code_block *b, size_t lane, const struct iq_operand *operands,
                   __m256i sums[HEADS][VECTORS]) {
    __m256 s[VECTORS], z[VECTORS];
    if (b->mode == IQ_SCALE_SYMMETRIC) {
        // s·(u − bias): the bias is taken off in integers.
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) s[v] = load_half(b->scales + lane + 8 * v);
#pragma clang loop unroll(full)
        for (int h = 0; h < H; h++) {
            const __m256i bias = _mm256_set1_epi32(operands[h].bias);
            const __m256 scale = _mm256_set1_ps(operands[h].x->scale);
#pragma clang loop unroll(full)
            for (int v = 0; v < VECTORS; v++) {
                float *o = operands[h].out + lane + 8 * v;
                __m256 r = _mm256_mul_ps(s[v], _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[h][v], bias)));
                _mm256_storeu_ps(o, _mm256_fmadd_ps(scale, r, _mm256_loadu_ps(o)));
            }
        }
        return;
    }
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; v++) {
        s[v] = b->mode == IQ_SCALE_NONE ? _mm256_set1_ps(1) : load_half(b->scales + lane + 8 * v);
        z[v] = b->mode == IQ_SCALE_NONE ? _mm256_setzero_ps() : load_half(b->zeros + lane + 8 * v);
        if (b->mode == IQ_SCALE_HYBRID) hybrid_lane(&s[v], &z[v], b->bias);
    }
#pragma clang loop unroll(full)
    for (int h = 0; h < H; h++) {
        const __m256 total = _mm256_set1_ps(operands[h].total), scale = _mm256_set1_ps(operands[h].x->scale);
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) {
            float *o = operands[h].out + lane + 8 * v;
            __m256 r = _mm256_fmadd_ps(z[v], total, _mm256_mul_ps(s[v], _mm256_cvtepi32_ps(sums[h][v])));
            _mm256_storeu_ps(o, _mm256_fmadd_ps(scale, r, _mm256_loadu_ps(o)));
        }
    }
}

// Masks are read where they are used: in registers they would push sums out of them.
struct masks {
    __m256i codes, two, third;
};
INLINE __m256i and_mask(__m256i a, const __m256i *mask) { return _mm256_and_si256(a, _mm256_load_si256(mask)); }

INLINE void integer_tile(int bits, int H, int is_fine, const struct iq_code_block *b, size_t lane,
                         const struct iq_operand *operands, const struct masks *masks) {
    const struct iq_multipliers *x[HEADS]; // in registers
#pragma clang loop unroll(full)
    for (int h = 0; h < H; h++) x[h] = operands[h].x;
    const uint32_t *words = b->words + lane;
    const size_t stride = b->word_stride;
    __m256i high[HEADS][VECTORS], low[HEADS][VECTORS], codes[VECTORS];
#pragma clang loop unroll(full)
    for (int h = 0; h < H; h++)
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) high[h][v] = low[h][v] = _mm256_setzero_si256();
#pragma clang loop unroll(full)
    for (int w = 0; w < bits; w++) {
        if (bits == 8) {
#pragma clang loop unroll(full)
            for (int v = 0; v < VECTORS; v++) codes[v] = iq_avx2_word(bits, words + 8 * v, stride, w);
            add_words(H, codes, x, w, high);
            ROWS_BARRIER;
            continue;
        }
        // A word is read again for each of its rows: in a register it would push sums out.
#pragma clang loop unroll(full)
        for (int t = 0; t < IQ_BYTE_ROWS(bits); t++) {
#pragma clang loop unroll(full)
            for (int v = 0; v < VECTORS; v++) {
                __m256i word = iq_avx2_word(bits, words + 8 * v, stride, w);
                codes[v] = and_mask(_mm256_srli_epi32(word, bits * t), &masks->codes);
            }
            add_quad(H, is_fine, codes, x, IQ_BYTE_ROWS(bits) * w + t, high, low);
            ROWS_BARRIER;
        }
    }
    if (bits == 3) {
        // What bits 6 and 7 of the three words spell.
#pragma clang loop unroll(full)
        for (int t = 0; t < 2; t++) {
#pragma clang loop unroll(full)
            for (int v = 0; v < VECTORS; v++) {
                __m256i a = iq_avx2_word(3, words + 8 * v, stride, t), c = iq_avx2_word(3, words + 8 * v, stride, 2);
                a = and_mask(_mm256_srli_epi32(a, 6), &masks->two);
                c = and_mask(_mm256_srli_epi32(c, 4 + t), &masks->third);
                codes[v] = _mm256_or_si256(a, c);
            }
            add_quad(H, is_fine, codes, x, 6 + t, high, low);
            ROWS_BARRIER;
        }
    }
    if (bits < 8) {
        const __m256i ones = _mm256_set1_epi16(1), many = _mm256_set1_epi16(256);
#pragma clang loop unroll(full)
        for (int h = 0; h < H; h++)
#pragma clang loop unroll(full)
            for (int v = 0; v < VECTORS; v++) {
                high[h][v] = _mm256_madd_epi16(high[h][v], many);
                if (is_fine) high[h][v] = _mm256_add_epi32(high[h][v], _mm256_madd_epi16(low[h][v], ones));
            }
    }
    finish(H, b, lane, operands, high);
}

#define TILE(BITS, H, NAME, IS_FINE)                                                                             \
    AVX2 static void tile_##BITS##_##H##_##NAME(const struct iq_code_block *b, const struct iq_operand *operands) { \
        const struct masks values = {_mm256_set1_epi8((char)((1 << BITS) - 1)), _mm256_set1_epi8(3),              \
                                     _mm256_set1_epi8(4)};                                                        \
        const struct masks *masks = &values;                                                                      \
        __asm__("" : "+r"(masks) : : "memory");                                                                   \
        for (size_t lane = 0; lane < b->lanes; lane += 8 * VECTORS)                                               \
            integer_tile(BITS, H, IS_FINE, b, lane, operands, masks);                                             \
    }
#define INTEGERS(BITS)                                                                                           \
    TILE(BITS, 1, fine, 1)                                                                                       \
    TILE(BITS, 2, fine, 1)                                                                                       \
    TILE(BITS, 3, fine, 1)                                                                                       \
    TILE(BITS, 1, coarse, 0)                                                                                     \
    TILE(BITS, 2, coarse, 0)                                                                                     \
    TILE(BITS, 3, coarse, 0)                                                                                     \
    static const iq_operands_fn fine_##BITS[HEADS] = {tile_##BITS##_1_fine, tile_##BITS##_2_fine,                \
                                                      tile_##BITS##_3_fine};                                     \
    static const iq_operands_fn coarse_##BITS[HEADS] = {tile_##BITS##_1_coarse, tile_##BITS##_2_coarse,          \
                                                        tile_##BITS##_3_coarse};                                 \
    void iq_dot_integers_avx2_##BITS(const struct iq_code_block *b, const struct iq_multipliers *x, size_t heads, \
                                     float *out, size_t out_stride) {                                            \
        iq_apart(b, x, heads, out, out_stride, coarse_##BITS, fine_##BITS, HEADS);                               \
    }                                                                                                            \
    IQ_RUN(avx2, BITS)

INTEGERS(2)
INTEGERS(3)
INTEGERS(4)
INTEGERS(8)

#endif
