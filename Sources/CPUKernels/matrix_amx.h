// Products of float32 matrices on AMX tiles: each number is the sum of two bfloat16, and three of their four products are
// summed; not part of the module.
//
// x = h + l, with h the nearest bfloat16 of x and l that of x - h: |x - h - l| <= 2^-17 |x|. Then
// x y = h h' + l h' + h l', off by 2^-15 |x y| at most (the rest of both, and l l'), summed in float32. One tile instruction
// makes 16 x 16 sums of 32 such products in 16 cycles; AVX-512 makes 16 of one in half a cycle.
//
// Left operands (vectors) lie in groups of 16 rows, right ones (weights, keys, values) in strips of 16 lanes; both in
// steps of 32 along the sum, each step two tiles of 1 KB, h and l:
//
//     left    row 0:  x[0][0] x[0][1] ... x[0][31] | row 1 ... row 15                     bfloat16
//     right   w[0][0] w[1][0]  w[0][1] w[1][1] ... w[0][15] w[1][15] | w[2][0] w[3][0] ...   w[k][lane], pairs of k together
#ifndef INNERQ_MATRIX_AMX_H
#define INNERQ_MATRIX_AMX_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__)
#define IQ_HAS_AMX 1
#include "avx512.h"

#define IQ_AMX_TARGET AVX512_TARGET ",avx512bf16,amx-tile,amx-bf16"
#define IQ_AMX __attribute__((target(IQ_AMX_TARGET)))
#define IQ_AMX_INLINE static inline __attribute__((always_inline, target(IQ_AMX_TARGET)))

enum {
    IQ_AMX_ROWS = 16,
    IQ_AMX_STEP = 32,          // terms of the sum in a tile
    IQ_AMX_TILE = 1024,        // bytes
    IQ_AMX_PAIR = 2 * IQ_AMX_TILE,  // h and l
};

static inline size_t iq_amx_steps(size_t terms) { return (terms + IQ_AMX_STEP - 1) / IQ_AMX_STEP; }

// Configures the calling thread's tiles; iq_amx_end gives them up, so that they are not saved when threads take turns.
void iq_amx_begin(void);
void iq_amx_end(void);

// `rows` (up to 16) rows of `terms` numbers, `stride` floats apart, to a group of iq_amx_steps(terms) pairs. What lacks
// is zeros.
void iq_amx_split_rows(const float *x, size_t stride, size_t rows, size_t terms, uint8_t *group);

// 16 lanes of `terms` numbers, values[k · stride + lane], to a strip of iq_amx_steps(terms) pairs.
void iq_amx_split_lanes(const float *values, size_t stride, size_t terms, uint8_t *strip);

// out[r · out_stride + lane] = (add ? itself : 0) + the product of row r and `lane`, over `steps` pairs: up to 32 rows (one group
// or two, group_bytes apart) by up to 32 lanes (one strip or two, strip_bytes apart).
void iq_amx_multiply(const uint8_t *groups, size_t group_bytes, size_t rows, const uint8_t *strips, size_t strip_bytes,
                     size_t lanes, size_t steps, float *out, size_t out_stride, int add);

#endif
#endif
