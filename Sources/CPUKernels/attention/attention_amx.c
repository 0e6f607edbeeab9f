// Products of attention for many queries on AMX tiles, as matrix_amx.h splits numbers.
#include "attention_amx.h"

#if defined(IQ_HAS_AMX)

enum { TERMS = 256, AREA = 32 * TERMS };

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

// A tile of keys (head size x 32 tokens) or of values (32 tokens x head size) up to a head size of 256 is one area, split once
// for all rows; larger ones are several.
static void dot_area(const float *values, size_t value_stride, size_t terms, size_t lanes, const float *x, size_t x_stride,
                     size_t rows, float *out, size_t out_stride) {
    _Alignas(64) uint8_t strips[4 * AREA];
    _Alignas(64) uint8_t groups[2 * IQ_AMX_ROWS * 4 * TERMS];
    const size_t steps = iq_amx_steps(terms), pair_bytes = steps * IQ_AMX_PAIR;
    for (size_t l = 0; l < lanes; l += 16)
        iq_amx_split_lanes(values + l, value_stride, terms, strips + l / 16 * pair_bytes);
    for (size_t r = 0; r < rows; r += 32) {
        const size_t count = least(32, rows - r);
        for (size_t g = 0; g < count; g += IQ_AMX_ROWS)
            iq_amx_split_rows(x + (r + g) * x_stride, x_stride, least(IQ_AMX_ROWS, count - g), terms,
                              groups + g / IQ_AMX_ROWS * pair_bytes);
        for (size_t l = 0; l < lanes; l += 32)
            iq_amx_multiply(groups, pair_bytes, count, strips + l / 16 * pair_bytes, pair_bytes, least(32, lanes - l),
                            steps, out + r * out_stride + l, out_stride, 1);
    }
}

void iq_dot_many_amx(const float *values, size_t value_stride, size_t depth, size_t lanes, const float *x, size_t x_stride,
                     size_t heads, float *out, size_t out_stride) {
    iq_amx_begin();
    for (size_t i = 0; i < depth; i += TERMS) {
        const size_t terms = least(TERMS, depth - i);
        // Whole pairs of strips that fit.
        const size_t width = AREA / (iq_amx_steps(terms) * IQ_AMX_STEP) / 32 * 32;
        for (size_t l = 0; l < lanes; l += width)
            dot_area(values + i * value_stride + l, value_stride, terms, least(width, lanes - l), x + i, x_stride, heads,
                     out + l, out_stride);
    }
    iq_amx_end();
}

#endif
