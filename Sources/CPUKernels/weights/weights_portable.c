// Weight kernels in plain C: what runs where no better variant is compiled in, and a second opinion in
// tests. Each row is decoded 256 weights at a time and multiplied with eight partial sums.
#include "weights.h"

// Decoding rounds the product and then the sum, as the reference decoders do.
#pragma STDC FP_CONTRACT OFF

enum { CHUNK = 256 };

// Exact: every float16 is a float32.
static float half_to_float(const uint8_t *p) {
    uint32_t h = iq_load16(p), sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return iq_bits_to_float(sign | 0x7F800000 | mantissa << 13);
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    return iq_bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

static void decode_f32(const void *blocks, float *v, size_t n) { memcpy(v, blocks, 4 * n); }

static void decode_f16(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i++) v[i] = half_to_float(b + 2 * i);
}

static void decode_bf16(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i++) v[i] = iq_bits_to_float((uint32_t)iq_load16(b + 2 * i) << 16);
}

static void decode_q8_0(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 34, v += 32) {
        float d = half_to_float(b);
        const int8_t *q = (const int8_t *)b + IQ_Q8_0_CODES;
        for (int i = 0; i < 32; i++) v[i] = d * (float)q[i];
    }
}

static void decode_q4_0(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 18, v += 32) {
        float d = half_to_float(b);
        const uint8_t *q = b + IQ_Q4_0_CODES;
        for (int i = 0; i < 16; i++) {
            v[i] = d * (float)((q[i] & 15) - 8);
            v[i + 16] = d * (float)((q[i] >> 4) - 8);
        }
    }
}

static void decode_q4_1(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 20, v += 32) {
        float d = half_to_float(b), m = half_to_float(b + 2);
        const uint8_t *q = b + IQ_Q4_1_CODES;
        for (int i = 0; i < 16; i++) {
            v[i] = d * (float)(q[i] & 15) + m;
            v[i + 16] = d * (float)(q[i] >> 4) + m;
        }
    }
}

static void decode_q5_0(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 22, v += 32) {
        float d = half_to_float(b);
        uint32_t high = iq_load32(b + IQ_Q5_0_HIGH);
        const uint8_t *q = b + IQ_Q5_0_CODES;
        for (int i = 0; i < 16; i++) {
            v[i] = d * (float)((int)((q[i] & 15) | (high >> i & 1) << 4) - 16);
            v[i + 16] = d * (float)((int)((q[i] >> 4) | (high >> (i + 16) & 1) << 4) - 16);
        }
    }
}

static void decode_q5_1(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 32, b += 24, v += 32) {
        float d = half_to_float(b), m = half_to_float(b + 2);
        uint32_t high = iq_load32(b + IQ_Q5_1_HIGH);
        const uint8_t *q = b + IQ_Q5_1_CODES;
        for (int i = 0; i < 16; i++) {
            v[i] = d * (float)((q[i] & 15) | (high >> i & 1) << 4) + m;
            v[i + 16] = d * (float)((q[i] >> 4) | (high >> (i + 16) & 1) << 4) + m;
        }
    }
}

static void decode_q4_k(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 256, b += 144, v += 256) {
        float d = half_to_float(b), e = half_to_float(b + 2);
        struct iq_k_scales s = iq_unpack_k_scales(b + IQ_K_SCALES);
        for (int sub = 0; sub < 8; sub++) {
            const uint8_t *q = b + IQ_Q4_K_CODES + sub / 2 * 32;
            float scale = d * (float)s.scale[sub], minimum = e * (float)s.minimum[sub];
            for (int i = 0; i < 32; i++)
                v[32 * sub + i] = scale * (float)(q[i] >> 4 * (sub & 1) & 15) - minimum;
        }
    }
}

static void decode_q5_k(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 256, b += 176, v += 256) {
        float d = half_to_float(b), e = half_to_float(b + 2);
        struct iq_k_scales s = iq_unpack_k_scales(b + IQ_K_SCALES);
        const uint8_t *high = b + IQ_Q5_K_HIGH;
        for (int sub = 0; sub < 8; sub++) {
            const uint8_t *q = b + IQ_Q5_K_CODES + sub / 2 * 32;
            float scale = d * (float)s.scale[sub], minimum = e * (float)s.minimum[sub];
            for (int i = 0; i < 32; i++) {
                int code = (q[i] >> 4 * (sub & 1) & 15) | (high[i] >> sub & 1) << 4;
                v[32 * sub + i] = scale * (float)code - minimum;
            }
        }
    }
}

// Weight 128 h + 32 c + l has its low bits in byte 64 h + 32 (c % 2) + l (low nibble for c < 2) and its
// upper two bits in bits 2 c, 2 c + 1 of byte 32 h + l.
static void decode_q6_k(const void *blocks, float *v, size_t n) {
    const uint8_t *b = blocks;
    for (size_t k = 0; k < n; k += 256, b += 210, v += 256) {
        float d = half_to_float(b + IQ_Q6_K_SCALE);
        const int8_t *scales = (const int8_t *)b + IQ_Q6_K_SCALES;
        for (int sub = 0; sub < 8; sub++) {
            const uint8_t *low = b + sub / 4 * 64 + (sub & 1) * 32;
            const uint8_t *high = b + IQ_Q6_K_HIGH + sub / 4 * 32;
            int quarter = sub & 3;
            for (int i = 0; i < 32; i++) {
                int code = (low[i] >> (quarter & 2) * 2 & 15) | (high[i] >> 2 * quarter & 3) << 4;
                v[32 * sub + i] = d * (float)scales[2 * sub + i / 16] * (float)(code - 32);
            }
        }
    }
}

static float dot(const float *a, const float *b, size_t n) {
    float sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) sums[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sums[i & 7] += a[i] * b[i];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

static void multiply(const struct iq_weight_format *format, const struct iq_product *p) {
    float weights[CHUNK];
    for (size_t r = p->row_begin; r < p->row_end; r++) {
        const uint8_t *row = (const uint8_t *)p->weights + r * p->row_bytes;
        float *out = p->output + r;
        if (!p->accumulate)
            for (size_t t = 0; t < p->count; t++) out[t * p->output_stride] = 0;
        for (size_t k = 0; k < p->columns; k += CHUNK) {
            size_t n = p->columns - k < CHUNK ? p->columns - k : CHUNK;
            format->dequantize(row + k / format->block_elements * format->block_bytes, weights, n);
            for (size_t t = 0; t < p->count; t++)
                out[t * p->output_stride] += dot(weights, p->activations + t * p->activation_stride + k, n);
        }
    }
}

static void prepare(uint32_t layout, const float *activations, size_t columns, float *prepared) {
    (void)layout;
    memcpy(prepared, activations, 4 * columns);
}

#define FORMAT(name_, elements, bytes, decode) \
    {IQ_WEIGHT_##name_, IQ_ACTIVATIONS_PLAIN, elements, bytes, #name_, decode, multiply, NULL, NULL, IQ_ACTIVATIONS_PLAIN}

const struct iq_weight_kernels iq_weights_portable = {
    .formats = {
        FORMAT(F32, 1, 4, decode_f32),
        FORMAT(F16, 1, 2, decode_f16),
        FORMAT(BF16, 1, 2, decode_bf16),
        FORMAT(Q8_0, 32, 34, decode_q8_0),
        FORMAT(Q4_0, 32, 18, decode_q4_0),
        FORMAT(Q4_1, 32, 20, decode_q4_1),
        FORMAT(Q5_0, 32, 22, decode_q5_0),
        FORMAT(Q5_1, 32, 24, decode_q5_1),
        FORMAT(Q4_K, 256, 144, decode_q4_k),
        FORMAT(Q5_K, 256, 176, decode_q5_k),
        FORMAT(Q6_K, 256, 210, decode_q6_k),
    },
    .prepare = prepare,
    .gemm = multiply,
};

const struct iq_weight_format *iq_weight_format(const struct iq_weight_kernels *kernels, uint32_t type) {
    for (size_t i = 0; i < IQ_WEIGHT_FORMATS; i++)
        if (kernels->formats[i].type == type) return &kernels->formats[i];
    return NULL;
}
