// Elementwise loops. They stream through memory once:
// 4 bytes read and 4 written an element, against which a weight product reads a whole matrix; they show in prefill
// profiles only through exp, which is why it is a polynomial here.
#include "iq_elementwise.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "plain_loops.h"

enum { LANES = 16 };

// e^x by 2^n · p(r), |r| ≤ ln2/2, p of degree 6: relative error 2e-7. Clamped to finite results; NaN gives e^-87.
INLINE_LOOP float exponential(float x) {
    x = x > -87.0f ? x : -87.0f;
    x = x < 88.0f ? x : 88.0f;
    const float magic = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer
    float n = (x * 1.44269504089f + magic) - magic;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

INLINE_LOOP void rms_norm(const float *x, const float *weight, float *output, size_t count, float epsilon) {
    // Lanes of their own keep the sum's order fixed and let it be vectorized.
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++) sums[lane] += x[i + lane] * x[i + lane];
    double sum = 0;
    for (; i < count; i++) sum += (double)x[i] * x[i];
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    float scale = (float)(1 / sqrt(sum / (double)count + epsilon));
    for (i = 0; i < count; i++) output[i] = x[i] * scale * weight[i];
}

INLINE_LOOP void add(float *x, const float *y, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] += y[i];
}

INLINE_LOOP void scale(float *x, float factor, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] *= factor;
}

INLINE_LOOP void add_products(const float *restrict x, size_t count, size_t n, float *restrict sums) {
    for (size_t i = 0; i < n; sums += ++i)
        for (size_t q = 0; q < count; q++) {
            const float factor = x[q * n + i];
            for (size_t j = 0; j <= i; j++) sums[j] += factor * x[q * n + j];
        }
}

INLINE_LOOP void silu_multiply(float *restrict gate, const float *restrict up, size_t count) {
    for (size_t i = 0; i < count; i++) gate[i] = gate[i] / (1 + exponential(-gate[i])) * up[i];
}

INLINE_LOOP void gelu_tanh_multiply(float *restrict gate, const float *restrict up, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float x = gate[i];
        // ½(1 + tanh u) = 1 / (1 + e^−2u); 2√(2/π) = 1.5957691.
        float twice = 1.59576912161f * (x + 0.044715f * x * x * x);
        gate[i] = x / (1 + exponential(-twice)) * up[i];
    }
}

INLINE_LOOP void rope_half_split(const float *restrict x, float *restrict output, const float *restrict cosines,
                            const float *restrict sines, size_t pairs) {
    for (size_t i = 0; i < pairs; i++) {
        float a = x[i], b = x[i + pairs];
        output[i] = a * cosines[i] - b * sines[i];
        output[i + pairs] = b * cosines[i] + a * sines[i];
    }
}

INLINE_LOOP void rope_interleaved(const float *restrict x, float *restrict output, const float *restrict cosines,
                             const float *restrict sines, size_t pairs) {
    for (size_t i = 0; i < pairs; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        output[2 * i] = a * cosines[i] - b * sines[i];
        output[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
}

// Elements whose sum is kept in float32.
enum { RUN = 1024 };

INLINE_LOOP float largest(const float *restrict x, size_t count) {
    float best[LANES];
    for (int lane = 0; lane < LANES; lane++) best[lane] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++) best[lane] = x[i + lane] > best[lane] ? x[i + lane] : best[lane];
    for (; i < count; i++) best[0] = x[i] > best[0] ? x[i] : best[0];
    for (int lane = 1; lane < LANES; lane++) best[0] = best[lane] > best[0] ? best[lane] : best[0];
    return best[0];
}

INLINE_LOOP double exponential_sum(const float *restrict x, float shift, float *restrict output, size_t count) {
    double total = 0;
    for (size_t start = 0; start < count; start += RUN) {
        size_t end = start + RUN < count ? start + RUN : count;
        float sums[LANES] = {0};
        size_t i = start;
        for (; i + LANES <= end; i += LANES)
            for (int lane = 0; lane < LANES; lane++) {
                float term = exponential(x[i + lane] - shift);
                if (output) output[i + lane] = term;
                sums[lane] += term;
            }
        for (; i < end; i++) {
            float term = exponential(x[i] - shift);
            if (output) output[i] = term;
            sums[0] += term;
        }
        for (int lane = 0; lane < LANES; lane++) total += sums[lane];
    }
    return total;
}

INLINE_LOOP double dot(const float *restrict x, const float *restrict y, size_t count) {
    double total = 0;
    for (size_t start = 0; start < count; start += RUN) {
        size_t end = start + RUN < count ? start + RUN : count;
        float sums[LANES] = {0};
        size_t i = start;
        for (; i + LANES <= end; i += LANES)
            for (int lane = 0; lane < LANES; lane++) sums[lane] += x[i + lane] * y[i + lane];
        for (; i < end; i++) sums[0] += x[i] * y[i];
        for (int lane = 0; lane < LANES; lane++) total += sums[lane];
    }
    return total;
}

DEFINE(rms_norm, (const float *x, const float *weight, float *output, size_t count, float epsilon),
       (x, weight, output, count, epsilon))
DEFINE(add, (float *x, const float *y, size_t count), (x, y, count))
DEFINE(scale, (float *x, float factor, size_t count), (x, factor, count))
DEFINE(add_products, (const float *x, size_t count, size_t n, float *sums), (x, count, n, sums))
DEFINE(silu_multiply, (float *gate, const float *up, size_t count), (gate, up, count))
DEFINE(gelu_tanh_multiply, (float *gate, const float *up, size_t count), (gate, up, count))
DEFINE(rope_half_split,
       (const float *x, float *output, const float *cosines, const float *sines, size_t pairs),
       (x, output, cosines, sines, pairs))
DEFINE(rope_interleaved,
       (const float *x, float *output, const float *cosines, const float *sines, size_t pairs),
       (x, output, cosines, sines, pairs))
DEFINE_VALUE(float, largest, (const float *x, size_t count), (x, count))
DEFINE_VALUE(double, exponential_sum, (const float *x, float shift, float *output, size_t count),
             (x, shift, output, count))
DEFINE_VALUE(double, dot, (const float *x, const float *y, size_t count), (x, y, count))
