// Panels of interleaved rows to float32 with AVX2, for the gemm: lanes are rows already, so nothing is transposed.
// Rounded as rows are (weights_avx2_decode.c): the bits are the same.
#include "weights_avx2_interleaved.h"

#if defined(__x86_64__)

#pragma STDC FP_CONTRACT OFF

// Where the columns of a panel go.
struct columns_out {
    float *values;
    size_t step;
};

IQ_AVX2_INLINE __m256 byte_of(__m256i codes, int j, int middle) {
    const __m256i byte = _mm256_and_si256(_mm256_srli_epi32(codes, 8 * j), _mm256_set1_epi32(255));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(byte, _mm256_set1_epi32(middle)));
}

// Columns `first` to `first` + 3: scale · code + minimum.
IQ_AVX2_INLINE void put_word(struct columns_out to, size_t first, __m256i codes, __m256 scale, __m256 minimum) {
    EACH(j, 4)
        _mm256_storeu_ps(to.values + (first + (size_t)j) * to.step,
                         _mm256_add_ps(_mm256_mul_ps(scale, byte_of(codes, j, 0)), minimum));
}

// scale · (code − middle), without the addition, so that zeros keep their sign.
IQ_AVX2_INLINE void put_word_symmetric(struct columns_out to, size_t first, __m256i codes, __m256 scale, int middle) {
    EACH(j, 4)
        _mm256_storeu_ps(to.values + (first + (size_t)j) * to.step, _mm256_mul_ps(scale, byte_of(codes, j, middle)));
}

IQ_AVX2_INLINE void blocks(const uint8_t *b, float *values, size_t columns, size_t step, const struct panel_block f) {
    for (size_t k = 0; k < columns; k += 32, b += f.bytes) {
        const struct columns_out to = {values + k * step, step};
        const __m256 d = halves_of(b), m = halves_of(b + IQ_PANEL_SECOND);
        EACH(w, 4) {
            const struct two_words words = block_words(b, f, w);
            const size_t first = 4 * (size_t)w;
            if (f.has_minimum) {
                put_word(to, first, words.first, d, m);
                put_word(to, 16 + first, words.second, d, m);
            } else {
                put_word_symmetric(to, first, words.first, d, f.middle);
                put_word_symmetric(to, 16 + first, words.second, d, f.middle);
            }
        }
    }
}

#define BLOCKS(name)                                                                                    \
    IQ_AVX2 void iq_avx2_panel_##name(const void *panel, float *values, size_t columns, size_t step) {  \
        blocks(panel, values, columns, step, panel_##name);                                             \
    }
BLOCKS(q4_0)
BLOCKS(q4_1)
BLOCKS(q5_0)
BLOCKS(q5_1)

IQ_AVX2 void iq_avx2_panel_q8_0(const void *panel, float *values, size_t columns, size_t step) {
    const uint8_t *b = panel;
    for (size_t k = 0; k < columns; k += 32, b += 34 * IQ_PANEL_ROWS) {
        const __m256 d = halves_of(b);
        EACH(w, 16) {
            const __m256i q = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + IQ_PANEL_Q8_0_CODES + 16 * w)));
            const __m256i even = _mm256_srai_epi32(_mm256_slli_epi32(q, 16), 16), odd = _mm256_srai_epi32(q, 16);
            float *to = values + (k + 2 * (size_t)w) * step;
            _mm256_storeu_ps(to, _mm256_mul_ps(d, _mm256_cvtepi32_ps(even)));
            _mm256_storeu_ps(to + step, _mm256_mul_ps(d, _mm256_cvtepi32_ps(odd)));
        }
    }
}

IQ_AVX2_INLINE void super(const uint8_t *b, float *values, size_t columns, size_t step, int fifth_at, int codes_at) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    for (size_t k = 0; k < columns; k += 256, b += codes_at + 1024) {
        const __m256i words[3] = {load(b + IQ_PANEL_K_SCALES), load(b + IQ_PANEL_K_SCALES + 32),
                                  load(b + IQ_PANEL_K_SCALES + 64)};
        const __m256 d = halves_of(b), e = halves_of(b + IQ_PANEL_SECOND);
        EACH(sub, 8) {
            const struct columns_out to = {values + (k + 32 * (size_t)sub) * step, step};
            const __m256 scale = _mm256_mul_ps(d, _mm256_cvtepi32_ps(six_bits(words, sub)));
            const __m256 minimum =
                _mm256_xor_ps(sign, _mm256_mul_ps(e, _mm256_cvtepi32_ps(six_bits(words, 8 + sub))));
            for (size_t w = 0; w < 8; w++) {
                const __m256i q = load(b + codes_at + 128 * (sub & ~1) + 32 * w);
                __m256i codes = sub & 1 ? high_nibbles(q) : low_nibbles(q);
                if (fifth_at) codes = _mm256_or_si256(codes, fifth_of(load(b + fifth_at + 32 * w), sub));
                put_word(to, 4 * w, codes, scale, minimum);
            }
        }
    }
}

IQ_AVX2 void iq_avx2_panel_q4_k(const void *panel, float *values, size_t columns, size_t step) {
    super(panel, values, columns, step, 0, IQ_PANEL_Q4_K_CODES);
}

IQ_AVX2 void iq_avx2_panel_q5_k(const void *panel, float *values, size_t columns, size_t step) {
    super(panel, values, columns, step, IQ_PANEL_Q5_K_FIFTH, IQ_PANEL_Q5_K_CODES);
}

IQ_AVX2 void iq_avx2_panel_q6_k(const void *panel, float *values, size_t columns, size_t step) {
    const uint8_t *b = panel;
    for (size_t k = 0; k < columns; k += 256, b += 210 * IQ_PANEL_ROWS) {
        const __m256 d = halves_of(b);
        for (int sub = 0; sub < 8; sub++) {
            EACH(half, 2) {
                const __m256 scale = _mm256_mul_ps(d, q6_k_factors(q6_k_scales(b, sub, half)));
                const struct four_words q = q6_k_words(b, 2 * sub + half);
                const struct columns_out to = {values + (k + 32 * (size_t)sub + 16 * (size_t)half) * step, step};
                EACH(w, 4) put_word_symmetric(to, 4 * (size_t)w, q.word[w], scale, 32);
            }
        }
    }
}

#endif
