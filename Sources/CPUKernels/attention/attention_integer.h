// Integer products of attention: what the tables of all variants take from the attention_integer_*.c beside this.
#ifndef INNERQ_ATTENTION_INTEGER_H
#define INNERQ_ATTENTION_INTEGER_H

#include <math.h>

#include "iq_attention.h"

// The largest |n|: 127 · 256 + 127, so that `high` stays within a signed byte after `low` took up to 128 of it.
#define IQ_LARGEST_MULTIPLIER 32639.0f

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
                                            size_t heads, float *out, size_t out_stride);                              \
    void iq_dot_run_##VARIANT##_##BITS(const struct iq_tile_run *run, const struct iq_multipliers *x, size_t x_step,   \
                                       size_t heads, float *out, size_t out_step, size_t out_stride);
#define IQ_INTEGER_VARIANT(VARIANT)                                                                                    \
    IQ_INTEGER_KERNELS(VARIANT, 2)                                                                                     \
    IQ_INTEGER_KERNELS(VARIANT, 3)                                                                                     \
    IQ_INTEGER_KERNELS(VARIANT, 4)                                                                                     \
    IQ_INTEGER_KERNELS(VARIANT, 8)                                                                                     \
    void iq_quantize_##VARIANT(const float *x, size_t x_stride, size_t heads, float coarse,                            \
                               struct iq_multipliers *integers);

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
                     iq_dot_integers_##VARIANT##_8},                                                                   \
    .dot_runs = {iq_dot_run_##VARIANT##_2, iq_dot_run_##VARIANT##_3, iq_dot_run_##VARIANT##_4,                         \
                 iq_dot_run_##VARIANT##_8}

// ---- runs ----------------------------------------------------------------------------------------------------

static inline __attribute__((always_inline)) void iq_run_blocks(iq_dot_integers_fn dot, int bits,
                                                                const struct iq_tile_run *run,
                                                                const struct iq_multipliers *x, size_t x_step,
                                                                size_t heads, float *out, size_t out_step,
                                                                size_t out_stride) {
    const size_t lanes = run->lanes, blocks = (run->rows + 31) / 32;
    for (size_t i = 0; i < run->count; i++, x += x_step, out += out_step) {
        iq_prefetch(run->tiles[i + run->ahead], run->ahead_bytes);
        const char *tile = run->tiles[i];
        struct iq_code_block b = {.bias = run->bias, .mode = run->mode};
        for (size_t block = 0; block < blocks; block++) {
            const int is_whole = run->rows - 32 * block >= 32;
            b.words = (const uint32_t *)(const void *)tile + block * (size_t)bits * lanes;
            b.lanes = b.word_stride = is_whole ? lanes : lanes / 2;
            for (size_t part = 0; part < (is_whole ? 1 : 2); part++) {
                const size_t lane = part * b.lanes;
                b.scales = (const uint16_t *)(const void *)(tile + run->scale_offset) + block * lanes + lane;
                b.zeros = (const uint16_t *)(const void *)(tile + run->zero_offset) + block * lanes + lane;
                dot(&b, x + (block + part) * heads, heads, out + lane, out_stride);
            }
        }
    }
}

// The run of a variant, after its dot_integers.
#define IQ_RUN(VARIANT, BITS)                                                                                          \
    void iq_dot_run_##VARIANT##_##BITS(const struct iq_tile_run *run, const struct iq_multipliers *x, size_t x_step,   \
                                       size_t heads, float *out, size_t out_step, size_t out_stride) {                 \
        iq_run_blocks(iq_dot_integers_##VARIANT##_##BITS, BITS, run, x, x_step, heads, out, out_step, out_stride);     \
    }

// ---- heads ---------------------------------------------------------------------------------------------------

// One head of a block's product: multipliers, where its lanes are added, and what zero points are multiplied with.
struct iq_operand {
    const struct iq_multipliers *x;
    float *out;
    int32_t bias; // bias · Σ n
    float total;  // Σ n
};
typedef void (*iq_operands_fn)(const struct iq_code_block *block, const struct iq_operand *operands);

static inline __attribute__((always_inline)) void iq_in_groups(const struct iq_code_block *block,
                                                               const struct iq_operand *operands, size_t count,
                                                               const iq_operands_fn *kernels, size_t most) {
    while (count > 0) {
        // Four are two and two, if there are not four at once.
        const size_t n = count <= most ? count : count == 4 ? 2 : most;
        kernels[n - 1](block, operands);
        operands += n;
        count -= n;
    }
}

// Heads with fine multipliers and heads with coarse ones apart, up to `most` at once: kernels[is_fine][heads - 1].
static inline __attribute__((always_inline)) void iq_apart(const struct iq_code_block *block,
                                                           const struct iq_multipliers *x, size_t heads, float *out,
                                                           size_t out_stride, const iq_operands_fn *coarse_kernels,
                                                           const iq_operands_fn *fine_kernels, size_t most) {
    enum { CHUNK = 12 };
    const int32_t bias = (int32_t)block->bias;
    while (heads > 0) {
        struct iq_operand fine[CHUNK], coarse[CHUNK];
        size_t fines = 0, coarses = 0;
        for (; heads > 0 && fines + coarses < CHUNK; heads--, x++, out += out_stride) {
            struct iq_operand operand = {x, out, bias * x->total, (float)x->total};
            if (x->is_fine) fine[fines++] = operand;
            else coarse[coarses++] = operand;
        }
        iq_in_groups(block, fine, fines, fine_kernels, most);
        iq_in_groups(block, coarse, coarses, coarse_kernels, most);
    }
}

#endif
