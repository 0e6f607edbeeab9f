// Shared by the weight kernels; not part of the module.
#ifndef INNERQ_WEIGHTS_INTERNAL_H
#define INNERQ_WEIGHTS_INTERNAL_H

#include <string.h>

#include "iq_weights.h"

// Rows start at any byte: every access goes through memcpy or an unaligned load.
static inline uint16_t iq_load16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

static inline uint32_t iq_load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline float iq_bits_to_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

// Scales and minimums of the eight sub-blocks of a Q4_K or Q5_K block, six bits each in twelve bytes:
// bytes 0-3 scales 0-3 and, in their top bits, the top of scales 4-7; bytes 4-7 the same for minimums;
// bytes 8-11 the low four bits of scales (low) and minimums (high) 4-7.
struct iq_k_scales {
    uint8_t scale[8], minimum[8];
};

static inline struct iq_k_scales iq_unpack_k_scales(const uint8_t *s) {
    uint32_t a = iq_load32(s), b = iq_load32(s + 4), c = iq_load32(s + 8);
    uint32_t words[4] = {
        a & 0x3F3F3F3F,
        (c & 0x0F0F0F0F) | ((a >> 2) & 0x30303030),
        b & 0x3F3F3F3F,
        ((c >> 4) & 0x0F0F0F0F) | ((b >> 2) & 0x30303030),
    };
    struct iq_k_scales k;
    memcpy(&k, words, 16);
    return k;
}

// Byte offsets inside blocks.
enum {
    IQ_Q8_0_CODES = 2,
    IQ_Q4_0_CODES = 2,
    IQ_Q4_1_CODES = 4,
    IQ_Q5_0_HIGH = 2,
    IQ_Q5_0_CODES = 6,
    IQ_Q5_1_HIGH = 4,
    IQ_Q5_1_CODES = 8,
    IQ_K_SCALES = 4,
    IQ_Q4_K_CODES = 16,
    IQ_Q5_K_HIGH = 16,
    IQ_Q5_K_CODES = 48,
    IQ_Q6_K_HIGH = 128,
    IQ_Q6_K_SCALES = 192,
    IQ_Q6_K_SCALE = 208,
};

#endif
