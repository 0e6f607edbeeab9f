// Formats whose codes are unpacked to bytes, times few vectors: Q5_0, Q5_1, Q4_K, Q5_K, Q6_K.
//
// Lanes are columns: 32 codes of consecutive columns fill a register as bytes, read as eight 32-bit lanes
// of four (IQ_ACTIVATIONS_BYTES in iq_weights.h). Per 32 weights: unpack, then four times mask, int32 -> float32, fused
// multiply-add; the shift of each byte is in its activation's exponent. Codes stay below 128, so
// that the top byte is no sign. Offsets and minimums are multiplied with the activations' sums.
//
// Measured as in weights_avx2_nibbles.c, G multiply-adds/s from cache with one and with four vectors (and bytes for each):
// Q4_K 15.7, 26 (0.56); Q5_K 11.9, 23 (0.69); Q6_K 13.4, 26 (0.82); Q5_0 9, 21 (0.69); Q5_1 10, 20 (0.75).
#include "weights_avx2.h"

#if defined(__x86_64__)

// After the 4 * 8 vectors of every 32 columns.
IQ_AVX2_INLINE size_t sums_of_32(size_t columns) { return columns; }
IQ_AVX2_INLINE size_t sums_of_16(size_t columns) { return columns + columns / 32; }

IQ_AVX2 void iq_avx2_prepare_bytes(const float *x, size_t columns, float *prepared) {
    const __m128 factors[4] = {_mm_set1_ps(1), _mm_set1_ps(0x1p-8f), _mm_set1_ps(0x1p-16f), _mm_set1_ps(0x1p-24f)};
    float *sum32 = prepared + sums_of_32(columns), *sum16 = prepared + sums_of_16(columns);
    for (size_t k = 0; k < columns; k += 32) {
        __m128 sums[2];
        for (size_t h = 0; h < 2; h++) {
            const float *from = x + k + 16 * h;
            __m128 c[4] = {_mm_loadu_ps(from), _mm_loadu_ps(from + 4), _mm_loadu_ps(from + 8), _mm_loadu_ps(from + 12)};
            _MM_TRANSPOSE4_PS(c[0], c[1], c[2], c[3]);
            for (size_t j = 0; j < 4; j++) _mm_store_ps(prepared + k + 8 * j + 4 * h, _mm_mul_ps(c[j], factors[j]));
            sums[h] = _mm_add_ps(_mm_add_ps(c[0], c[1]), _mm_add_ps(c[2], c[3]));
            sum16[k / 16 + h] = iq_sum4(sums[h]);
        }
        sum32[k / 32] = iq_sum4(_mm_add_ps(sums[0], sums[1]));
    }
}

// out[t] = 32 byte codes times 32 prepared activations.
IQ_AVX2_INLINE void multiply_bytes(__m256i w, const float *x, size_t stride, int T, __m256 *out) {
    __m256 odd[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j += 2) {
        __m256 a = _mm256_cvtepi32_ps(_mm256_and_si256(w, _mm256_set1_epi32((int)(0xFFu << 8 * j))));
        __m256 b = _mm256_cvtepi32_ps(_mm256_and_si256(w, _mm256_set1_epi32((int)(0xFFu << 8 * (j + 1)))));
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) {
            const float *xt = x + (size_t)t * stride + 8 * j;
            if (j == 0) {
                out[t] = _mm256_mul_ps(a, _mm256_load_ps(xt));
                odd[t] = _mm256_mul_ps(b, _mm256_load_ps(xt + 8));
            } else {
                out[t] = _mm256_fmadd_ps(a, _mm256_load_ps(xt), out[t]);
                odd[t] = _mm256_fmadd_ps(b, _mm256_load_ps(xt + 8), odd[t]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < T; t++) out[t] = _mm256_add_ps(out[t], odd[t]);
}

// Q5_0 and Q5_1: total collects scale * codes * x, offset the rest of the weight times block sums.
IQ_AVX2_INLINE void rows_of_32(const struct iq_product *p, int T, int has_minimum) {
    const size_t bytes = has_minimum ? 24 : 22, stride = p->activation_stride;
    const size_t high = has_minimum ? IQ_Q5_1_HIGH : IQ_Q5_0_HIGH, low = high + 4;
    const float *sums = p->activations + sums_of_32(p->columns);
    for (size_t r = p->row_begin; r < p->row_end; r++) {
        const uint8_t *b = (const uint8_t *)p->weights + r * p->row_bytes;
        const float *x = p->activations;
        __m256 total[4], part[4];
        __m128 offset[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) {
            total[t] = _mm256_setzero_ps();
            offset[t] = _mm_setzero_ps();
        }
        for (size_t k = 0; k < p->columns / 32; k++, b += bytes, x += 32) {
            __m128 d = iq_half_lane(b);
            __m256i codes = _mm256_or_si256(iq_split_nibbles(b + low), iq_fifth_bits(iq_load32(b + high)));
            multiply_bytes(codes, x, stride, T, part);
            __m128 m = has_minimum ? iq_half_lane(b + 2) : d;
            __m256 scale = _mm256_broadcastss_ps(d);
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++) {
                total[t] = _mm256_fmadd_ps(scale, part[t], total[t]);
                offset[t] = _mm_fmadd_ss(m, _mm_load_ss(sums + (size_t)t * stride + k), offset[t]);
            }
        }
        const float weight = has_minimum ? 1 : -16;
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) iq_put(p, r, t, iq_sum8(total[t]) + weight * _mm_cvtss_f32(offset[t]));
    }
}

// Q4_K and Q5_K: per block of 256 eight scales d s and eight minimums e m.
IQ_AVX2_INLINE void rows_of_k(const struct iq_product *p, int T, int fifth) {
    const size_t bytes = fifth ? 176 : 144, stride = p->activation_stride;
    const float *sums = p->activations + sums_of_32(p->columns);
    for (size_t r = p->row_begin; r < p->row_end; r++) {
        const uint8_t *b = (const uint8_t *)p->weights + r * p->row_bytes;
        const float *x = p->activations;
        __m256 total[4], offset[4], part[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) total[t] = offset[t] = _mm256_setzero_ps();
        for (size_t k = 0; k < p->columns / 256; k++, b += bytes, x += 256) {
            struct iq_k_scales s = iq_unpack_k_scales(b + IQ_K_SCALES);
            __m256 d = _mm256_broadcastss_ps(iq_half_lane(b)), e = _mm256_broadcastss_ps(iq_half_lane(b + 2));
            __m256i scale_codes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)s.scale));
            __m256i minimum_codes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)s.minimum));
            __m256 minimums = _mm256_mul_ps(e, _mm256_cvtepi32_ps(minimum_codes));
            _Alignas(32) float scales[8];
            _mm256_store_ps(scales, _mm256_mul_ps(d, _mm256_cvtepi32_ps(scale_codes)));
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++)
                offset[t] = _mm256_fnmadd_ps(minimums, _mm256_loadu_ps(sums + (size_t)t * stride + 8 * k), offset[t]);
            __m256i high = fifth ? _mm256_loadu_si256((const __m256i *)(b + IQ_Q5_K_HIGH)) : _mm256_setzero_si256();
#pragma clang loop unroll(full)
            for (int sub = 0; sub < 8; sub++) {
                __m256i codes;
                if (fifth) {
                    codes = iq_q5_k_codes(b, high, sub);
                } else {
                    codes = _mm256_loadu_si256((const __m256i *)(b + IQ_Q4_K_CODES + sub / 2 * 32));
                    if (sub & 1) codes = _mm256_srli_epi32(codes, 4);
                    codes = _mm256_and_si256(codes, _mm256_set1_epi8(15));
                }
                multiply_bytes(codes, x + 32 * sub, stride, T, part);
                __m256 scale = _mm256_broadcast_ss(scales + sub);
#pragma clang loop unroll(full)
                for (int t = 0; t < T; t++) total[t] = _mm256_fmadd_ps(scale, part[t], total[t]);
            }
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) iq_put(p, r, t, iq_sum8(_mm256_add_ps(total[t], offset[t])));
    }
}

// Q6_K: sixteen scales a block, so two to a register of 32 codes.
IQ_AVX2_INLINE void rows_q6_k(const struct iq_product *p, int T) {
    const size_t stride = p->activation_stride;
    const float *sums = p->activations + sums_of_16(p->columns);
    const __m256i halves = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1), two = _mm256_set1_epi32(2);
    for (size_t r = p->row_begin; r < p->row_end; r++) {
        const uint8_t *b = (const uint8_t *)p->weights + r * p->row_bytes;
        const float *x = p->activations;
        __m256 total[4], offset[4], part[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) total[t] = offset[t] = _mm256_setzero_ps();
        for (size_t k = 0; k < p->columns / 256; k++, b += 210, x += 256) {
            __m256 d = _mm256_broadcastss_ps(iq_half_lane(b + IQ_Q6_K_SCALE)), scales[2];
#pragma clang loop unroll(full)
            for (int half = 0; half < 2; half++) {
                const __m128i *s = (const __m128i *)(b + IQ_Q6_K_SCALES + 8 * half);
                scales[half] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(s))));
#pragma clang loop unroll(full)
                for (int t = 0; t < T; t++) {
                    __m256 sum = _mm256_loadu_ps(sums + (size_t)t * stride + 16 * k + 8 * (size_t)half);
                    offset[t] = _mm256_fmadd_ps(scales[half], sum, offset[t]);
                }
            }
            __m256i lanes = halves;
#pragma clang loop unroll(full)
            for (int sub = 0; sub < 8; sub++) {
                if (sub == 4) lanes = halves;
                multiply_bytes(iq_q6_k_codes(b, sub), x + 32 * sub, stride, T, part);
                __m256 scale = _mm256_permutevar8x32_ps(scales[sub / 4], lanes);
                lanes = _mm256_add_epi32(lanes, two);
#pragma clang loop unroll(full)
                for (int t = 0; t < T; t++) total[t] = _mm256_fmadd_ps(scale, part[t], total[t]);
            }
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++)
            iq_put(p, r, t, iq_sum8(_mm256_fmadd_ps(_mm256_set1_ps(-32), offset[t], total[t])));
    }
}

IQ_AVX2_INLINE void rows_q5_0(const struct iq_product *p, int T) { rows_of_32(p, T, 0); }
IQ_AVX2_INLINE void rows_q5_1(const struct iq_product *p, int T) { rows_of_32(p, T, 1); }
IQ_AVX2_INLINE void rows_q4_k(const struct iq_product *p, int T) { rows_of_k(p, T, 0); }
IQ_AVX2_INLINE void rows_q5_k(const struct iq_product *p, int T) { rows_of_k(p, T, 1); }

IQ_GEMV(iq_avx2_gemv_q5_0, rows_q5_0)
IQ_GEMV(iq_avx2_gemv_q5_1, rows_q5_1)
IQ_GEMV(iq_avx2_gemv_q4_k, rows_q4_k)
IQ_GEMV(iq_avx2_gemv_q5_k, rows_q5_k)
IQ_GEMV(iq_avx2_gemv_q6_k, rows_q6_k)

#endif
