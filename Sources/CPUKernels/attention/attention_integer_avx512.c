// AVX-512 attention over codes, in integers, with VNNI.
//
// As attention_integer_avx2.c, with words of 16 lanes in a register. `vpdpbusd` multiplies four bytes of each lane and
// adds all four products to its int32 sum, so that nothing is widened and codes of 8 bits are like the others.
#include "attention_avx512.h"
#include "attention_integer.h"

#if defined(__x86_64__)

// ---- multipliers ---------------------------------------------------------------------------------------------

AVX512 void iq_quantize_avx512(const float *x, size_t x_stride, size_t heads, float coarse,
                               struct iq_multipliers *integers) {
    enum { NOT_FINITE = 0x99 }; // either NaN, either infinity
    for (size_t h = 0; h < heads; h++, x += x_stride, integers++) {
        const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
        float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        // A scale of NaN spoils all outputs.
        if (_mm512_fpclass_ps_mask(a, NOT_FINITE) | _mm512_fpclass_ps_mask(b, NOT_FINITE)) largest = NAN;
        const __m512 inverse = _mm512_set1_ps(iq_multiplier_inverse(largest));
        __m512i n[2] = {_mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)), _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse))};
        integers->is_fine = !(largest <= coarse);
        for (int i = 0; i < 2; i++) {
            const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(n[i], _mm512_set1_epi32(128)), 8);
            if (!integers->is_fine) n[i] = _mm512_slli_epi32(high, 8);
            _mm256_storeu_si256((__m256i *)(integers->n + 16 * i), _mm512_cvtepi32_epi16(n[i]));
            _mm_storeu_si128((__m128i *)(integers->high + 16 * i), _mm512_cvtepi32_epi8(high));
            // n − 256 · high: the lowest byte as it is.
            _mm_storeu_si128((__m128i *)(integers->low + 16 * i), _mm512_cvtepi32_epi8(n[i]));
        }
        integers->scale = isnan(largest) ? NAN : iq_multiplier_scale(largest);
        integers->total = _mm512_reduce_add_epi32(_mm512_add_epi32(n[0], n[1]));
    }
}

// ---- products ------------------------------------------------------------------------------------------------

enum { HEADS = 6 };

INLINE512 __m512i broadcast(const void *p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
}

INLINE512 void add_quad(int H, int is_fine, __m512i codes, const struct iq_operand *operands, int quad,
                        __m512i high[HEADS], __m512i low[HEADS]) {
#pragma clang loop unroll(full)
    for (int h = 0; h < H; h++) {
        const struct iq_multipliers *x = operands[h].x;
        high[h] = _mm512_dpbusd_epi32(high[h], codes, broadcast(x->high + 4 * quad));
        if (is_fine) low[h] = _mm512_dpbusd_epi32(low[h], codes, broadcast(x->low + 4 * quad));
    }
}

INLINE512 __m512 load_half16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

// As hybrid_lane of AVX2.
INLINE512 void hybrid_lane16(__m512 *s, __m512 *z, float bias) {
    const __m512i sign = _mm512_set1_epi32((int32_t)0x80000000u), scale = _mm512_castps_si512(*s);
    const __mmask16 symmetric = _mm512_testn_epi32_mask(scale, sign);
    // Magnitude without a sign, or with that of z: the sign bit of (z where symmetric, else 0).
    const __m512i direction = _mm512_maskz_mov_epi32(symmetric, _mm512_castps_si512(*z));
    *s = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(sign, direction, scale, 0xCA));
    *z = _mm512_mask_mul_ps(*z, symmetric, _mm512_set1_ps(-bias), *s);
}

INLINE512 void tile(int bits, int H, int is_fine, const struct iq_code_block *b, size_t lane,
                    const struct iq_operand *operands) {
    const uint32_t *words = b->words + lane;
    const size_t stride = b->word_stride;
    const int is_symmetric = b->mode == IQ_SCALE_SYMMETRIC;
    __m512i high[HEADS], low[HEADS];
#pragma clang loop unroll(full)
    for (int h = 0; h < H; h++) {
        high[h] = _mm512_setzero_si512();
        // Σ (code − bias) · n begins with what the bias makes of it.
        low[h] = _mm512_set1_epi32(is_symmetric ? -operands[h].bias : 0);
    }
    const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1));
#pragma clang loop unroll(disable)
    for (int w = 0; w < (bits == 3 ? 3 : bits); w++) {
        const __m512i word = _mm512_loadu_si512(words + (size_t)w * stride);
#pragma clang loop unroll(full)
        for (int t = 0; t < IQ_BYTE_ROWS(bits); t++) {
            __m512i codes = bits == 8 ? word : _mm512_and_si512(_mm512_srli_epi32(word, (unsigned)(bits * t)), mask);
            add_quad(H, is_fine, codes, operands, IQ_BYTE_ROWS(bits) * w + t, high, low);
        }
    }
    if (bits == 3) {
        const __m512i c = _mm512_loadu_si512(words + 2 * stride);
#pragma clang loop unroll(full)
        for (int t = 0; t < 2; t++) {
            __m512i a = _mm512_and_si512(_mm512_srli_epi32(_mm512_loadu_si512(words + (size_t)t * stride), 6),
                                         _mm512_set1_epi8(3));
            // a | (c shifted & 4)
            a = _mm512_ternarylogic_epi32(a, _mm512_srli_epi32(c, (unsigned)(4 + t)), _mm512_set1_epi8(4), 0xF8);
            add_quad(H, is_fine, a, operands, 6 + t, high, low);
        }
    }
    __m512 s = _mm512_set1_ps(1), z = _mm512_setzero_ps();
    if (b->mode != IQ_SCALE_NONE) s = load_half16(b->scales + lane);
    if (b->mode >= IQ_SCALE_ASYMMETRIC) z = load_half16(b->zeros + lane);
    if (b->mode == IQ_SCALE_HYBRID) hybrid_lane16(&s, &z, b->bias);
#pragma clang loop unroll(full)
    for (int h = 0; h < H; h++) {
        const struct iq_multipliers *x = operands[h].x;
        float *o = operands[h].out + lane;
        const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high[h], 8), low[h]);
        __m512 r = _mm512_mul_ps(s, _mm512_cvtepi32_ps(sum));
        if (b->mode >= IQ_SCALE_ASYMMETRIC) r = _mm512_fmadd_ps(z, _mm512_set1_ps(operands[h].total), r);
        _mm512_storeu_ps(o, _mm512_fmadd_ps(_mm512_set1_ps(x->scale), r, _mm512_loadu_ps(o)));
    }
}

#define TILE(BITS, H, NAME, IS_FINE)                                                                             \
    AVX512 static void tile_##BITS##_##H##_##NAME(const struct iq_code_block *b,                                  \
                                                  const struct iq_operand *operands) {                            \
        for (size_t lane = 0; lane < b->lanes; lane += 16) tile(BITS, H, IS_FINE, b, lane, operands);             \
    }
#define TILES(BITS, NAME, IS_FINE)                                                                               \
    TILE(BITS, 1, NAME, IS_FINE)                                                                                 \
    TILE(BITS, 2, NAME, IS_FINE)                                                                                 \
    TILE(BITS, 3, NAME, IS_FINE)                                                                                 \
    TILE(BITS, 4, NAME, IS_FINE)                                                                                 \
    TILE(BITS, 5, NAME, IS_FINE)                                                                                 \
    TILE(BITS, 6, NAME, IS_FINE)                                                                                 \
    static const iq_operands_fn NAME##_##BITS[HEADS] = {tile_##BITS##_1_##NAME, tile_##BITS##_2_##NAME,          \
                                                        tile_##BITS##_3_##NAME, tile_##BITS##_4_##NAME,          \
                                                        tile_##BITS##_5_##NAME, tile_##BITS##_6_##NAME};
#define INTEGERS(BITS)                                                                                           \
    TILES(BITS, fine, 1)                                                                                         \
    TILES(BITS, coarse, 0)                                                                                       \
    void iq_dot_integers_avx512_##BITS(const struct iq_code_block *b, const struct iq_multipliers *x,             \
                                       size_t heads, float *out, size_t out_stride) {                            \
        iq_apart(b, x, heads, out, out_stride, coarse_##BITS, fine_##BITS, HEADS);                               \
    }                                                                                                            \
    IQ_RUN(avx512, BITS)

INTEGERS(2)
INTEGERS(3)
INTEGERS(4)
INTEGERS(8)

#endif
