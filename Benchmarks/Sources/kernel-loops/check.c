// Compares every variant that the processor has with the portable one; also run under an emulator of other processors.
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures;

static void compare(const char *variant, const char *what, const float *found, const float *expected, size_t count,
                    double tolerance) {
    double worst = 0, scale = 1e-30;
    for (size_t i = 0; i < count; i++) scale = fmax(scale, fabs((double)expected[i]));
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)found[i] - (double)expected[i]) / scale;
        if (!(error <= worst)) worst = error;
    }
    int failed = !(worst <= tolerance);
    failures += failed;
    printf("%-9s %-34s %9.1e %9.1e%s\n", variant, what, worst, tolerance, failed ? "  FAILED" : "");
}

static void check_tiles(const struct problem *p, const struct iq_kernels *kernels) {
    const struct iq_attention_kernels *found = kernels->attention, *expected = &iq_attention_portable;
    static float a[MOST_HEADS * HEAD_SIZE], b[MOST_HEADS * HEAD_SIZE];
    static struct iq_multipliers n[MOST_HEADS], m[MOST_HEADS];
    const size_t bytes = sizeof a;
    char name[64];
    expected->quantize(p->multipliers, 32, MOST_HEADS, n);
    found->quantize(p->multipliers, 32, MOST_HEADS, m);
    float differs = memcmp(n, m, sizeof n) != 0, none = 0;
    compare(kernels->name, "multipliers as integers", &differs, &none, 1, 0);
    struct iq_code_block block = {p->words, HEAD_SIZE, p->scales, p->zeros, HEAD_SIZE, 0, 0};
    for (int i = 0; i < 4; i++) {
        for (block.mode = IQ_SCALE_NONE; block.mode <= IQ_SCALE_HYBRID; block.mode++) {
            uint16_t signs[HEAD_SIZE];
            memcpy(signs, p->scales, sizeof signs);
            if (block.mode == IQ_SCALE_HYBRID)
                for (int l = 0; l < HEAD_SIZE; l += 3) signs[l] |= 0x8000;
            block.scales = signs;
            block.bias = (float)(1 << (bits_of[i] - 1));
            for (size_t heads = 1; heads <= MOST_HEADS; heads += heads < 5 ? 1 : 2) {
                memset(a, 0, bytes);
                memset(b, 0, bytes);
                found->dot_integers[i](&block, n, heads, a, HEAD_SIZE);
                expected->dot_integers[i](&block, n, heads, b, HEAD_SIZE);
                snprintf(name, sizeof name, "integers %d bits mode %d heads %zu", bits_of[i], block.mode, heads);
                compare(kernels->name, name, a, b, heads * HEAD_SIZE, 2e-6);
                memset(a, 0, bytes);
                memset(b, 0, bytes);
                found->dot_codes[i](&block, p->multipliers, 32, heads, a, HEAD_SIZE);
                expected->dot_codes[i](&block, p->multipliers, 32, heads, b, HEAD_SIZE);
                snprintf(name, sizeof name, "floats %d bits mode %d heads %zu", bits_of[i], block.mode, heads);
                compare(kernels->name, name, a, b, heads * HEAD_SIZE, 5e-6);
            }
        }
    }
    for (size_t heads = 1; heads <= MOST_HEADS; heads++) {
        memset(a, 0, bytes);
        memset(b, 0, bytes);
        found->dot_half(p->halves, HEAD_SIZE, 32, HEAD_SIZE, p->multipliers, 32, heads, a, HEAD_SIZE);
        expected->dot_half(p->halves, HEAD_SIZE, 32, HEAD_SIZE, p->multipliers, 32, heads, b, HEAD_SIZE);
        compare(kernels->name, "float16 values", a, b, heads * HEAD_SIZE, 2e-6);
        memset(a, 0, bytes);
        memset(b, 0, bytes);
        found->dot_float(p->floats, HEAD_SIZE, 32, HEAD_SIZE, p->multipliers, 32, heads, a, HEAD_SIZE);
        expected->dot_float(p->floats, HEAD_SIZE, 32, HEAD_SIZE, p->multipliers, 32, heads, b, HEAD_SIZE);
        compare(kernels->name, "float32 values", a, b, heads * HEAD_SIZE, 2e-6);
    }
    memcpy(a, p->scores, sizeof p->scores);
    memcpy(b, p->scores, sizeof p->scores);
    a[3] = b[3] = -INFINITY;
    float sum = found->exponentials(a, 255, 4), other = expected->exponentials(b, 255, 4);
    compare(kernels->name, "exponentials", a, b, 255, 1e-6);
    compare(kernels->name, "their sum", &sum, &other, 1, 1e-6);
}

static void check_weights(const struct problem *p, const struct iq_kernels *kernels) {
    static float prepared[2 * COLUMNS];
    char name[64];
    for (int i = 0; i < IQ_WEIGHT_FORMATS; i++) {
        const struct iq_weight_format *found = &kernels->weights->formats[i];
        const struct iq_weight_format *expected = iq_weight_format(&iq_weights_portable, found->type);
        float a[WEIGHT_ROWS], b[WEIGHT_ROWS];
        struct iq_product product = {
            .weights = p->weights,
            .row_bytes = COLUMNS / found->block_elements * found->block_bytes,
            .columns = COLUMNS,
            .row_end = WEIGHT_ROWS,
            .count = 1,
            .output_stride = WEIGHT_ROWS,
        };
        iq_weights_portable.prepare(expected->layout, p->activations, COLUMNS, prepared);
        product.activations = prepared;
        product.output = b;
        expected->gemv(expected, &product);
        for (int integers = 0; integers < 2; integers++) {
            if (integers && !found->integers) continue;
            kernels->weights->prepare(integers ? found->integer_layout : found->layout, p->activations, COLUMNS, prepared);
            product.output = a;
            (integers ? found->integers : found->gemv)(found, &product);
            snprintf(name, sizeof name, "weights %s%s", found->name, integers ? " integers" : "");
            // Rounded activations: 2^-16 of the largest, over what cancels.
            compare(kernels->name, name, a, b, WEIGHT_ROWS, integers ? 5e-4 : 2e-5);
        }
    }
}

int check_variants(const struct problem *p) {
    for (size_t i = 0; i < iq_kernels_count(); i++) {
        check_tiles(p, iq_kernels_at(i));
        check_weights(p, iq_kernels_at(i));
    }
    printf("%zu variants, %d failures\n", iq_kernels_count(), failures);
    return failures;
}
