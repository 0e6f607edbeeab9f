// Panels of quantized weights times few vectors, in integers: formats with blocks of 32.
//
// Activations are rounded to 16 bits with a scale for each 32 of them, n = 256 · high + low, so that byte products (maddubs)
// multiply codes where float32 kernels would have to convert them:
//
//     BLOCKS  4 and 5 bits  per 32: | high bytes | low bytes |, in order; then per 32: scale and scale · Σ n
//     WORDS   Q8_0          n as int16 in order, then a scale per 32
//
// Sums of codes · n are exact int32; each is rounded once to float32 and multiplied by both scales. Against float32 that is an
// error of 2^-16 of the largest activation of a block; logits move by less than 1e-2 (docs/performance.md).
//
//                  columns   0  1  2  3 | 4 …            a register of codes: four columns of eight rows
//     codes, row 0          b0 b1 b2 b3                  maddubs with the broadcast bytes of four activations:
//            row 1          b0 b1 b2 b3                  two int16 sums a row, which eight words may share
//            …
//            row 7          b0 b1 b2 b3
//
#include "weights_avx2_interleaved.h"

#if defined(__x86_64__)

IQ_AVX2 void iq_avx2_prepare_blocks(const float *x, size_t columns, float *prepared) {
    __m256i *bytes = (__m256i *)prepared;
    float *scales = prepared + columns / 2;
    for (size_t b = 0; b < columns / 32; b++) {
        const float largest = largest_of(x + 32 * b, 32);
        struct rounded r = round32(x + 32 * b, iq_multiplier_inverse(largest));
        __m256i high, low;
        split(r, &high, &low);
        _mm256_storeu_si256(bytes + 2 * b, high);
        _mm256_storeu_si256(bytes + 2 * b + 1, low);
        scales[2 * b] = scale_of(largest);
        scales[2 * b + 1] = scales[2 * b] * (float)sum32(r);
    }
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

// ---- 4 and 5 bits --------------------------------------------------------------------------------------------

IQ_AVX2_INLINE __m256i in_lanes(struct word_sums s) {
    return _mm256_add_epi32(_mm256_madd_epi16(s.high, _mm256_set1_epi16(256)),
                            _mm256_madd_epi16(s.low, _mm256_set1_epi16(1)));
}

IQ_AVX2_INLINE void blocks(const uint8_t *b, const struct iq_product *p, int T, __m256 *total,
                           const struct panel_block f) {
    const size_t stride = p->activation_stride;
    const float *x = p->activations, *scales = x + p->columns / 2;
    __m256 offset[VECTORS];
    EACH(t, T) total[t] = offset[t] = _mm256_setzero_ps();
    for (size_t k = 0; k < p->columns / 32; k++, b += f.bytes, x += 16, scales += 2) {
        struct word_sums first[VECTORS], second[VECTORS];
        EACH(t, T) first[t] = second[t] = no_words();
        fetch(b, f.bytes);
        EACH(w, 4) {
            const struct two_words words = block_words(b, f, w);
            EACH(t, T) {
                const int32_t *xt = (const int32_t *)(x + (size_t)t * stride);
                add_word(&first[t], words.first, xt, w);
                add_word(f.fifth_at ? &second[t] : &first[t], words.second, xt, 4 + w);
            }
        }
        const __m256 d = halves_of(b), m = f.has_minimum ? halves_of(b + IQ_PANEL_SECOND) : d;
        EACH(t, T) {
            const float *s = scales + (size_t)t * stride;
            __m256i n = in_lanes(first[t]);
            if (f.fifth_at) n = _mm256_add_epi32(n, in_lanes(second[t]));
            total[t] = _mm256_fmadd_ps(_mm256_mul_ps(d, _mm256_broadcast_ss(s)), _mm256_cvtepi32_ps(n), total[t]);
            offset[t] = _mm256_fmadd_ps(m, _mm256_broadcast_ss(s + 1), offset[t]);
        }
    }
    EACH(t, T) total[t] = _mm256_fmadd_ps(_mm256_set1_ps(f.has_minimum ? 1 : -(float)f.middle), offset[t], total[t]);
}

// ---- Q8_0 ----------------------------------------------------------------------------------------------------

IQ_AVX2_INLINE void words(const uint8_t *b, const struct iq_product *p, int T, __m256 *total) {
    const size_t stride = p->activation_stride;
    const float *x = p->activations, *scales = x + p->columns / 2;
    EACH(t, T) total[t] = _mm256_setzero_ps();
    for (size_t k = 0; k < p->columns / 32; k++, b += 34 * IQ_PANEL_ROWS, x += 16, scales++) {
        __m256i sum[VECTORS];
        EACH(t, T) sum[t] = _mm256_setzero_si256();
        fetch(b, 34 * IQ_PANEL_ROWS);
        EACH(w, 16) {
            const __m256i q =
                _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + IQ_PANEL_Q8_0_CODES + 16 * w)));
            EACH(t, T) {
                const int32_t *xt = (const int32_t *)(x + (size_t)t * stride);
                sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(q, _mm256_set1_epi32(xt[w])));
            }
        }
        const __m256 d = halves_of(b);
        EACH(t, T) {
            const __m256 scale = _mm256_mul_ps(d, _mm256_broadcast_ss(scales + (size_t)t * stride));
            total[t] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum[t]), total[t]);
        }
    }
}

#define Q4_0(b, p, T, sums) blocks(b, p, T, sums, panel_q4_0)
#define Q4_1(b, p, T, sums) blocks(b, p, T, sums, panel_q4_1)
#define Q5_0(b, p, T, sums) blocks(b, p, T, sums, panel_q5_0)
#define Q5_1(b, p, T, sums) blocks(b, p, T, sums, panel_q5_1)

PANEL_GEMV(q4_0, Q4_0)
PANEL_GEMV(q4_1, Q4_1)
PANEL_GEMV(q5_0, Q5_0)
PANEL_GEMV(q5_1, Q5_1)
PANEL_GEMV(q8_0, words)

#endif
