// Quantization of groups side by side, as plain loops over lanes.
#include "iq_sealing.h"

#include <math.h>

#include "plain_loops.h"

// Codes must not depend on whether the processor fuses products and sums.
#pragma STDC FP_CONTRACT OFF

INLINE_LOOP void lane_extremes(const float *restrict values, size_t rows, size_t lanes, float *restrict extremes) {
    for (size_t lane = 0; lane < lanes; lane++) extremes[lane] = 0;
    for (size_t row = 0; row < rows; row++, values += lanes)
        for (size_t lane = 0; lane < lanes; lane++)
            extremes[lane] = fabsf(values[lane]) > fabsf(extremes[lane]) ? values[lane] : extremes[lane];
}

INLINE_LOOP void lane_ranges(const float *restrict values, size_t rows, size_t lanes, float *restrict low,
                             float *restrict high) {
    for (size_t lane = 0; lane < lanes; lane++) low[lane] = high[lane] = values[lane];
    for (size_t row = 1; row < rows; row++)
        for (size_t lane = 0; lane < lanes; lane++) {
            const float x = values[row * lanes + lane];
            low[lane] = x < low[lane] ? x : low[lane];
            high[lane] = x >= high[lane] ? x : high[lane];
        }
}

INLINE_LOOP void lane_codes(const struct iq_lane_levels *levels, const float *restrict row, size_t lanes,
                            uint8_t *restrict codes) {
    const float *restrict scales = levels->scales, *restrict zeros = levels->zeros;
    const float *restrict lowest = levels->lowest, *restrict highest = levels->highest;
    const float magic = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer
    for (size_t lane = 0; lane < lanes; lane++) {
        float level = (row[lane] - zeros[lane]) / scales[lane];
        level = level >= lowest[lane] ? level : lowest[lane];
        level = highest[lane] < level ? highest[lane] : level;
        level = scales[lane] == 0 ? 0 : level;
        codes[lane] = (uint8_t)(int32_t)(((level + magic) - magic) - lowest[lane]);
    }
}

INLINE_LOOP void lane_errors(const struct iq_lane_levels *levels, const float *restrict row,
                             const uint8_t *restrict codes, size_t lanes, float *restrict errors) {
    const float *restrict scales = levels->scales, *restrict zeros = levels->zeros;
    const float *restrict lowest = levels->lowest;
    for (size_t lane = 0; lane < lanes; lane++)
        errors[lane] = row[lane] - (scales[lane] * ((float)codes[lane] + lowest[lane]) + zeros[lane]);
}

INLINE_LOOP void fed_back(const float *restrict factors, const float *restrict errors, size_t count, size_t lanes,
                          float *restrict rows) {
    for (size_t r = 0; r < count; r++)
        for (size_t lane = 0; lane < lanes; lane++) rows[r * lanes + lane] += factors[r] * errors[lane];
}

INLINE_LOOP void lane_feedback(const float *factors, const float *errors, size_t count, size_t lanes, float *rows) {
    // The number of lanes that a key tile has, for errors that stay in registers.
    if (lanes == 32) fed_back(factors, errors, count, 32, rows);
    else fed_back(factors, errors, count, lanes, rows);
}

INLINE_LOOP void put_codes(const uint8_t *restrict codes, size_t lanes, unsigned drop, unsigned mask, unsigned shift,
                           uint32_t *restrict words) {
    for (size_t lane = 0; lane < lanes; lane++) words[lane] |= (((uint32_t)codes[lane] >> drop) & mask) << shift;
}

DEFINE(lane_extremes, (const float *values, size_t rows, size_t lanes, float *extremes), (values, rows, lanes, extremes))
DEFINE(lane_ranges, (const float *values, size_t rows, size_t lanes, float *low, float *high),
       (values, rows, lanes, low, high))
DEFINE(lane_codes, (const struct iq_lane_levels *levels, const float *row, size_t lanes, uint8_t *codes),
       (levels, row, lanes, codes))
DEFINE(lane_errors,
       (const struct iq_lane_levels *levels, const float *row, const uint8_t *codes, size_t lanes, float *errors),
       (levels, row, codes, lanes, errors))
DEFINE(lane_feedback, (const float *factors, const float *errors, size_t count, size_t lanes, float *rows),
       (factors, errors, count, lanes, rows))
DEFINE(put_codes,
       (const uint8_t *codes, size_t lanes, unsigned drop, unsigned mask, unsigned shift, uint32_t *words),
       (codes, lanes, drop, mask, shift, words))
