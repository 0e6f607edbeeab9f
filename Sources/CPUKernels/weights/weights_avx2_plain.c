// Formats whose weights lie in column order as float32, float16, bfloat16 or int8 and are widened by the load itself,
// times few vectors: F32, F16, BF16, Q8_0. Activations are read as they are. Bound by memory, not by arithmetic.
//
// Measured as in weights_avx2_nibbles.c, one vector: Q8_0 18.4 G multiply-adds/s from cache (1.06 bytes each: 19.5 GB/s), 13.8
// GB/s from memory on one thread, 25.4 on two, which is all there is. F32 20 GB/s from memory on one thread.
#include "weights_avx2.h"

#if defined(__x86_64__)

enum kind { F32, F16, BF16 };

IQ_AVX2_INLINE __m256 load8(const uint8_t *b, enum kind kind) {
    if (kind == F32) return _mm256_loadu_ps((const float *)b);
    __m128i half = _mm_loadu_si128((const __m128i *)b);
    if (kind == F16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

IQ_AVX2_INLINE float load1(const uint8_t *b, enum kind kind) {
    if (kind == F32) return iq_bits_to_float(iq_load32(b));
    return kind == F16 ? iq_half(b) : iq_bits_to_float((uint32_t)iq_load16(b) << 16);
}

IQ_AVX2_INLINE void multiply_rows(const struct iq_product *p, int T, enum kind kind) {
    const size_t bytes = kind == F32 ? 4 : 2, n = p->columns;
    for (size_t r = p->row_begin; r < p->row_end; r++) {
        const uint8_t *b = (const uint8_t *)p->weights + r * p->row_bytes;
        __m256 even[4], odd[4];
        float rest[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) {
            even[t] = odd[t] = _mm256_setzero_ps();
            rest[t] = 0;
        }
        size_t k = 0;
        for (; k + 16 <= n; k += 16) {
            __m256 w0 = load8(b + bytes * k, kind), w1 = load8(b + bytes * (k + 8), kind);
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++) {
                const float *x = p->activations + (size_t)t * p->activation_stride + k;
                even[t] = _mm256_fmadd_ps(w0, _mm256_loadu_ps(x), even[t]);
                odd[t] = _mm256_fmadd_ps(w1, _mm256_loadu_ps(x + 8), odd[t]);
            }
        }
        for (; k < n; k++) {
            float w = load1(b + bytes * k, kind);
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++) rest[t] += w * p->activations[(size_t)t * p->activation_stride + k];
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) iq_put(p, r, t, iq_sum8(_mm256_add_ps(even[t], odd[t])) + rest[t]);
    }
}

// Q8_0: per block of 32 four times int8 -> int32 -> float32, fused multiply-add; then the block's scale.
IQ_AVX2_INLINE void rows_q8_0(const struct iq_product *p, int T) {
    const size_t stride = p->activation_stride;
    for (size_t r = p->row_begin; r < p->row_end; r++) {
        const uint8_t *b = (const uint8_t *)p->weights + r * p->row_bytes;
        const float *x = p->activations;
        __m256 total[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) total[t] = _mm256_setzero_ps();
        for (size_t k = 0; k < p->columns / 32; k++, b += 34, x += 32) {
            __m256 even[4], odd[4], w[4], d = _mm256_broadcastss_ps(iq_half_lane(b));
#pragma clang loop unroll(full)
            for (int j = 0; j < 4; j++) {
                __m128i codes = _mm_loadl_epi64((const __m128i *)(b + IQ_Q8_0_CODES + 8 * j));
                w[j] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
            }
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++) {
                const float *xt = x + (size_t)t * stride;
                even[t] = _mm256_mul_ps(w[0], _mm256_loadu_ps(xt));
                odd[t] = _mm256_mul_ps(w[1], _mm256_loadu_ps(xt + 8));
                even[t] = _mm256_fmadd_ps(w[2], _mm256_loadu_ps(xt + 16), even[t]);
                odd[t] = _mm256_fmadd_ps(w[3], _mm256_loadu_ps(xt + 24), odd[t]);
                total[t] = _mm256_fmadd_ps(d, _mm256_add_ps(even[t], odd[t]), total[t]);
            }
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) iq_put(p, r, t, iq_sum8(total[t]));
    }
}

IQ_AVX2_INLINE void rows_f32(const struct iq_product *p, int T) { multiply_rows(p, T, F32); }
IQ_AVX2_INLINE void rows_f16(const struct iq_product *p, int T) { multiply_rows(p, T, F16); }
IQ_AVX2_INLINE void rows_bf16(const struct iq_product *p, int T) { multiply_rows(p, T, BF16); }

IQ_GEMV(iq_avx2_gemv_f32, rows_f32)
IQ_GEMV(iq_avx2_gemv_f16, rows_f16)
IQ_GEMV(iq_avx2_gemv_bf16, rows_bf16)
IQ_GEMV(iq_avx2_gemv_q8_0, rows_q8_0)

#endif
