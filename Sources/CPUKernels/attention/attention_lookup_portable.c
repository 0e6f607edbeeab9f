// Plain C versions of the kernels over table codes. `lookup` gives the same bits in every variant: its product and sum
// are rounded one after the other.

#include "attention_codes.h"
#include "attention_lookup.h"

#pragma STDC FP_CONTRACT OFF

static inline void lookup(int bits, const uint32_t *words, size_t stride, size_t lanes, const float *table,
                          const float *scales, const float *zeros, float *out, size_t out_stride) {
    for (int i = 0; i < 32; i++)
        for (size_t l = 0; l < lanes; l++) {
            float product = scales[i] * table[iq_code_at(words, stride, l, bits, i)];
            out[(size_t)i * out_stride + l] = product + zeros[i];
        }
}

static inline void dot_lookup(int bits, const uint32_t *words, size_t stride, size_t lanes, const float *table,
                              const float *x, size_t x_stride, size_t heads, float *out, size_t out_stride) {
    for (size_t h = 0; h < heads; h++)
        for (size_t l = 0; l < lanes; l++) {
            float sum = 0;
            for (int i = 0; i < 32; i++) sum += x[h * x_stride + (size_t)i] * table[iq_code_at(words, stride, l, bits, i)];
            out[h * out_stride + l] += sum;
        }
}

#define IQ_BITS(B)                                                                                                     \
    void iq_lookup_portable_##B(const uint32_t *words, size_t stride, size_t lanes, const float *table,                \
                                const float *scales, const float *zeros, float *out, size_t out_stride) {              \
        lookup(B, words, stride, lanes, table, scales, zeros, out, out_stride);                                        \
    }                                                                                                                  \
    void iq_dot_lookup_portable_##B(const uint32_t *words, size_t stride, size_t lanes, const float *table,            \
                                    const float *x, size_t x_stride, size_t heads, float *out, size_t out_stride) {    \
        dot_lookup(B, words, stride, lanes, table, x, x_stride, heads, out, out_stride);                               \
    }
IQ_BITS(1)
IQ_BITS(2)
IQ_BITS(3)
IQ_BITS(4)

void iq_turn_tile_portable(float *tile, size_t pairs, size_t step, size_t distance, const float *base,
                           const float *tokens) {
    for (size_t p = 0; p < pairs; p++) {
        float *x = tile + p * step * 32;
        float *y = x + distance * 32;
        const float *cosines = tokens + p * 64;
        const float *sines = cosines + 32;
        float base_cosine = base[p], base_sine = base[pairs + p];
        for (int t = 0; t < 32; t++) {
            float cosine = base_cosine * cosines[t] - base_sine * sines[t];
            float sine = base_sine * cosines[t] + base_cosine * sines[t];
            float a = x[t], b = y[t];
            x[t] = a * cosine - b * sine;
            y[t] = a * sine + b * cosine;
        }
    }
}
