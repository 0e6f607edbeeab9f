// Quantization of a block of up to 32 rows whose groups lie along the rows: a lane is a group, and a row of all lanes is
// worked on at once. The same arithmetic, number for number, on every processor; `GroupQuantizer` says what it means.
#ifndef INNERQ_SEALING_H
#define INNERQ_SEALING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// What the codes of each lane stand for: scale · (code + lowest) + zero, up to level `highest`.
struct iq_lane_levels {
    const float *scales;   // 0: all of the lane's levels are 0
    const float *zeros;
    const float *lowest;   // whole numbers
    const float *highest;
};

// The first number of largest magnitude of each lane; NaN has none.
void iq_lane_extremes(const float *values, size_t rows, size_t lanes, float *extremes);

// The least and the largest number of each lane.
void iq_lane_ranges(const float *values, size_t rows, size_t lanes, float *low, float *high);

// Codes of a row: the nearest levels, half to even; NaN takes the lowest.
void iq_lane_codes(const struct iq_lane_levels *levels, const float *row, size_t lanes, uint8_t *codes);

// errors[lane] = row[lane] minus what the code stands for.
void iq_lane_errors(const struct iq_lane_levels *levels, const float *row, const uint8_t *codes, size_t lanes,
                    float *errors);

// rows[r][lane] += factors[r] · errors[lane].
void iq_lane_feedback(const float *factors, const float *errors, size_t count, size_t lanes, float *rows);

// words[lane] |= ((code >> drop) & mask) << shift.
void iq_put_codes(const uint8_t *codes, size_t lanes, unsigned drop, unsigned mask, unsigned shift, uint32_t *words);

#ifdef __cplusplus
}
#endif

#endif
