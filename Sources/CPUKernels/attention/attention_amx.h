// Shared by the AMX attention kernels; not part of the module.
#ifndef INNERQ_ATTENTION_AMX_H
#define INNERQ_ATTENTION_AMX_H

#include "matrix_amx.h"

#if defined(IQ_HAS_AMX)
// `dot_many` of struct iq_attention_kernels.
void iq_dot_many_amx(const float *values, size_t value_stride, size_t depth, size_t lanes, const float *x, size_t x_stride,
                     size_t heads, float *out, size_t out_stride);
#endif
#endif
