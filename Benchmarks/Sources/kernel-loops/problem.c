#include "problem.h"

#include <stdlib.h>
#include <string.h>

// splitmix64
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static float number(uint64_t *state) { return (float)((double)(next(state) >> 11) * 0x1p-52 - 1); }

struct problem *make_problem(void) {
    struct problem *p = calloc(1, sizeof *p);
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof p->words / 4; i++) p->words[i] = (uint32_t)next(&state);
    for (int i = 0; i < 32 * HEAD_SIZE; i++) {
        p->floats[i] = number(&state);
        iq_float_to_half(&p->floats[i], &p->halves[i], 1);
    }
    for (int i = 0; i < HEAD_SIZE; i++) {
        // Positive: asymmetric tiles have no others. Hybrid tiles see both signs in `check.c`.
        float scale = 0.1f + 0.05f * number(&state), zero = number(&state);
        iq_float_to_half(&scale, &p->scales[i], 1);
        iq_float_to_half(&zero, &p->zeros[i], 1);
    }
    for (int i = 0; i < MOST_HEADS * 32; i++) p->multipliers[i] = number(&state);
    for (int i = 0; i < 32 * 8; i++) p->scores[i] = 4 * number(&state);
    for (int i = 0; i < COLUMNS; i++) p->activations[i] = number(&state);
    p->weights = malloc(8 * WEIGHT_ROWS * COLUMNS);
    // Bytes below 64: as float16s, scales and minimums are then small and finite in any format.
    for (size_t i = 0; i < 8 * WEIGHT_ROWS * COLUMNS; i++) p->weights[i] = (uint8_t)(next(&state) & 0x3F);
    p->panels = malloc(8 * WEIGHT_ROWS * COLUMNS);
    return p;
}

struct iq_product make_product(const struct problem *p, const struct iq_weight_format *format, int is_integer) {
    struct iq_product product = {
        .weights = is_integer ? p->panels : p->weights,
        .row_bytes = COLUMNS / format->block_elements * format->block_bytes,
        .columns = COLUMNS,
        .row_end = WEIGHT_ROWS,
        .count = 1,
        .output_stride = WEIGHT_ROWS,
    };
    if (is_integer)
        iq_interleave_rows(format, p->weights, product.row_bytes, WEIGHT_ROWS, COLUMNS, p->panels);
    return product;
}
