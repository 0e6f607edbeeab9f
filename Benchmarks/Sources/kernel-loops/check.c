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
    // Every third head is coarse, so that kernels meet both.
    for (int h = 0; h < MOST_HEADS; h++) {
        const float coarse = h % 3 == 1 ? INFINITY : -1;
        expected->quantize(p->multipliers + 32 * h, 32, 1, coarse, n + h);
        found->quantize(p->multipliers + 32 * h, 32, 1, coarse, m + h);
    }
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
        if (found->dot_many) {
            memset(a, 0, bytes);
            found->dot_many(p->floats, HEAD_SIZE, 32, HEAD_SIZE, p->multipliers, 32, heads, a, HEAD_SIZE);
            compare(kernels->name, "float32 values, matrix unit", a, b, heads * HEAD_SIZE, 2e-5);
        }
    }
    memcpy(a, p->scores, sizeof p->scores);
    memcpy(b, p->scores, sizeof p->scores);
    a[3] = b[3] = -INFINITY;
    float sum = found->exponentials(a, 255, 4), other = expected->exponentials(b, 255, 4);
    compare(kernels->name, "exponentials", a, b, 255, 1e-6);
    compare(kernels->name, "their sum", &sum, &other, 1, 1e-6);
    // A rest that fills no register.
    for (size_t count = 1; count < 20; count++) {
        sum = found->maximum(p->scores, count);
        other = expected->maximum(p->scores, count);
        compare(kernels->name, "maximum", &sum, &other, 1, 0);
    }
    // What is not finite spoils the scale.
    float bad[32];
    memcpy(bad, p->multipliers, sizeof bad);
    for (int i = 0; i < 2; i++) {
        bad[17] = i ? NAN : INFINITY;
        found->quantize(bad, 32, 1, -1, m);
        float spoiled = !isnan(m->scale);
        compare(kernels->name, "scale of what is not finite", &spoiled, &none, 1, 0);
    }
}

// Three tiles, as keys of head size 80 (a last block of 16 rows) and as values of head size 64.
static void check_runs(const struct problem *p, const struct iq_kernels *kernels) {
    enum { TILES = 3, TILE_BYTES = 4096, HEADS = 5, TILE_MULTIPLIERS = 4 * HEADS };
    static uint8_t tiles[TILES][TILE_BYTES];
    static struct iq_multipliers x[TILES * TILE_MULTIPLIERS];
    static float a[HEADS * 256], b[HEADS * 256];
    const void *addresses[TILES + 1] = {tiles[0], tiles[1], tiles[2], tiles[0]};
    for (int h = 0; h < TILES * TILE_MULTIPLIERS; h++)
        iq_attention_portable.quantize(p->multipliers + h % MOST_HEADS * 32, 32, 1, h % 3 == 1 ? INFINITY : -1, x + h);
    for (int is_keys = 0; is_keys < 2; is_keys++) {
        for (int i = 0; i < 4; i++) {
            struct iq_tile_run run = {
                .tiles = addresses,
                .count = TILES,
                .ahead = 1,
                .ahead_bytes = TILE_BYTES,
                .rows = is_keys ? 80 : 32,
                .lanes = is_keys ? 32 : 64,
                .bias = (float)(1 << (bits_of[i] - 1)),
                .mode = IQ_SCALE_ASYMMETRIC,
            };
            const size_t groups = (run.rows + 31) / 32 * run.lanes;
            run.scale_offset = run.rows * run.lanes * (size_t)bits_of[i] / 8;
            run.zero_offset = run.scale_offset + 2 * groups;
            for (int t = 0; t < TILES; t++) {
                for (size_t j = 0; j < run.scale_offset; j++)
                    tiles[t][j] = ((const uint8_t *)p->words)[(j + 96 * (size_t)t) % sizeof p->words];
                for (size_t j = 0; j < groups; j++) {
                    memcpy(tiles[t] + run.scale_offset + 2 * j, &p->scales[j % HEAD_SIZE], 2);
                    memcpy(tiles[t] + run.zero_offset + 2 * j, &p->zeros[(j + (size_t)t) % HEAD_SIZE], 2);
                }
            }
            const size_t step = is_keys ? 32 : 0, stride = is_keys ? 32 * TILES : 64;
            const size_t x_step = is_keys ? 0 : HEADS;
            memset(a, 0, sizeof a);
            memset(b, 0, sizeof b);
            kernels->attention->dot_runs[i](&run, x, x_step, HEADS, a, step, stride);
            iq_attention_portable.dot_runs[i](&run, x, x_step, HEADS, b, step, stride);
            char name[64];
            snprintf(name, sizeof name, "run of %s, %d bits", is_keys ? "keys" : "values", bits_of[i]);
            compare(kernels->name, name, a, b, HEADS * stride, 2e-6);
        }
    }
}

// Panels decode to the bits that rows decode to.
static void check_panels(const struct problem *p, const struct iq_weight_format *format, const struct iq_product *product) {
    static float row[COLUMNS], again[COLUMNS];
    float different = 0, none = 0;
    for (size_t r = 0; r < WEIGHT_ROWS; r++) {
        format->dequantize(p->weights + r * product->row_bytes, row, COLUMNS);
        iq_dequantize_panel_row(format, p->panels + r / IQ_PANEL_ROWS * IQ_PANEL_ROWS * product->row_bytes,
                                r % IQ_PANEL_ROWS, COLUMNS, again);
        different += memcmp(row, again, sizeof row) != 0;
    }
    compare("", format->name, &different, &none, 1, 0);
}

static void check_weights(const struct problem *p, const struct iq_kernels *kernels) {
    static float prepared[2 * COLUMNS];
    char name[64];
    for (int i = 0; i < IQ_WEIGHT_FORMATS; i++) {
        const struct iq_weight_format *found = &kernels->weights->formats[i];
        const struct iq_weight_format *expected = iq_weight_format(&iq_weights_portable, found->type);
        float a[WEIGHT_ROWS], b[WEIGHT_ROWS];
        struct iq_product product = make_product(p, expected, 0);
        iq_weights_portable.prepare(expected->layout, p->activations, COLUMNS, prepared);
        product.activations = prepared;
        product.output = b;
        expected->gemv(expected, &product);
        for (int integers = 0; integers < 2; integers++) {
            if (integers && !found->integers) continue;
            kernels->weights->prepare(integers ? found->integer_layout : found->layout, p->activations, COLUMNS, prepared);
            product = make_product(p, found, integers);
            product.activations = prepared;
            product.output = a;
            (integers ? found->integers : found->gemv)(found, &product);
            snprintf(name, sizeof name, "weights %s%s", found->name, integers ? " integers" : "");
            // Rounded activations: 2^-16 of the largest, over what cancels.
            compare(kernels->name, name, a, b, WEIGHT_ROWS, integers ? 5e-4 : 2e-5);
            if (integers) check_panels(p, found, &product);
        }
        if (!kernels->weights->gemm_split) continue;
        static _Alignas(64) float panel[IQ_GEMM_PANEL_FLOATS], groups[16 * (COLUMNS + 31)];
        for (int interleaved = 0; interleaved < (found->integers ? 2 : 1); interleaved++) {
            product = make_product(p, found, interleaved);
            kernels->weights->split(p->activations, COLUMNS, 0, 1, COLUMNS, groups);
            product.activations = groups;
            product.output = a;
            product.panel = panel;
            product.is_interleaved = interleaved;
            kernels->weights->gemm_split(found, &product);
            snprintf(name, sizeof name, "weights %s matrix unit", found->name);
            compare(kernels->name, name, a, b, WEIGHT_ROWS, 1e-4);
        }
    }
}

int check_variants(const struct problem *p) {
    for (size_t i = 0; i < iq_kernels_count(); i++) {
        check_tiles(p, iq_kernels_at(i));
        check_runs(p, iq_kernels_at(i));
        check_weights(p, iq_kernels_at(i));
    }
    printf("%zu variants, %d failures\n", iq_kernels_count(), failures);
    return failures;
}
