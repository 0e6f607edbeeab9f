// Q4_0 and Q4_1 times few vectors.
//
// Lanes are columns, two blocks to a register (IQ_ACTIVATIONS_NIBBLES in iq_weights.h). Per 64 weights:
// one load and one insert, then eight times mask, int32 -> float32, fused multiply-add with the activations in
// memory: 24 vector operations, the fewest that converting and multiplying exactly allow, since the
// shift of each nibble is in its activation's exponent. Minimums (and the -8 of Q4_0) need one
// multiply-add per four blocks with the activations' block sums.
//
// Measured on one core of a Zen 3 EPYC at 3.2 GHz, 2026-11, one vector: Q4_1 18.9 G multiply-adds/s from cache at 1536
// columns (0.625 bytes each: 11.8 GB/s), 17.2 at 576, 9.8 GB/s from memory; four vectors 30 G/s. Two threads read 17 GB/s of the
// 25 GB/s that two plain readers got. Interleaving eight rows, so that lanes are rows, reached 26 G/s from cache, but
// no more from memory (8.8 GB/s), so weights are not repacked.
#include "weights_avx2.h"

#if defined(__x86_64__)

// Columns 4 i + c of a run of 16, for c = 0 ... 3, times `factors[c]`, to four places.
IQ_AVX2_INLINE void put_columns(const float *x, const float *factors, float *out, size_t step) {
    __m128 a = _mm_loadu_ps(x), b = _mm_loadu_ps(x + 4), c = _mm_loadu_ps(x + 8), d = _mm_loadu_ps(x + 12);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_store_ps(out, _mm_mul_ps(a, _mm_set1_ps(factors[0])));
    _mm_store_ps(out + step, _mm_mul_ps(b, _mm_set1_ps(factors[1])));
    _mm_store_ps(out + 2 * step, _mm_mul_ps(c, _mm_set1_ps(factors[2])));
    _mm_store_ps(out + 3 * step, _mm_mul_ps(d, _mm_set1_ps(factors[3])));
}

IQ_AVX2_INLINE float sum_of_32(const float *x) {
    __m256 a = _mm256_add_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8));
    return iq_sum8(_mm256_add_ps(a, _mm256_add_ps(_mm256_loadu_ps(x + 16), _mm256_loadu_ps(x + 24))));
}

IQ_AVX2 void iq_avx2_prepare_nibbles(const float *x, size_t columns, float *prepared) {
    static const float low[4] = {1, 0x1p-8f, 0x1p-16f, 0x1p-24f};
    static const float high[4] = {0x1p-4f, 0x1p-12f, 0x1p-20f, 1};
    size_t blocks = columns / 32, pairs = (blocks + 1) / 2;
    float *sums = prepared + 64 * pairs;
    if (blocks & 1) memset(prepared + 64 * (pairs - 1), 0, 64 * sizeof(float));
    for (size_t b = 0; b < blocks; b++) {
        size_t pair = b / 2, half = b % 2;
        if (b / 4 < blocks / 4) {
            pair = b / 4 * 2 + b % 2;
            half = b / 2 % 2;
        }
        float *out = prepared + 64 * pair + 4 * half;
        put_columns(x + 32 * b, low, out, 16);
        put_columns(x + 32 * b + 16, high, out + 8, 16);
        sums[2 * b] = 0;
        sums[2 * b + 1] = sum_of_32(x + 32 * b);
    }
}

// out[t] = codes of two blocks times 64 prepared activations, two blocks in two halves.
IQ_AVX2_INLINE void multiply_pair(__m256i w, const float *x, size_t stride, int T, __m256 *out) {
    __m256 even[4], odd[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 8; j += 2) {
        __m256 a = _mm256_cvtepi32_ps(_mm256_and_si256(w, _mm256_set1_epi32(15 << 4 * j)));
        // The topmost nibble would be the sign: it alone is shifted.
        __m256i top = j == 6 ? _mm256_srli_epi32(w, 28) : _mm256_and_si256(w, _mm256_set1_epi32(15 << 4 * (j + 1) % 32));
        __m256 b = _mm256_cvtepi32_ps(top);
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) {
            const float *xt = x + (size_t)t * stride + 8 * j;
            if (j == 0) {
                even[t] = _mm256_mul_ps(a, _mm256_load_ps(xt));
                odd[t] = _mm256_mul_ps(b, _mm256_load_ps(xt + 8));
            } else {
                even[t] = _mm256_fmadd_ps(a, _mm256_load_ps(xt), even[t]);
                odd[t] = _mm256_fmadd_ps(b, _mm256_load_ps(xt + 8), odd[t]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < T; t++) out[t] = _mm256_add_ps(even[t], odd[t]);
}

IQ_AVX2_INLINE __m256i codes_of(const uint8_t *a, const uint8_t *b) {
    __m256i low = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a));
    return _mm256_inserti128_si256(low, _mm_loadu_si128((const __m128i *)b), 1);
}

// Rows of Q4_1 (scale, minimum), or of Q4_0, whose header is read as (0, scale).
IQ_AVX2_INLINE void multiply_rows(const struct iq_product *p, int T, int has_minimum) {
    const size_t bytes = has_minimum ? 20 : 18, codes = bytes - 16;
    const size_t blocks = p->columns / 32, groups = blocks / 4, pairs = (blocks + 1) / 2, stride = p->activation_stride;
    const float *sums = p->activations + 64 * pairs;
    for (size_t r = p->row_begin; r < p->row_end; r++) {
        const uint8_t *b = (const uint8_t *)p->weights + r * p->row_bytes;
        const float *x = p->activations;
        __m256 total[4], offset[4], part[4];
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) total[t] = offset[t] = _mm256_setzero_ps();
        for (size_t g = 0; g < groups; g++, b += 4 * bytes, x += 128) {
            __m128i heads = _mm_setr_epi32((int)iq_load32(b), (int)iq_load32(b + bytes),
                                           (int)iq_load32(b + 2 * bytes), (int)iq_load32(b + 3 * bytes));
            if (!has_minimum) heads = _mm_slli_epi32(heads, 16);
            __m256 scales = _mm256_cvtph_ps(heads);
            __m256 even = has_minimum ? _mm256_permute_ps(scales, 0x00) : _mm256_permute_ps(scales, 0x55);
            __m256 odd = has_minimum ? _mm256_permute_ps(scales, 0xAA) : _mm256_permute_ps(scales, 0xFF);
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++)
                offset[t] = _mm256_fmadd_ps(scales, _mm256_load_ps(sums + (size_t)t * stride + 8 * g), offset[t]);
            multiply_pair(codes_of(b + codes, b + codes + 2 * bytes), x, stride, T, part);
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++) total[t] = _mm256_fmadd_ps(even, part[t], total[t]);
            multiply_pair(codes_of(b + codes + bytes, b + codes + 3 * bytes), x + 64, stride, T, part);
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++) total[t] = _mm256_fmadd_ps(odd, part[t], total[t]);
        }
        for (size_t k = 4 * groups; k < blocks; k += 2, b += 2 * bytes, x += 64) {
            int both = k + 1 < blocks;
            __m128i heads = _mm_setr_epi32((int)iq_load32(b), both ? (int)iq_load32(b + bytes) : 0, 0, 0);
            if (!has_minimum) heads = _mm_slli_epi32(heads, 16);
            __m128 scales = _mm_cvtph_ps(heads);
            __m256 scale = has_minimum
                ? _mm256_set_m128(_mm_permute_ps(scales, 0xAA), _mm_permute_ps(scales, 0x00))
                : _mm256_set_m128(_mm_permute_ps(scales, 0xFF), _mm_permute_ps(scales, 0x55));
            // A missing second block has scale and activations 0; any codes do.
            multiply_pair(codes_of(b + codes, b + codes + (both ? bytes : 0)), x, stride, T, part);
#pragma clang loop unroll(full)
            for (int t = 0; t < T; t++) {
                __m128 s = _mm_loadu_ps(sums + (size_t)t * stride + 2 * k);
                if (!both) s = _mm_movelh_ps(s, _mm_setzero_ps());
                total[t] = _mm256_fmadd_ps(scale, part[t], total[t]);
                offset[t] = _mm256_add_ps(offset[t], _mm256_zextps128_ps256(_mm_mul_ps(scales, s)));
            }
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < T; t++) {
            __m256 sum = has_minimum ? _mm256_add_ps(total[t], offset[t])
                                     : _mm256_fmadd_ps(_mm256_set1_ps(-8), offset[t], total[t]);
            iq_put(p, r, t, iq_sum8(sum));
        }
    }
}

IQ_AVX2_INLINE void rows_q4_0(const struct iq_product *p, int T) { multiply_rows(p, T, 0); }
IQ_AVX2_INLINE void rows_q4_1(const struct iq_product *p, int T) { multiply_rows(p, T, 1); }

IQ_GEMV(iq_avx2_gemv_q4_0, rows_q4_0)
IQ_GEMV(iq_avx2_gemv_q4_1, rows_q4_1)

#endif
