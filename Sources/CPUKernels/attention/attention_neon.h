// Shared by the NEON attention kernels; not part of the module.
#ifndef INNERQ_ATTENTION_NEON_H
#define INNERQ_ATTENTION_NEON_H

#if defined(__aarch64__)
#include <stddef.h>
#include <stdint.h>

// Whether the processor has `sdot` (Armv8.2 and later).
int iq_has_dot_products(void);

void iq_dot_float_neon(const float *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                       size_t x_stride, size_t heads, float *out, size_t out_stride);
void iq_dot_half_neon(const uint16_t *values, size_t value_stride, size_t depth, size_t lanes, const float *x,
                      size_t x_stride, size_t heads, float *out, size_t out_stride);
float iq_exponentials_neon(float *values, size_t count, float maximum);

#endif
#endif
