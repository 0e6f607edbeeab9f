// Quantized weights times few vectors, in integers: formats with blocks of 32.
//
// Activations are rounded to 16 bits with a scale for each 32 of them, n = 256 · high + low, so that byte products (maddubs)
// multiply codes where float32 kernels would have to convert them:
//
//     PAIRS  Q4_0, Q4_1   per two blocks A and B of 32: | A 0–15 | B 0–15 | and | A 16–31 | B 16–31 |, high then low;
//                         A and B are blocks 0, 2 and 1, 3 of a group of four; in a shorter last group neighbours.
//                         Then per block scale and scale · Σ n.
//     WORDS  Q8_0         n as int16 in order, then a scale per 32
//
// Sums of codes · n are exact int32; each is rounded once to float32 and multiplied by both scales. Against float32 that is an
// error of 2^-16 of the largest activation of a block; logits move by less than 1e-2 (docs/performance.md).
//
// Measured on a Zen 3 EPYC, 2026-11: from cache 22 G multiply-adds/s a core of Q4_1 (float32: 15.6); from memory, two cores, 12 to
// 14 GB/s (Q4_1) and 15 (Q8_0), another program running beside.
#include "weights_avx2_integer.h"

#if defined(__x86_64__)

// Bytes of the codes' part of each layout; scales follow.
IQ_AVX2_INLINE size_t pair_count(size_t columns) { return (columns / 32 + 1) / 2; }
IQ_AVX2_INLINE const float *pair_scales(const float *prepared, size_t columns) {
    return prepared + 32 * pair_count(columns);
}

IQ_AVX2 void iq_avx2_prepare_pairs(const float *x, size_t columns, float *prepared) {
    const size_t blocks = columns / 32;
    uint8_t *codes = (uint8_t *)prepared;
    float *scales = (float *)pair_scales(prepared, columns);
    if (blocks & 1) memset(codes + 128 * (pair_count(columns) - 1), 0, 128);
    for (size_t b = 0; b < blocks; b++) {
        size_t pair = b / 2, half = b % 2;
        if (b / 4 < blocks / 4) {
            pair = b / 4 * 2 + b % 2;
            half = b / 2 % 2;
        }
        const float largest = largest_of(x + 32 * b, 32);
        struct rounded r = round32(x + 32 * b, iq_multiplier_inverse(largest));
        __m256i high, low;
        split(r, &high, &low);
        uint8_t *out = codes + 128 * pair + 16 * half;
        _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(high));
        _mm_storeu_si128((__m128i *)(out + 32), _mm256_extracti128_si256(high, 1));
        _mm_storeu_si128((__m128i *)(out + 64), _mm256_castsi256_si128(low));
        _mm_storeu_si128((__m128i *)(out + 96), _mm256_extracti128_si256(low, 1));
        scales[2 * b] = scale_of(largest);
        scales[2 * b + 1] = scales[2 * b] * (float)sum32(r);
    }
    for (size_t b = blocks; b < (blocks + 3) / 4 * 4; b++) scales[2 * b] = scales[2 * b + 1] = 0;
}

IQ_AVX2 void iq_avx2_prepare_words(const float *x, size_t columns, float *prepared) {
    __m256i *n = (__m256i *)prepared;
    float *scales = prepared + columns / 2;
    for (size_t k = 0; k < columns; k += 32) {
        const float largest = largest_of(x + k, 32);
        struct rounded r = round32(x + k, iq_multiplier_inverse(largest));
        _mm256_storeu_si256(n + k / 16, r.n[0]);
        _mm256_storeu_si256(n + k / 16 + 1, r.n[1]);
        scales[k / 32] = scale_of(largest);
    }
}

// ---- Q4_0, Q4_1 ----------------------------------------------------------------------------------------------

// Sums of codes · n of two blocks, four lanes each.
IQ_AVX2_INLINE __m256 pair_sums(__m256i codes, const __m256i *x) {
    const __m256i mask = _mm256_set1_epi8(15);
    const __m256i a = _mm256_and_si256(codes, mask), b = _mm256_and_si256(_mm256_srli_epi16(codes, 4), mask);
    __m256i high = _mm256_add_epi16(_mm256_maddubs_epi16(a, _mm256_loadu_si256(x)),
                                    _mm256_maddubs_epi16(b, _mm256_loadu_si256(x + 1)));
    __m256i low = _mm256_add_epi16(_mm256_maddubs_epi16(a, _mm256_loadu_si256(x + 2)),
                                   _mm256_maddubs_epi16(b, _mm256_loadu_si256(x + 3)));
    return _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(high, _mm256_set1_epi16(256)),
                                               _mm256_madd_epi16(low, _mm256_set1_epi16(1))));
}

IQ_AVX2_INLINE __m256i codes_of(const uint8_t *a, const uint8_t *b) {
    __m256i low = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a));
    return _mm256_inserti128_si256(low, _mm_loadu_si128((const __m128i *)b), 1);
}

// (scale, minimum) of blocks; of Q4_0, which has no minimum, (scale, scale).
IQ_AVX2_INLINE __m128i heads_of(__m128i heads, int has_minimum) {
    if (has_minimum) return heads;
    return _mm_or_si128(_mm_slli_epi32(heads, 16), _mm_and_si128(heads, _mm_set1_epi32(0xFFFF)));
}

IQ_AVX2_INLINE void pairs(const struct iq_product *p, size_t row, int T, int has_minimum) {
    const size_t bytes = has_minimum ? 20 : 18, codes = bytes - 16;
    const size_t blocks = p->columns / 32, groups = blocks / 4, stride = p->activation_stride;
    const float *scales = pair_scales(p->activations, p->columns), *x = p->activations;
    const uint8_t *b = row_of(p, row);
    // `factors` collects scale products in its even lanes (not wanted) and minimums · sums in its odd ones.
    __m256 total[VECTORS], factors[VECTORS];
    EACH(t, T) total[t] = factors[t] = _mm256_setzero_ps();
    for (size_t g = 0; g < groups; g++, b += 4 * bytes, x += 64) {
        __m128i heads = _mm_setr_epi32((int)iq_load32(b), (int)iq_load32(b + bytes), (int)iq_load32(b + 2 * bytes),
                                       (int)iq_load32(b + 3 * bytes));
        const __m256 weights = _mm256_cvtph_ps(heads_of(heads, has_minimum));
        const __m256i first = codes_of(b + codes, b + codes + 2 * bytes);
        const __m256i second = codes_of(b + codes + bytes, b + codes + 3 * bytes);
        fetch(b, 4 * bytes);
        EACH(t, T) {
            const __m256i *xt = (const __m256i *)(x + (size_t)t * stride);
            const __m256 both = _mm256_mul_ps(weights, _mm256_loadu_ps(scales + (size_t)t * stride + 8 * g));
            factors[t] = _mm256_add_ps(factors[t], both);
            total[t] = _mm256_fmadd_ps(_mm256_permute_ps(both, 0x00), pair_sums(first, xt), total[t]);
            total[t] = _mm256_fmadd_ps(_mm256_permute_ps(both, 0xAA), pair_sums(second, xt + 4), total[t]);
        }
    }
    for (size_t k = 4 * groups; k < blocks; k += 2, b += 2 * bytes, x += 32) {
        const int two = k + 1 < blocks;
        __m128i heads = _mm_setr_epi32((int)iq_load32(b), two ? (int)iq_load32(b + bytes) : 0, 0, 0);
        // A missing second block has scale and activations 0; any codes do.
        const __m256i pair = codes_of(b + codes, b + codes + (two ? bytes : 0));
        EACH(t, T) {
            __m128 both = _mm_mul_ps(_mm_cvtph_ps(heads_of(heads, has_minimum)),
                                     _mm_loadu_ps(scales + (size_t)t * stride + 2 * k));
            factors[t] = _mm256_add_ps(factors[t], _mm256_zextps128_ps256(both));
            const __m256 scale = _mm256_set_m128(_mm_permute_ps(both, 0xAA), _mm_permute_ps(both, 0x00));
            total[t] = _mm256_fmadd_ps(scale, pair_sums(pair, (const __m256i *)(x + (size_t)t * stride)), total[t]);
        }
    }
    // Minimums count as they are, the −8 of Q4_0 times its scale.
    const float weight = has_minimum ? 1 : -8;
    const __m256 odd = _mm256_setr_ps(0, weight, 0, weight, 0, weight, 0, weight);
    EACH(t, T) iq_put(p, row, t, iq_sum8(_mm256_fmadd_ps(odd, factors[t], total[t])));
}

// ---- Q8_0 ----------------------------------------------------------------------------------------------------

IQ_AVX2_INLINE void words(const struct iq_product *p, size_t row, int T) {
    const size_t blocks = p->columns / 32, stride = p->activation_stride;
    const float *scales = p->activations + p->columns / 2;
    const uint8_t *b = row_of(p, row);
    __m256 total[VECTORS];
    EACH(t, T) total[t] = _mm256_setzero_ps();
    for (size_t k = 0; k < blocks; k++, b += 34) {
        const __m128i *q = (const __m128i *)(b + IQ_Q8_0_CODES);
        const __m256i first = _mm256_cvtepi8_epi16(_mm_loadu_si128(q));
        const __m256i second = _mm256_cvtepi8_epi16(_mm_loadu_si128(q + 1));
        const __m256 d = _mm256_cvtph_ps(_mm_set1_epi16((short)iq_load16(b)));
        fetch(b, 1);
        EACH(t, T) {
            const __m256i *n = (const __m256i *)(p->activations + (size_t)t * stride) + 2 * k;
            __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(first, _mm256_loadu_si256(n)),
                                           _mm256_madd_epi16(second, _mm256_loadu_si256(n + 1)));
            const __m256 scale = _mm256_mul_ps(d, _mm256_broadcast_ss(scales + (size_t)t * stride + k));
            total[t] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum), total[t]);
        }
    }
    EACH(t, T) iq_put(p, row, t, iq_sum8(total[t]));
}

#define Q4_0(p, row, T) pairs(p, row, T, 0)
#define Q4_1(p, row, T) pairs(p, row, T, 1)

INTEGER_GEMV(q4_0, Q4_0)
INTEGER_GEMV(q4_1, Q4_1)
INTEGER_GEMV(q8_0, words)

#endif
