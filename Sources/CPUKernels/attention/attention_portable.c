// Plain C versions of the attention kernels, for processors without a version of their own.

#include "iq_attention.h"
#include "attention_codes.h"
#include "attention_integer.h"
#include "attention_lookup.h"
#include "attention_neon.h"

#include "iq_convert.h"

#include <math.h>

static inline float half(uint16_t bits) {
    float value;
    iq_half_to_float(&bits, &value, 1);
    return value;
}

static void dot_float(const float *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                      size_t x_stride, size_t heads, float *out, size_t out_stride) {
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 0; i < depth; i++) {
            float xi = x[h * x_stride + i];
            for (size_t l = 0; l < lanes; l++) out[h * out_stride + l] += xi * values[i * value_stride + l];
        }
}

static void dot_half(const uint16_t *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                     size_t x_stride, size_t heads, float *out, size_t out_stride) {
    for (size_t i = 0; i < depth; i++)
        for (size_t l = 0; l < lanes; l++) {
            float v = half(values[i * value_stride + l]);
            for (size_t h = 0; h < heads; h++) out[h * out_stride + l] += x[h * x_stride + i] * v;
        }
}

static inline void dot_codes(int bits, const struct iq_code_block *b, const float *x, size_t x_stride, size_t heads,
                             float *out, size_t out_stride) {
    for (size_t h = 0; h < heads; h++) {
        const float *xh = x + h * x_stride;
        float total = 0;
        for (int i = 0; i < 32; i++) total += xh[i];
        for (size_t l = 0; l < b->lanes; l++) {
            float sum = 0;
            for (int i = 0; i < 32; i++) sum += xh[i] * (float)iq_code_at(b->words, b->word_stride, l, bits, i);
            float result = sum;
            if (b->mode != IQ_SCALE_NONE) {
                float s = half(b->scales[l]);
                if (b->mode == IQ_SCALE_SYMMETRIC) {
                    result = s * (sum - b->bias * total);
                } else {
                    float z = half(b->zeros[l]);
                    if (b->mode == IQ_SCALE_ASYMMETRIC || signbit(s))
                        result = fabsf(s) * sum + z * total;
                    else
                        result = copysignf(s, z) * (sum - b->bias * total);
                }
            }
            out[h * out_stride + l] += result;
        }
    }
}

static inline void unpack(int bits, const uint32_t *words, size_t stride, size_t lanes, float *out, size_t out_stride) {
    for (int i = 0; i < 32; i++)
        for (size_t l = 0; l < lanes; l++)
            out[(size_t)i * out_stride + l] = (float)iq_code_at(words, stride, l, bits, i);
}

#define IQ_BITS(B)                                                                                                     \
    static void dot_codes_##B(const struct iq_code_block *b, const float *x, size_t xs, size_t n, float *o, size_t os) { \
        dot_codes(B, b, x, xs, n, o, os);                                                                              \
    }                                                                                                                  \
    static void unpack_##B(const uint32_t *w, size_t ws, size_t lanes, float *o, size_t os) {                          \
        unpack(B, w, ws, lanes, o, os);                                                                                \
    }
IQ_BITS(2)
IQ_BITS(3)
IQ_BITS(4)
IQ_BITS(8)

static float maximum(const float *values, size_t count) {
    float m = values[0];
    for (size_t i = 1; i < count; i++) m = values[i] > m ? values[i] : m;
    return m;
}

static float exponentials(float *values, size_t count, float m) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        values[i] = expf(values[i] - m);
        sum += values[i];
    }
    return (float)sum;
}

#define MEMBERS                                                        \
    .dot_codes = {dot_codes_2, dot_codes_3, dot_codes_4, dot_codes_8}, \
    .unpack = {unpack_2, unpack_3, unpack_4, unpack_8},                \
    IQ_LOOKUP_MEMBERS(portable), .maximum = maximum, .quantize = iq_quantize_portable

const struct iq_attention_kernels iq_attention_portable = {
    MEMBERS,
    .dot_float = dot_float,
    .dot_half = dot_half,
    .exponentials = exponentials,
    IQ_DOT_INTEGERS(portable),
};

#if defined(__aarch64__)
const struct iq_attention_kernels iq_attention_neon = {
    MEMBERS,
    .dot_float = iq_dot_float_neon,
    .dot_half = iq_dot_half_neon,
    .exponentials = iq_exponentials_neon,
    IQ_DOT_INTEGERS(neon),
};
#endif
