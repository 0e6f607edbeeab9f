// Plain C versions of the integer products of attention.

#include "attention_codes.h"
#include "attention_integer.h"
#include "iq_convert.h"

void iq_quantize_portable(const float *x, size_t x_stride, size_t heads, float coarse,
                          struct iq_multipliers *integers) {
    for (size_t h = 0; h < heads; h++, x += x_stride, integers++) {
        float largest = 0, bad = 0;
        for (int i = 0; i < 32; i++) {
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
            bad += 0.0f * x[i];
        }
        integers->scale = bad != 0 || isnan(bad) ? NAN : iq_multiplier_scale(largest);
        const float inverse = iq_multiplier_inverse(largest);
        integers->is_fine = !(largest <= coarse) || isnan(integers->scale);
        integers->total = 0;
        for (int i = 0; i < 32; i++) {
            float scaled = x[i] * inverse;
            // To nearest, ties to even; what is not finite gives any number, under a scale of NaN.
            int n = scaled >= -32768 && scaled <= 32767 ? (int)rintf(scaled) : 0;
            int high = (n + 128) >> 8;
            if (!integers->is_fine) n = 256 * high;
            integers->n[i] = (int16_t)n;
            integers->high[i] = (int8_t)high;
            integers->low[i] = (int8_t)(n - 256 * high);
            integers->total += n;
        }
    }
}

static inline void dot(int bits, const struct iq_code_block *b, const struct iq_multipliers *x, size_t heads,
                       float *out, size_t out_stride) {
    for (size_t l = 0; l < b->lanes; l++) {
        int32_t codes[32];
        for (int i = 0; i < 32; i++) codes[i] = (int32_t)iq_code_at(b->words, b->word_stride, l, bits, i);
        float s = 1, z = 0;
        int is_symmetric = b->mode == IQ_SCALE_SYMMETRIC;
        if (b->mode != IQ_SCALE_NONE) iq_half_to_float(b->scales + l, &s, 1);
        if (b->mode >= IQ_SCALE_ASYMMETRIC) iq_half_to_float(b->zeros + l, &z, 1);
        if (b->mode == IQ_SCALE_HYBRID) {
            int flagged = signbit(s) != 0;
            s = flagged ? fabsf(s) : copysignf(s, z);
            z = flagged ? z : -b->bias * s;
        }
        for (size_t h = 0; h < heads; h++) {
            int32_t sum = 0;
            for (int i = 0; i < 32; i++) sum += codes[i] * x[h].n[i];
            if (is_symmetric) sum -= (int)b->bias * x[h].total;
            out[h * out_stride + l] += x[h].scale * (s * (float)sum + z * (float)x[h].total);
        }
    }
}

#define INTEGERS(BITS)                                                                                                 \
    void iq_dot_integers_portable_##BITS(const struct iq_code_block *b, const struct iq_multipliers *x, size_t heads,  \
                                         float *out, size_t out_stride) {                                              \
        dot(BITS, b, x, heads, out, out_stride);                                                                       \
    }                                                                                                                  \
    IQ_RUN(portable, BITS)
INTEGERS(2)
INTEGERS(3)
INTEGERS(4)
INTEGERS(8)
