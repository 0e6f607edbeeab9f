// Shared by the AVX2 weight kernels; not part of the module.
#ifndef INNERQ_WEIGHTS_AVX2_H
#define INNERQ_WEIGHTS_AVX2_H

#if defined(__x86_64__)
#include <immintrin.h>

#include "weights.h"

#define IQ_AVX2 __attribute__((target("avx2,fma,f16c")))
#define IQ_AVX2_INLINE static inline __attribute__((always_inline, target("avx2,fma,f16c")))

// A gemv kernel is written once for a constant number of vectors T and instantiated for 1 to 4.
// More vectors go in rounds over the same rows, which are in the first- or second-level cache by then.
#define IQ_GEMV(name, rows) IQ_GEMV_FOR(IQ_AVX2, name, rows)
#define IQ_GEMV_FOR(target, name, rows)                                                                \
    target void name(const struct iq_weight_format *self, const struct iq_product *p) {                \
        (void)self;                                                                                    \
        for (size_t t = 0; t < p->count; t += 4) {                                                     \
            struct iq_product part = *p;                                                               \
            part.activations += t * p->activation_stride;                                              \
            part.output += t * p->output_stride;                                                       \
            switch (p->count - t) {                                                                    \
                case 1: rows(&part, 1); break;                                                         \
                case 2: rows(&part, 2); break;                                                         \
                case 3: rows(&part, 3); break;                                                         \
                default: rows(&part, 4); break;                                                        \
            }                                                                                          \
        }                                                                                              \
    }

// The float16 at p, exactly, in lane 0 (the other lanes are 0).
IQ_AVX2_INLINE __m128 iq_half_lane(const uint8_t *p) { return _mm_cvtph_ps(_mm_cvtsi32_si128(iq_load16(p))); }

IQ_AVX2_INLINE float iq_half(const uint8_t *p) { return _mm_cvtss_f32(iq_half_lane(p)); }

IQ_AVX2_INLINE __m128 iq_halves(__m256 v) {
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

IQ_AVX2_INLINE float iq_sum4(__m128 v) {
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}

IQ_AVX2_INLINE float iq_sum8(__m256 v) { return iq_sum4(iq_halves(v)); }

IQ_AVX2_INLINE void iq_put(const struct iq_product *p, size_t row, int t, float value) {
    float *out = p->output + (size_t)t * p->output_stride + row;
    *out = p->accumulate ? *out + value : value;
}

// 32 bytes that hold the low and then the high nibbles of 16 bytes.
IQ_AVX2_INLINE __m256i iq_split_nibbles(const uint8_t *codes) {
    __m128i q = _mm_loadu_si128((const __m128i *)codes);
    __m256i both = _mm256_set_m128i(_mm_srli_epi16(q, 4), q);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// 32 bytes, 16 where the bit of their number is set and 0 elsewhere.
IQ_AVX2_INLINE __m256i iq_fifth_bits(uint32_t bits) {
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i select = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, select), select);
    return _mm256_and_si256(set, _mm256_set1_epi8(16));
}

// The 32 codes of sub-block `sub` of a Q5_K block, as bytes.
IQ_AVX2_INLINE __m256i iq_q5_k_codes(const uint8_t *block, __m256i high, int sub) {
    __m256i q = _mm256_loadu_si256((const __m256i *)(block + IQ_Q5_K_CODES + sub / 2 * 32));
    if (sub & 1) q = _mm256_srli_epi32(q, 4);
    __m256i bit = sub < 4 ? _mm256_slli_epi32(high, 4 - sub) : _mm256_srli_epi32(high, sub - 4);
    return _mm256_or_si256(_mm256_and_si256(q, _mm256_set1_epi8(15)), _mm256_and_si256(bit, _mm256_set1_epi8(16)));
}

// The 32 codes (0 ... 63) of sub-block `sub` of a Q6_K block, as bytes.
IQ_AVX2_INLINE __m256i iq_q6_k_codes(const uint8_t *block, int sub) {
    __m256i q = _mm256_loadu_si256((const __m256i *)(block + sub / 4 * 64 + (sub & 1) * 32));
    __m256i high = _mm256_loadu_si256((const __m256i *)(block + IQ_Q6_K_HIGH + sub / 4 * 32));
    int quarter = sub & 3;
    if (quarter & 2) q = _mm256_srli_epi32(q, 4);
    high = quarter < 2 ? _mm256_slli_epi32(high, 4 - 2 * quarter) : _mm256_srli_epi32(high, 2 * quarter - 4);
    return _mm256_or_si256(_mm256_and_si256(q, _mm256_set1_epi8(15)), _mm256_and_si256(high, _mm256_set1_epi8(48)));
}

// Rows row ... row + rows - 1 (up to 16) of a product's weights, columns column ... column + n - 1, to floats strip[c · 16 + r];
// missing rows are zeros. `plain`: room for 16 · 256 floats.
void iq_avx2_unpack_strip(const struct iq_weight_format *format, const struct iq_product *p, size_t row, size_t rows,
                          size_t column, size_t n, float *strip, float *plain);

// Some vectors, `x_stride` apart, times one strip of n columns: put into `rows` outputs of each, or added to them.
typedef void iq_strip_kernel(const float *strip, const float *x, size_t x_stride, size_t n, float *out, size_t out_stride,
                             size_t rows, int add);

// Defines strip_M from an inline multiply_strip with the number of vectors last.
#define IQ_STRIP_OF(target, M)                                                                                      \
    target static void strip_##M(const float *strip, const float *x, size_t x_stride, size_t n, float *out,         \
                                 size_t out_stride, size_t rows, int add) {                                         \
        multiply_strip(strip, x, x_stride, n, out, out_stride, rows, add, M);                                       \
    }

// A gemm over unpacked strips; kernels[m - 1] multiplies m vectors, `most` at most.
void iq_gemm_of_strips(const struct iq_weight_format *format, const struct iq_product *p, iq_strip_kernel *const *kernels,
                       size_t most);

// weights_amx.c
void iq_amx_split_vectors(const float *activations, size_t stride, size_t first, size_t count, size_t columns,
                          void *groups);
void iq_amx_gemm(const struct iq_weight_format *format, const struct iq_product *p);

typedef void iq_decode(const void *blocks, float *values, size_t count);
typedef void iq_gemv(const struct iq_weight_format *self, const struct iq_product *product);
typedef void iq_panel(const void *panel, float *values, size_t columns, size_t step);
typedef void iq_prepare(const float *activations, size_t columns, float *prepared);

iq_decode iq_avx2_decode_f32, iq_avx2_decode_f16, iq_avx2_decode_bf16, iq_avx2_decode_q8_0, iq_avx2_decode_q4_0,
    iq_avx2_decode_q4_1, iq_avx2_decode_q5_0, iq_avx2_decode_q5_1, iq_avx2_decode_q4_k, iq_avx2_decode_q5_k,
    iq_avx2_decode_q6_k;
iq_gemv iq_avx2_gemv_f32, iq_avx2_gemv_f16, iq_avx2_gemv_bf16, iq_avx2_gemv_q8_0, iq_avx2_gemv_q4_0,
    iq_avx2_gemv_q4_1, iq_avx2_gemv_q5_0, iq_avx2_gemv_q5_1, iq_avx2_gemv_q4_k, iq_avx2_gemv_q5_k, iq_avx2_gemv_q6_k,
    iq_avx2_gemm, iq_avx512_gemm;
iq_gemv iq_avx2_integers_q8_0, iq_avx2_integers_q4_0, iq_avx2_integers_q4_1, iq_avx2_integers_q5_0, iq_avx2_integers_q5_1,
    iq_avx2_integers_q4_k, iq_avx2_integers_q5_k, iq_avx2_integers_q6_k;
iq_gemv iq_avx512_integers_q8_0, iq_avx512_integers_q4_0, iq_avx512_integers_q4_1, iq_avx512_integers_q5_0,
    iq_avx512_integers_q5_1, iq_avx512_integers_q4_k, iq_avx512_integers_q5_k, iq_avx512_integers_q6_k;
iq_panel iq_avx2_panel_q8_0, iq_avx2_panel_q4_0, iq_avx2_panel_q4_1, iq_avx2_panel_q5_0, iq_avx2_panel_q5_1,
    iq_avx2_panel_q4_k, iq_avx2_panel_q5_k, iq_avx2_panel_q6_k;
iq_prepare iq_avx2_prepare_nibbles, iq_avx2_prepare_bytes, iq_avx2_prepare_blocks, iq_avx2_prepare_words,
    iq_avx2_prepare_super;

#endif
#endif
