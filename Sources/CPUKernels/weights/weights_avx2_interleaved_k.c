// Panels of quantized weights times few vectors, in integers: formats with blocks of 256. As weights_avx2_interleaved.c, with
//
//     SUPER  Q4_K … Q6_K  per 32 activations: high, low; then a scale per 256, then scale · Σ n per 16 and per 32
//
// One scale for 256 lets the weights' own 6- and 8-bit scales be multiplied in integers, too, so that a block is converted to
// float32 once.
#include "weights_avx2_interleaved.h"

#if defined(__x86_64__)

IQ_AVX2 void iq_avx2_prepare_super(const float *x, size_t columns, float *prepared) {
    __m256i *bytes = (__m256i *)prepared;
    for (size_t k = 0; k < columns; k += 256) {
        const float largest = largest_of(x + k, 256), inverse = iq_multiplier_inverse(largest);
        const float scale = scale_of(largest);
        prepared[super_scales(columns) + k / 256] = scale;
        for (size_t b = k / 32; b < k / 32 + 8; b++) {
            struct rounded r = round32(x + 32 * b, inverse);
            __m256i high, low;
            split(r, &high, &low);
            _mm256_storeu_si256(bytes + 2 * b, high);
            _mm256_storeu_si256(bytes + 2 * b + 1, low);
            float first = scale * (float)sum16(r.n[0]), second = scale * (float)sum16(r.n[1]);
            prepared[super_sums16(columns) + 2 * b] = first;
            prepared[super_sums16(columns) + 2 * b + 1] = second;
            prepared[super_sums32(columns) + b] = first + second;
        }
    }
}

// Sums of a block of 256 columns: high and low parts by themselves, since 256 · high · scale would not fit.
struct block_sums {
    __m256i high, low;
};

IQ_AVX2_INLINE struct block_sums no_columns(void) {
    return (struct block_sums){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

IQ_AVX2_INLINE void add_scaled(struct block_sums *s, struct word_sums words, __m256i scale) {
    s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(words.high, scale));
    s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(words.low, scale));
}

IQ_AVX2_INLINE __m256 whole(struct block_sums s) {
    return _mm256_fmadd_ps(_mm256_set1_ps(256), _mm256_cvtepi32_ps(s.high), _mm256_cvtepi32_ps(s.low));
}

// 32-bit numbers as the same int16 twice, for pairs of products.
IQ_AVX2_INLINE __m256i doubled(__m256i n) { return _mm256_or_si256(n, _mm256_slli_epi32(n, 16)); }

// total += d · (scale of the activations) · sums.
IQ_AVX2_INLINE void add_block(const struct iq_product *p, int t, size_t k, __m256 d, struct block_sums sums, __m256 *total) {
    const __m256 scale = _mm256_mul_ps(d, _mm256_broadcast_ss(vector_of(p, t) + super_scales(p->columns) + k));
    *total = _mm256_fmadd_ps(scale, whole(sums), *total);
}

// ---- Q4_K, Q5_K ----------------------------------------------------------------------------------------------

IQ_AVX2_INLINE void super(const uint8_t *b, const struct iq_product *p, int T, __m256 *total, int fifth_at, int codes_at) {
    enum { SUBS = 8, WORDS = 8 };
    // Five bits fill the int16 sums with four words.
    const int parts = fifth_at != 0 ? 2 : 1;
    const size_t bytes = (size_t)codes_at + 1024;
    EACH(t, T) total[t] = _mm256_setzero_ps();
    for (size_t k = 0; k < p->columns / 256; k++, b += bytes) {
        const __m256i packed[3] = {load(b + IQ_PANEL_K_SCALES), load(b + IQ_PANEL_K_SCALES + 32),
                                   load(b + IQ_PANEL_K_SCALES + 64)};
        __m256i scales[SUBS];
        __m256 minimums[VECTORS];
        struct block_sums sums[VECTORS];
        EACH(t, T) sums[t] = no_columns();
        EACH(t, T) minimums[t] = _mm256_setzero_ps();
        EACH(sub, SUBS) {
            const __m256 m = _mm256_cvtepi32_ps(six_bits(packed, SUBS + sub));
            scales[sub] = doubled(six_bits(packed, sub));
            EACH(t, T) {
                const float *x = vector_of(p, t) + super_sums32(p->columns) + 8 * k;
                minimums[t] = _mm256_fmadd_ps(m, _mm256_broadcast_ss(x + sub), minimums[t]);
            }
        }
#pragma clang loop unroll(disable)
        for (int sub = 0; sub < SUBS; sub += 2) {
            const uint8_t *codes = b + codes_at + 128 * sub;
            fetch(b + bytes / SUBS * (size_t)sub, bytes / SUBS * 2);
            EACH(part, parts) {
                struct word_sums even[VECTORS], odd[VECTORS];
                EACH(t, T) even[t] = odd[t] = no_words();
                EACH(i, WORDS / parts) {
                    const int w = part * WORDS / 2 + i;
                    const __m256i q = load(codes + 32 * w);
                    __m256i a = low_nibbles(q), c = high_nibbles(q);
                    if (fifth_at) {
                        __m256i bits = _mm256_srl_epi32(load(b + fifth_at + 32 * w), _mm_cvtsi32_si128(sub));
                        a = _mm256_or_si256(a, fifth_of(bits, 0));
                        c = _mm256_or_si256(c, fifth_of(bits, 1));
                    }
                    EACH(t, T) {
                        add_word(&even[t], a, bytes_of(p, t, k, sub), w);
                        add_word(&odd[t], c, bytes_of(p, t, k, sub + 1), w);
                    }
                }
                EACH(t, T) {
                    add_scaled(&sums[t], even[t], scales[sub]);
                    add_scaled(&sums[t], odd[t], scales[sub + 1]);
                }
            }
        }
        const __m256 d = halves_of(b), e = halves_of(b + IQ_PANEL_SECOND);
        EACH(t, T) {
            add_block(p, t, k, d, sums[t], &total[t]);
            total[t] = _mm256_fnmadd_ps(e, minimums[t], total[t]);
        }
    }
}

// ---- Q6_K ----------------------------------------------------------------------------------------------------

IQ_AVX2_INLINE void super_q6_k(const uint8_t *b, const struct iq_product *p, int T, __m256 *total) {
    enum { BYTES = 210 * IQ_PANEL_ROWS, SUBS = 8 };
    EACH(t, T) total[t] = _mm256_setzero_ps();
    for (size_t k = 0; k < p->columns / 256; k++, b += BYTES) {
        __m256 offsets[VECTORS];
        struct block_sums sums[VECTORS];
        EACH(t, T) sums[t] = no_columns();
        EACH(t, T) offsets[t] = _mm256_setzero_ps();
#pragma clang loop unroll(disable)
        for (int sub = 0; sub < SUBS; sub++) {
            fetch(b + BYTES / SUBS * sub, BYTES / SUBS);
            EACH(half, 2) {
                const __m256i scale = q6_k_scales(b, sub, half);
                const __m256 factor = q6_k_factors(scale);
                const struct four_words q = q6_k_words(b, 2 * sub + half);
                EACH(t, T) {
                    const int32_t *x = bytes_of(p, t, k, sub);
                    const float *x16 = vector_of(p, t) + super_sums16(p->columns) + 16 * k + 2 * sub + half;
                    // Six bits fill the int16 sums with two words.
                    struct word_sums first = no_words(), second = no_words();
                    add_word(&first, q.word[0], x, 4 * half);
                    add_word(&first, q.word[1], x, 4 * half + 1);
                    add_word(&second, q.word[2], x, 4 * half + 2);
                    add_word(&second, q.word[3], x, 4 * half + 3);
                    add_scaled(&sums[t], first, scale);
                    add_scaled(&sums[t], second, scale);
                    offsets[t] = _mm256_fmadd_ps(factor, _mm256_broadcast_ss(x16), offsets[t]);
                }
            }
        }
        const __m256 d = halves_of(b);
        EACH(t, T) {
            add_block(p, t, k, d, sums[t], &total[t]);
            total[t] = _mm256_fmadd_ps(_mm256_mul_ps(d, _mm256_set1_ps(-32)), offsets[t], total[t]);
        }
    }
}

#define Q4_K(b, p, T, sums) super(b, p, T, sums, 0, IQ_PANEL_Q4_K_CODES)
#define Q5_K(b, p, T, sums) super(b, p, T, sums, IQ_PANEL_Q5_K_FIFTH, IQ_PANEL_Q5_K_CODES)

PANEL_GEMV(q4_k, Q4_K)
PANEL_GEMV(q5_k, Q5_K)
PANEL_GEMV(q6_k, super_q6_k)

#endif
