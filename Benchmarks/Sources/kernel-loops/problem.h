// What loops and checks run on: random tiles, weights and vectors of one size, the same in every run.
#ifndef PROBLEM_H
#define PROBLEM_H

#include <stddef.h>
#include <stdint.h>

#include "CPUKernels.h"

enum { HEAD_SIZE = 128, MOST_HEADS = 9, COLUMNS = 1536, WEIGHT_ROWS = 16 };

struct problem {
    uint32_t words[8 * HEAD_SIZE];         // 32 rows of HEAD_SIZE lanes, up to 8 bits
    uint16_t scales[HEAD_SIZE], zeros[HEAD_SIZE];
    uint16_t halves[32 * HEAD_SIZE];       // float16 values
    float floats[32 * HEAD_SIZE];
    float multipliers[MOST_HEADS * 32];
    float scores[32 * 8];
    uint8_t *weights;                      // WEIGHT_ROWS rows of COLUMNS weights in any format, 8 bytes a weight
    uint8_t *panels;                       // room for the same rows, interleaved
    float activations[COLUMNS];
};

struct problem *make_problem(void);

// The product of all rows with the activations: of rows, or of panels where activations become integers.
struct iq_product make_product(const struct problem *p, const struct iq_weight_format *format, int is_integer);

// Bits of dot_codes[i], dot_integers[i] and unpack[i].
static const int bits_of[4] = {2, 3, 4, 8};

#endif
