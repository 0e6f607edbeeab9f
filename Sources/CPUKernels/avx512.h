// Shared by the AVX-512 kernels; not part of the module.
#ifndef INNERQ_AVX512_H
#define INNERQ_AVX512_H

#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>

#define AVX512_TARGET "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"
#define AVX512 __attribute__((target(AVX512_TARGET)))
#define INLINE512 static inline __attribute__((always_inline, target(AVX512_TARGET)))

// The first `count` lanes, at most 16.
INLINE512 __mmask16 first_lanes(size_t count) { return count >= 16 ? 0xFFFF : (__mmask16)((1u << count) - 1); }

#endif
#endif
