// Integer products of attention: what the tables of all variants take from the attention_integer_*.c beside this.
#ifndef INNERQ_ATTENTION_INTEGER_H
#define INNERQ_ATTENTION_INTEGER_H

#include <math.h>

#include "iq_attention.h"

// The largest |n|: 127 · 128, so that `high` stays within a signed byte after `low` took up to 63 of it.
#define IQ_LARGEST_MULTIPLIER 16256.0f

// Scale and its inverse, said once so that all variants round alike. Multipliers below 2^−100 count as zeros: their
// inverse would overflow.
static inline float iq_multiplier_scale(float largest) {
    return largest > 0x1p-100f ? largest / IQ_LARGEST_MULTIPLIER : 0.0f;
}
static inline float iq_multiplier_inverse(float largest) {
    return largest > 0x1p-100f ? IQ_LARGEST_MULTIPLIER / largest : 0.0f;
}

#define IQ_INTEGER_KERNELS(VARIANT, BITS)                                                                              \
    void iq_dot_integers_##VARIANT##_##BITS(const struct iq_code_block *block, const struct iq_multipliers *x,         \
                                            size_t heads, float *out, size_t out_stride);
#define IQ_INTEGER_VARIANT(VARIANT)                                                                                    \
    IQ_INTEGER_KERNELS(VARIANT, 2)                                                                                     \
    IQ_INTEGER_KERNELS(VARIANT, 3)                                                                                     \
    IQ_INTEGER_KERNELS(VARIANT, 4)                                                                                     \
    IQ_INTEGER_KERNELS(VARIANT, 8)                                                                                     \
    void iq_quantize_##VARIANT(const float *x, size_t x_stride, size_t heads, struct iq_multipliers *integers);

IQ_INTEGER_VARIANT(portable)
#if defined(__x86_64__)
IQ_INTEGER_VARIANT(avx2)
IQ_INTEGER_VARIANT(avx512)
#elif defined(__aarch64__)
IQ_INTEGER_VARIANT(neon) // multipliers are rounded by the portable loop
#endif

// The members of struct iq_attention_kernels.
#define IQ_DOT_INTEGERS(VARIANT)                                                                                       \
    .dot_integers = {iq_dot_integers_##VARIANT##_2, iq_dot_integers_##VARIANT##_3, iq_dot_integers_##VARIANT##_4,      \
                     iq_dot_integers_##VARIANT##_8}

#endif
