// Elementwise float32 loops of a transformer: norms, RoPE, gated activations.
#ifndef INNERQ_ELEMENTWISE_H
#define INNERQ_ELEMENTWISE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// output[i] = x[i] · weight[i] / sqrt(mean(x²) + epsilon). `output` may be `x`.
void iq_rms_norm(const float *x, const float *weight, float *output, size_t count, float epsilon);

// x[i] += y[i].
void iq_add(float *x, const float *y, size_t count);

// x[i] *= factor.
void iq_scale(float *x, float factor, size_t count);

// sums[i (i + 1) / 2 + j] += x[q n + i] · x[q n + j] for j ≤ i < n: one of `count` vectors after the other.
void iq_add_products(const float *x, size_t count, size_t n, float *sums);

// gate[i] = silu(gate[i]) · up[i], silu(x) = x / (1 + e^−x). Relative error below 1e-6.
void iq_silu_multiply(float *gate, const float *up, size_t count);

// gate[i] = gelu(gate[i]) · up[i] with gelu's tanh approximation, ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
void iq_gelu_tanh_multiply(float *gate, const float *up, size_t count);

// The largest x[i]; -inf of none. NaN counts as -inf.
float iq_largest(const float *x, size_t count);

// Σ e^(x[i] − shift), relative error below 1e-6; with `output`, output[i] is the term. x[i] − shift is taken as at least -87.
double iq_exponential_sum(const float *x, float shift, float *output, size_t count);

// Σ x[i] · y[i], in float32 for runs of 1024 and in float64 over them.
double iq_dot(const float *x, const float *y, size_t count);

// Turns `pairs` pairs of channels by the angles whose cosines and sines are given, one head.
// Pair i is channels i and i + pairs. `output` must not overlap `x`.
void iq_rope_half_split(const float *x, float *output, const float *cosines, const float *sines, size_t pairs);
// Pair i is channels 2i and 2i + 1.
void iq_rope_interleaved(const float *x, float *output, const float *cosines, const float *sines, size_t pairs);

#ifdef __cplusplus
}
#endif

#endif
