// Weights times many vectors with AVX-512, over the strips of weights_avx2_gemm.c: a strip's column is one register, and up to
// twelve vectors meet it as operands broadcast from memory.
#include "avx512.h"
#include "weights_avx2.h"

#if defined(__x86_64__)

enum { STRIP = 16, VECTORS = 12 };

INLINE512 void multiply_strip(const float *strip, const float *x, size_t x_stride, size_t n, float *out,
                              size_t out_stride, size_t rows, int add, int M) {
    __m512 sum[VECTORS];
#pragma clang loop unroll(full)
    for (int t = 0; t < M; t++) sum[t] = _mm512_setzero_ps();
    for (size_t k = 0; k < n; k++) {
        const __m512 w = _mm512_load_ps(strip + k * STRIP);
#pragma clang loop unroll(full)
        for (int t = 0; t < M; t++)
            sum[t] = _mm512_fmadd_ps(_mm512_set1_ps(x[(size_t)t * x_stride + k]), w, sum[t]);
    }
    const __mmask16 here = first_lanes(rows);
#pragma clang loop unroll(full)
    for (int t = 0; t < M; t++, out += out_stride) {
        if (add) sum[t] = _mm512_add_ps(sum[t], _mm512_maskz_loadu_ps(here, out));
        _mm512_mask_storeu_ps(out, here, sum[t]);
    }
}

IQ_STRIP_OF(AVX512, 1)
IQ_STRIP_OF(AVX512, 2)
IQ_STRIP_OF(AVX512, 3)
IQ_STRIP_OF(AVX512, 4)
IQ_STRIP_OF(AVX512, 5)
IQ_STRIP_OF(AVX512, 6)
IQ_STRIP_OF(AVX512, 7)
IQ_STRIP_OF(AVX512, 8)
IQ_STRIP_OF(AVX512, 9)
IQ_STRIP_OF(AVX512, 10)
IQ_STRIP_OF(AVX512, 11)
IQ_STRIP_OF(AVX512, 12)

void iq_avx512_gemm(const struct iq_weight_format *format, const struct iq_product *p) {
    static iq_strip_kernel *const kernels[VECTORS] = {strip_1, strip_2, strip_3, strip_4, strip_5, strip_6,
                                                      strip_7, strip_8, strip_9, strip_10, strip_11, strip_12};
    iq_gemm_of_strips(format, p, kernels, VECTORS);
}

#endif
