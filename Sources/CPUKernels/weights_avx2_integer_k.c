// Quantized weights times few vectors, in integers: formats with blocks of 256. As weights_avx2_integer.c, with
//
//     SUPER  Q4_K … Q6_K  per 32 activations: high, low; then a scale per 256, then scale · Σ n per 16 and per 32
//
// One scale for 256 lets the weights' own 6- and 8-bit scales be multiplied in integers, too, so that a block is converted to
// float32 once. Measured as there: 20 G multiply-adds/s of Q4_K (12), 15 of Q6_K (12); from memory 11 to 13 GB/s.
#include "weights_avx2_integer.h"

#if defined(__x86_64__)

// Floats after the bytes: scale per 256, sums per 16, sums per 32.
IQ_AVX2_INLINE size_t super_scales(size_t columns) { return columns / 2; }
IQ_AVX2_INLINE size_t super_sums16(size_t columns) { return super_scales(columns) + columns / 256; }
IQ_AVX2_INLINE size_t super_sums32(size_t columns) { return super_sums16(columns) + columns / 16; }

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

// Adds scale · codes · n of 32 columns: high and low parts by themselves, since 256 · high · scale would not fit.
IQ_AVX2_INLINE void add_sub_block(__m256i codes, __m256i scale, const __m256i *x, __m256i *high, __m256i *low) {
    const __m256i h = _mm256_maddubs_epi16(codes, _mm256_loadu_si256(x));
    const __m256i l = _mm256_maddubs_epi16(codes, _mm256_loadu_si256(x + 1));
    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(h, scale));
    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(l, scale));
}

IQ_AVX2_INLINE __m256 whole(__m256i high, __m256i low) {
    return _mm256_fmadd_ps(_mm256_set1_ps(256), _mm256_cvtepi32_ps(high), _mm256_cvtepi32_ps(low));
}

// 32-bit numbers as the same int16 twice, for pairs of products.
IQ_AVX2_INLINE __m256i doubled(__m256i n) {
    return _mm256_or_si256(_mm256_and_si256(n, _mm256_set1_epi32(0xFFFF)), _mm256_slli_epi32(n, 16));
}

// Lane `sub` % 4 of each half, in all its lanes.
IQ_AVX2_INLINE __m256i spread(__m256i scales, int sub) {
    switch (sub & 3) {
    case 0: return _mm256_shuffle_epi32(scales, 0x00);
    case 1: return _mm256_shuffle_epi32(scales, 0x55);
    case 2: return _mm256_shuffle_epi32(scales, 0xAA);
    default: return _mm256_shuffle_epi32(scales, 0xFF);
    }
}

IQ_AVX2_INLINE const __m256i *bytes_of(const struct iq_product *p, int t, size_t k, int sub) {
    return (const __m256i *)(p->activations + (size_t)t * p->activation_stride) + 2 * (8 * k + (size_t)sub);
}

IQ_AVX2_INLINE void add_scaled(const struct iq_product *p, int t, size_t k, __m128 d, __m256i high, __m256i low,
                               __m256 *total) {
    const float *scales = p->activations + (size_t)t * p->activation_stride + super_scales(p->columns);
    *total = _mm256_fmadd_ps(_mm256_broadcastss_ps(_mm_mul_ss(d, _mm_load_ss(scales + k))), whole(high, low), *total);
}

IQ_AVX2_INLINE void super(const struct iq_product *p, size_t row, int T, int fifth) {
    const size_t bytes = fifth ? 176 : 144, stride = p->activation_stride;
    const uint8_t *b = row_of(p, row);
    __m256 total[VECTORS], offset[VECTORS];
    EACH(t, T) total[t] = offset[t] = _mm256_setzero_ps();
    for (size_t k = 0; k < p->columns / 256; k++, b += bytes) {
        struct iq_k_scales s = iq_unpack_k_scales(b + IQ_K_SCALES);
        const __m256i all = doubled(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)s.scale)));
        const __m256i scales[2] = {_mm256_permute2x128_si256(all, all, 0x00), _mm256_permute2x128_si256(all, all, 0x11)};
        const __m256 minimums =
            _mm256_mul_ps(_mm256_broadcastss_ps(iq_half_lane(b + 2)),
                          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)s.minimum))));
        __m256i high[VECTORS], low[VECTORS];
        EACH(t, T) {
            const float *sums = p->activations + (size_t)t * stride + super_sums32(p->columns) + 8 * k;
            offset[t] = _mm256_fnmadd_ps(minimums, _mm256_loadu_ps(sums), offset[t]);
            high[t] = low[t] = _mm256_setzero_si256();
        }
        fetch(b, bytes);
        EACH(sub, 8) {
            __m256i codes;
            if (fifth) {
                codes = iq_q5_k_codes(b, _mm256_loadu_si256((const __m256i *)(b + IQ_Q5_K_HIGH)), sub);
            } else {
                codes = _mm256_loadu_si256((const __m256i *)(b + IQ_Q4_K_CODES + sub / 2 * 32));
                if (sub & 1) codes = _mm256_srli_epi16(codes, 4);
                codes = _mm256_and_si256(codes, _mm256_set1_epi8(15));
            }
            const __m256i scale = spread(scales[sub / 4], sub);
            EACH(t, T) add_sub_block(codes, scale, bytes_of(p, t, k, sub), &high[t], &low[t]);
        }
        EACH(t, T) add_scaled(p, t, k, iq_half_lane(b), high[t], low[t], &total[t]);
    }
    EACH(t, T) iq_put(p, row, t, iq_sum8(_mm256_add_ps(total[t], offset[t])));
}

IQ_AVX2_INLINE void super_q6_k(const struct iq_product *p, size_t row, int T) {
    const size_t bytes = 210, stride = p->activation_stride;
    // Scales of 16 columns: those of even numbers to the lower half, of odd ones to the upper.
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    const uint8_t *b = row_of(p, row);
    __m256 total[VECTORS], offset[VECTORS];
    EACH(t, T) total[t] = offset[t] = _mm256_setzero_ps();
    for (size_t k = 0; k < p->columns / 256; k++, b += bytes) {
        const __m256 d = _mm256_broadcastss_ps(iq_half_lane(b + IQ_Q6_K_SCALE));
        __m256i scales[2], high[VECTORS], low[VECTORS];
        EACH(half, 2) {
            const __m256i s = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(b + IQ_Q6_K_SCALES + 8 * half)));
            scales[half] = _mm256_permutevar8x32_epi32(doubled(s), order);
            const __m256 floats = _mm256_mul_ps(d, _mm256_cvtepi32_ps(s));
            EACH(t, T) {
                const float *sums = p->activations + (size_t)t * stride + super_sums16(p->columns);
                offset[t] = _mm256_fmadd_ps(floats, _mm256_loadu_ps(sums + 16 * k + 8 * (size_t)half), offset[t]);
            }
        }
        EACH(t, T) high[t] = low[t] = _mm256_setzero_si256();
        fetch(b, bytes);
        EACH(sub, 8) {
            const __m256i codes = iq_q6_k_codes(b, sub), scale = spread(scales[sub / 4], sub);
            EACH(t, T) add_sub_block(codes, scale, bytes_of(p, t, k, sub), &high[t], &low[t]);
        }
        EACH(t, T) add_scaled(p, t, k, iq_half_lane(b + IQ_Q6_K_SCALE), high[t], low[t], &total[t]);
    }
    EACH(t, T) iq_put(p, row, t, iq_sum8(_mm256_fmadd_ps(_mm256_set1_ps(-32), offset[t], total[t])));
}

#define Q4_K(p, row, T) super(p, row, T, 0)
#define Q5_K(p, row, T) super(p, row, T, 1)

INTEGER_GEMV(q4_k, Q4_K)
INTEGER_GEMV(q5_k, Q5_K)
INTEGER_GEMV(q6_k, super_q6_k)

#endif
