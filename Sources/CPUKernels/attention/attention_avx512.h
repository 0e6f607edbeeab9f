// Shared by the AVX-512 attention kernels; not part of the module.
#ifndef INNERQ_ATTENTION_AVX512_H
#define INNERQ_ATTENTION_AVX512_H

#include "attention_avx2.h"
#include "avx512.h"

#if defined(__x86_64__)

// attention_softmax_avx512.c
float iq_maximum_avx512(const float *values, size_t count);
float iq_exponentials_avx512(float *values, size_t count, float maximum);

#endif
#endif
