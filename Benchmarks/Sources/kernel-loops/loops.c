#include "loops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float out[MOST_HEADS * HEAD_SIZE];
static struct iq_multipliers integers[MOST_HEADS];
static float prepared[2 * COLUMNS];

// One call of a tile product: 32 rows of HEAD_SIZE lanes.
static double tile(const struct problem *p, const struct iq_kernels *k, int bits, size_t heads, int mode, int is_integer) {
    struct iq_code_block block = {p->words, HEAD_SIZE, p->scales, p->zeros, HEAD_SIZE, (float)(1 << (bits - 1)), mode};
    int i = bits == 2 ? 0 : bits == 3 ? 1 : bits == 4 ? 2 : 3;
    if (is_integer) k->attention->dot_integers[i](&block, integers, heads, out, HEAD_SIZE);
    else k->attention->dot_codes[i](&block, p->multipliers, 32, heads, out, HEAD_SIZE);
    return 32.0 * HEAD_SIZE;
}

static double weights(const struct problem *p, const struct iq_kernels *k, const struct iq_weight_format *f, int is_integer,
                      long repeats) {
    is_integer = is_integer && f->integers;
    k->weights->prepare(is_integer ? f->integer_layout : f->layout, p->activations, COLUMNS, prepared);
    struct iq_product product = make_product(p, f, is_integer);
    product.activations = prepared;
    product.output = out;
    for (long r = 0; r < repeats; r++) (is_integer ? f->integers : f->gemv)(f, &product);
    return (double)repeats * WEIGHT_ROWS * COLUMNS;
}

// Loops by name: tile-BITS-HEADS[-hybrid][-coarse][-float], half-HEADS, quantize, exponentials, weights-TYPE[-float].
double run_loop(const struct problem *p, const struct iq_kernels *k, const char *name, long repeats) {
    const int is_float = strstr(name, "-float") != NULL, is_coarse = strstr(name, "-coarse") != NULL;
    const int mode = strstr(name, "-hybrid") ? IQ_SCALE_HYBRID : IQ_SCALE_SYMMETRIC;
    int bits = 0;
    unsigned heads = 0;
    double elements = 0;
    k->attention->quantize(p->multipliers, 32, MOST_HEADS, is_coarse ? INFINITY : -1, integers);
    if (sscanf(name, "tile-%d-%u", &bits, &heads) == 2 && heads >= 1 && heads <= MOST_HEADS) {
        for (long i = 0; i < repeats; i++) elements += tile(p, k, bits, heads, mode, !is_float);
        return elements;
    }
    if (sscanf(name, "half-%u", &heads) == 1 && heads >= 1 && heads <= MOST_HEADS) {
        for (long i = 0; i < repeats; i++)
            k->attention->dot_half(p->halves, HEAD_SIZE, 32, HEAD_SIZE, p->multipliers, 32, heads, out, HEAD_SIZE);
        return 32.0 * HEAD_SIZE * (double)repeats;
    }
    if (strcmp(name, "quantize") == 0) {
        for (long i = 0; i < repeats; i++) k->attention->quantize(p->multipliers, 32, 3, -1, integers);
        return 3 * 32.0 * (double)repeats;
    }
    if (strcmp(name, "exponentials") == 0) {
        static float scores[256];
        for (long i = 0; i < repeats; i++) {
            memcpy(scores, p->scores, sizeof scores);
            k->attention->exponentials(scores, 256, 4);
        }
        return 256.0 * (double)repeats;
    }
    if (strncmp(name, "weights-", 8) == 0) {
        for (int i = 0; i < IQ_WEIGHT_FORMATS; i++) {
            const struct iq_weight_format *f = &k->weights->formats[i];
            size_t length = strlen(f->name);
            if (strncmp(name + 8, f->name, length) != 0 || (name[8 + length] != 0 && name[8 + length] != '-')) continue;
            return weights(p, k, f, !is_float, repeats);
        }
    }
    return -1;
}
