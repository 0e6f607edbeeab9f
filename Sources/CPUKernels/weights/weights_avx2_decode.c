// Blocks to float32 with AVX2: what the gemm unpacks its panels with, and embedding rows.
// Codes become bytes in column order, then eight at a time int32, float32, times the scale, plus the minimum (two
// roundings, as in the portable variant: both give the same bits).
#include "weights_avx2.h"

#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF

// v[i] = scale * (codes[i] - offset) + minimum for 32 bytes.
IQ_AVX2_INLINE void put32(float *v, __m256i codes, __m256i offset, __m256 scale, __m256 minimum) {
    __m128i low = _mm256_castsi256_si128(codes), high = _mm256_extracti128_si256(codes, 1);
    __m128i parts[4] = {low, _mm_unpackhi_epi64(low, low), high, _mm_unpackhi_epi64(high, high)};
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        __m256 q = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(parts[i]), offset));
        _mm256_storeu_ps(v + 8 * i, _mm256_add_ps(_mm256_mul_ps(scale, q), minimum));
    }
}

// v[i] = scale * (codes[i] - offset), without the addition, so that zeros keep their sign.
IQ_AVX2_INLINE void put32_symmetric(float *v, __m256i codes, __m256i offset, __m256 scale0, __m256 scale1) {
    __m128i low = _mm256_castsi256_si128(codes), high = _mm256_extracti128_si256(codes, 1);
    __m128i parts[4] = {low, _mm_unpackhi_epi64(low, low), high, _mm_unpackhi_epi64(high, high)};
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        __m256 q = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(parts[i]), offset));
        _mm256_storeu_ps(v + 8 * i, _mm256_mul_ps(i < 2 ? scale0 : scale1, q));
    }
}

IQ_AVX2 void iq_avx2_decode_f32(const void *blocks, float *v, size_t n) { memcpy(v, blocks, 4 * n); }

IQ_AVX2 void iq_avx2_decode_f16(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(v + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(b + 2 * i))));
    for (; i < n; i++) v[i] = iq_half(b + 2 * i);
}

IQ_AVX2 void iq_avx2_decode_bf16(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(b + 2 * i)));
        _mm256_storeu_ps(v + i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
    for (; i < n; i++) v[i] = iq_bits_to_float((uint32_t)iq_load16(b + 2 * i) << 16);
}

IQ_AVX2 void iq_avx2_decode_q8_0(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 34, v += 32) {
        __m256 d = _mm256_set1_ps(iq_half(b));
#pragma clang loop unroll(full)
        for (int i = 0; i < 32; i += 8) {
            __m256i q = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(b + IQ_Q8_0_CODES + i)));
            _mm256_storeu_ps(v + i, _mm256_mul_ps(d, _mm256_cvtepi32_ps(q)));
        }
    }
}

IQ_AVX2 void iq_avx2_decode_q4_0(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 18, v += 32) {
        __m256 d = _mm256_set1_ps(iq_half(b));
        put32_symmetric(v, iq_split_nibbles(b + IQ_Q4_0_CODES), _mm256_set1_epi32(8), d, d);
    }
}

IQ_AVX2 void iq_avx2_decode_q4_1(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 20, v += 32) {
        __m256 d = _mm256_set1_ps(iq_half(b)), m = _mm256_set1_ps(iq_half(b + 2));
        put32(v, iq_split_nibbles(b + IQ_Q4_1_CODES), _mm256_setzero_si256(), d, m);
    }
}

IQ_AVX2 void iq_avx2_decode_q5_0(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 22, v += 32) {
        __m256i fifth = iq_fifth_bits(iq_load32(b + IQ_Q5_0_HIGH));
        __m256 d = _mm256_set1_ps(iq_half(b));
        __m256i q = _mm256_or_si256(iq_split_nibbles(b + IQ_Q5_0_CODES), fifth);
        put32_symmetric(v, q, _mm256_set1_epi32(16), d, d);
    }
}

IQ_AVX2 void iq_avx2_decode_q5_1(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 24, v += 32) {
        __m256i fifth = iq_fifth_bits(iq_load32(b + IQ_Q5_1_HIGH));
        __m256 d = _mm256_set1_ps(iq_half(b)), m = _mm256_set1_ps(iq_half(b + 2));
        __m256i q = _mm256_or_si256(iq_split_nibbles(b + IQ_Q5_1_CODES), fifth);
        put32(v, q, _mm256_setzero_si256(), d, m);
    }
}

IQ_AVX2 void iq_avx2_decode_q4_k(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 256, b += 144, v += 256) {
        float d = iq_half(b), e = iq_half(b + 2);
        struct iq_k_scales s = iq_unpack_k_scales(b + IQ_K_SCALES);
        for (int sub = 0; sub < 8; sub++) {
            __m256i q = _mm256_loadu_si256((const __m256i *)(b + IQ_Q4_K_CODES + sub / 2 * 32));
            if (sub & 1) q = _mm256_srli_epi32(q, 4);
            q = _mm256_and_si256(q, _mm256_set1_epi8(15));
            __m256 scale = _mm256_set1_ps(d * (float)s.scale[sub]);
            __m256 minimum = _mm256_set1_ps(-(e * (float)s.minimum[sub]));
            put32(v + 32 * sub, q, _mm256_setzero_si256(), scale, minimum);
        }
    }
}

IQ_AVX2 void iq_avx2_decode_q5_k(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 256, b += 176, v += 256) {
        float d = iq_half(b), e = iq_half(b + 2);
        struct iq_k_scales s = iq_unpack_k_scales(b + IQ_K_SCALES);
        __m256i high = _mm256_loadu_si256((const __m256i *)(b + IQ_Q5_K_HIGH));
#pragma clang loop unroll(full)
        for (int sub = 0; sub < 8; sub++) {
            __m256 scale = _mm256_set1_ps(d * (float)s.scale[sub]);
            __m256 minimum = _mm256_set1_ps(-(e * (float)s.minimum[sub]));
            put32(v + 32 * sub, iq_q5_k_codes(b, high, sub), _mm256_setzero_si256(), scale, minimum);
        }
    }
}

IQ_AVX2 void iq_avx2_decode_q6_k(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 256, b += 210, v += 256) {
        float d = iq_half(b + IQ_Q6_K_SCALE);
        const int8_t *s = (const int8_t *)b + IQ_Q6_K_SCALES;
#pragma clang loop unroll(full)
        for (int sub = 0; sub < 8; sub++) {
            __m256 scale0 = _mm256_set1_ps(d * (float)s[2 * sub]);
            __m256 scale1 = _mm256_set1_ps(d * (float)s[2 * sub + 1]);
            put32_symmetric(v + 32 * sub, iq_q6_k_codes(b, sub), _mm256_set1_epi32(32), scale0, scale1);
        }
    }
}

#endif
