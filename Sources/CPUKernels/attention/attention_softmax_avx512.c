// Softmax with AVX-512: 16 scores a register, the last ones under a mask.
#include "attention_avx512.h"

#if defined(__x86_64__)

#include <math.h>

AVX512 float iq_maximum_avx512(const float *values, size_t count) {
    __m512 m = _mm512_set1_ps(-INFINITY);
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 here = first_lanes(count - i);
        m = _mm512_mask_max_ps(m, here, m, _mm512_maskz_loadu_ps(here, values + i));
    }
    return _mm512_reduce_max_ps(m);
}

// exp(x) for x ≤ 0, as in attention_avx2.c.
INLINE512 __m512 exp_nonpositive(__m512 x) {
    const __mmask16 alive = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_GT_OQ);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145751953125f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860682030941723e-6f), r);
    __m512 p = _mm512_set1_ps(1.0f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_maskz_scalef_ps(alive, p, n);
}

AVX512 float iq_exponentials_avx512(float *values, size_t count, float maximum) {
    __m512 sum = _mm512_setzero_ps();
    const __m512 m = _mm512_set1_ps(maximum);
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 here = first_lanes(count - i);
        const __m512 e = exp_nonpositive(_mm512_sub_ps(_mm512_maskz_loadu_ps(here, values + i), m));
        _mm512_mask_storeu_ps(values + i, here, e);
        sum = _mm512_mask_add_ps(sum, here, sum, e);
    }
    return _mm512_reduce_add_ps(sum);
}

#endif
