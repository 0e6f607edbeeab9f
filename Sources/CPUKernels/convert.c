#include "iq_convert.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("f16c,avx"))) static void half_to_float_f16c(const uint16_t *s, float *d, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(s + i))));
    for (; i < n; i++) d[i] = _cvtsh_ss(s[i]);
}

__attribute__((target("f16c,avx"))) static void float_to_half_f16c(const float *s, uint16_t *d, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) d[i] = _cvtss_sh(s[i], _MM_FROUND_TO_NEAREST_INT);
}
#endif

void iq_half_to_float(const uint16_t *source, float *destination, size_t count) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("f16c")) {
        half_to_float_f16c(source, destination, count);
        return;
    }
#endif
    for (size_t i = 0; i < count; i++) {
        _Float16 h;
        __builtin_memcpy(&h, source + i, 2);
        destination[i] = (float)h;
    }
}

void iq_float_to_half(const float *source, uint16_t *destination, size_t count) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("f16c")) {
        float_to_half_f16c(source, destination, count);
        return;
    }
#endif
    for (size_t i = 0; i < count; i++) {
        _Float16 h = (_Float16)source[i];
        __builtin_memcpy(destination + i, &h, 2);
    }
}
