// Attention over codes that choose from a table, and the turning of stored keys: what the tables of attention_portable.c
// and attention_avx2.c take from the attention_lookup_*.c beside them.
#ifndef INNERQ_ATTENTION_LOOKUP_H
#define INNERQ_ATTENTION_LOOKUP_H

#include "iq_attention.h"

#define IQ_LOOKUP_KERNELS(VARIANT, BITS)                                                                               \
    void iq_lookup_##VARIANT##_##BITS(const uint32_t *words, size_t word_stride, size_t lanes, const float *table,     \
                                      const float *scales, const float *zeros, float *out, size_t out_stride);        \
    void iq_dot_lookup_##VARIANT##_##BITS(const uint32_t *words, size_t word_stride, size_t lanes, const float *table, \
                                          const float *x, size_t x_stride, size_t heads, float *out,                   \
                                          size_t out_stride);

#define IQ_LOOKUP_VARIANT(VARIANT)                                                                                     \
    IQ_LOOKUP_KERNELS(VARIANT, 1)                                                                                      \
    IQ_LOOKUP_KERNELS(VARIANT, 2)                                                                                      \
    IQ_LOOKUP_KERNELS(VARIANT, 3)                                                                                      \
    IQ_LOOKUP_KERNELS(VARIANT, 4)                                                                                      \
    void iq_turn_tile_##VARIANT(float *tile, size_t pairs, size_t step, size_t distance, const float *base,            \
                                const float *tokens);

IQ_LOOKUP_VARIANT(portable)
#if defined(__x86_64__)
IQ_LOOKUP_VARIANT(avx2)
#endif

// The members of struct iq_attention_kernels.
#define IQ_LOOKUP_MEMBERS(VARIANT)                                                                                     \
    .lookup = {iq_lookup_##VARIANT##_1, iq_lookup_##VARIANT##_2, iq_lookup_##VARIANT##_3, iq_lookup_##VARIANT##_4},    \
    .dot_lookup = {iq_dot_lookup_##VARIANT##_1, iq_dot_lookup_##VARIANT##_2, iq_dot_lookup_##VARIANT##_3,              \
                   iq_dot_lookup_##VARIANT##_4},                                                                       \
    .turn_tile = iq_turn_tile_##VARIANT

#endif
