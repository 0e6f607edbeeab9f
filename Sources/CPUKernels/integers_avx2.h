// Rounding of float32 vectors to integers of 16 bits with AVX2, for attention and for weights; not part of the module.
#ifndef INNERQ_INTEGERS_AVX2_H
#define INNERQ_INTEGERS_AVX2_H

#include "attention_integer.h"
#include "weights_avx2.h"

#if defined(__x86_64__)

struct rounded {
    __m256i n[2]; // 32 int16 in order
};

IQ_AVX2_INLINE __m256 absolute(__m256 v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }

IQ_AVX2_INLINE float largest_of(const float *x, size_t count) {
    __m256 m = _mm256_setzero_ps(), bad = _mm256_setzero_ps();
    for (size_t i = 0; i < count; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        m = _mm256_max_ps(m, absolute(v));
        bad = _mm256_fmadd_ps(_mm256_setzero_ps(), v, bad);
    }
    // 0 · x is NaN where x is not finite; it then spoils the scale, and with it all outputs.
    if (_mm256_movemask_ps(_mm256_cmp_ps(bad, bad, _CMP_UNORD_Q))) return NAN;
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

IQ_AVX2_INLINE float scale_of(float largest) { return isnan(largest) ? NAN : iq_multiplier_scale(largest); }

IQ_AVX2_INLINE struct rounded round32(const float *x, float inverse) {
    const __m256 f = _mm256_set1_ps(inverse);
    struct rounded r;
    for (int h = 0; h < 2; h++) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * h), f));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * h + 8), f));
        r.n[h] = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    }
    return r;
}

IQ_AVX2_INLINE int32_t sum_of_8(__m256i s) {
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1)));
}

// Sums of neighbours.
IQ_AVX2_INLINE __m256i in_pairs(__m256i n) { return _mm256_madd_epi16(n, _mm256_set1_epi16(1)); }

IQ_AVX2_INLINE int32_t sum16(__m256i n) { return sum_of_8(in_pairs(n)); }

IQ_AVX2_INLINE int32_t sum32(struct rounded r) {
    return sum_of_8(_mm256_add_epi32(in_pairs(r.n[0]), in_pairs(r.n[1])));
}

// Multiples of 256: what the high bytes alone say.
IQ_AVX2_INLINE struct rounded without_low(struct rounded r) {
    for (int h = 0; h < 2; h++)
        r.n[h] = _mm256_and_si256(_mm256_add_epi16(r.n[h], _mm256_set1_epi16(128)), _mm256_set1_epi16(-256));
    return r;
}

// High and low bytes of 32 numbers, in order.
IQ_AVX2_INLINE void split(struct rounded r, __m256i *high, __m256i *low) {
    const __m256i half = _mm256_set1_epi16(128);
    __m256i a = _mm256_srai_epi16(_mm256_add_epi16(r.n[0], half), 8);
    __m256i b = _mm256_srai_epi16(_mm256_add_epi16(r.n[1], half), 8);
    *high = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xD8);
    a = _mm256_sub_epi16(r.n[0], _mm256_slli_epi16(a, 8));
    b = _mm256_sub_epi16(r.n[1], _mm256_slli_epi16(b, 8));
    *low = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xD8);
}

#endif
#endif
