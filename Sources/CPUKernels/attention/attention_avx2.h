// Shared by the AVX2 attention kernels; not part of the module.
#ifndef INNERQ_ATTENTION_AVX2_H
#define INNERQ_ATTENTION_AVX2_H

#if defined(__x86_64__)
#include <immintrin.h>

#include "attention_codes.h"

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define INLINE static inline __attribute__((always_inline, target("avx2,fma,f16c")))

// Keeps the loads of one word's rows from being hoisted over those of the word before: without it the compiler
// broadcasts all 32 multipliers at once and spills most of them.
#define ROWS_BARRIER __asm__ volatile("" ::: "memory")

INLINE __m256 load_half(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

// Word w of 8 lanes. Of 3 bits, word 3 is made of bits 6 and 7 of the others, in their form.
INLINE __m256i iq_avx2_word(int bits, const uint32_t *words, size_t stride, int w) {
    if (bits < 3 || bits > 3 || w < 3) return _mm256_loadu_si256((const __m256i *)(words + (size_t)w * stride));
    const __m256i low = _mm256_set1_epi32(0x03030303);
    __m256i a = _mm256_loadu_si256((const __m256i *)words);
    __m256i b = _mm256_loadu_si256((const __m256i *)(words + stride));
    __m256i c = _mm256_loadu_si256((const __m256i *)(words + 2 * stride));
    a = _mm256_and_si256(_mm256_srli_epi32(a, 6), low);
    b = _mm256_and_si256(_mm256_srli_epi32(b, 3), _mm256_set1_epi32(0x18181818));
    __m256i high = _mm256_and_si256(_mm256_srli_epi32(c, 4), _mm256_set1_epi32(0x04040404));
    c = _mm256_and_si256(_mm256_srli_epi32(c, 2), _mm256_set1_epi32(0x20202020));
    return _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(high, c));
}

// Hybrid lanes as s·u + z: where the sign bit of s is clear the group is symmetric, s takes the sign of z, and
// z becomes −bias·s.
INLINE void hybrid_lane(__m256 *s, __m256 *z, float bias) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 magnitude = _mm256_andnot_ps(sign, *s);
    __m256 symmetric = _mm256_or_ps(magnitude, _mm256_and_ps(sign, *z));
    __m256 symmetric_zero = _mm256_mul_ps(_mm256_set1_ps(-bias), symmetric);
    __m256 flag = *s; // blendv looks at the sign bit
    *s = _mm256_blendv_ps(symmetric, magnitude, flag);
    *z = _mm256_blendv_ps(symmetric_zero, *z, flag);
}

#endif
#endif
