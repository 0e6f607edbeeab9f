// NEON attention kernels: what decoding spends its time in. The rest is the portable variant's, which compilers vectorize.
//
// Integer products as attention_integer_avx2.c draws them, four lanes to a register. `sdot` multiplies four bytes of each
// lane with four multipliers taken from a lane of another register, so that 16 multipliers are one load:
//
//     sums[lane] += Σ codes[lane][0 … 3] · multipliers[4·quad … 4·quad + 3]
#include "attention_codes.h"
#include "attention_integer.h"
#include "attention_neon.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__linux__)
#include <sys/auxv.h>
#endif

int iq_has_dot_products(void) {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0; // HWCAP_ASIMDDP
#else
    return 1; // every Apple processor that runs Swift
#endif
}

// ---- integers ------------------------------------------------------------------------------------------------

#define DOT __attribute__((target("dotprod")))
#define INLINE static inline __attribute__((always_inline, target("dotprod")))

enum { HEADS = 2, VECTORS = 4 };

// A register's worth of words shifted right, as bytes masked to a code.
INLINE int8x16_t codes_at(uint32x4_t word, int shift, int mask) {
    uint32x4_t shifted = vshlq_u32(word, vdupq_n_s32(-shift));
    return vreinterpretq_s8_u8(vandq_u8(vreinterpretq_u8_u32(shifted), vdupq_n_u8((uint8_t)mask)));
}

#define EACH(variable, count) _Pragma("clang loop unroll(full)") for (int variable = 0; variable < count; variable++)

// One quad of rows; `q` is its place among the four of the multipliers' register.
#define ADD_QUAD(q)                                                                       \
    EACH(h, H) EACH(v, VECTORS) {                                                         \
        high[h][v] = vdotq_laneq_s32(high[h][v], codes[v], mh[h], q);                     \
        low[h][v] = vdotq_laneq_s32(low[h][v], codes[v], ml[h], q);                       \
    }

INLINE void add_quad(int H, const int8x16_t codes[VECTORS], const struct iq_multipliers *x, int quad,
                     int32x4_t high[HEADS][VECTORS], int32x4_t low[HEADS][VECTORS]) {
    int8x16_t mh[HEADS], ml[HEADS];
    EACH(h, H) {
        mh[h] = vld1q_s8(x[h].high + quad / 4 * 16);
        ml[h] = vld1q_s8(x[h].low + quad / 4 * 16);
    }
    switch (quad & 3) {
    case 0: ADD_QUAD(0) break;
    case 1: ADD_QUAD(1) break;
    case 2: ADD_QUAD(2) break;
    default: ADD_QUAD(3) break;
    }
}

INLINE float32x4_t half4(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

// Scale and zero of four lanes as s·u + z; hybrid lanes as in attention_avx2.h.
INLINE void scales_of(const struct iq_code_block *b, size_t lane, float32x4_t *s, float32x4_t *z) {
    *s = vdupq_n_f32(1);
    *z = vdupq_n_f32(0);
    if (b->mode == IQ_SCALE_NONE) return;
    *s = half4(b->scales + lane);
    if (b->mode >= IQ_SCALE_ASYMMETRIC) *z = half4(b->zeros + lane);
    if (b->mode == IQ_SCALE_SYMMETRIC) *z = vmulq_n_f32(*s, -b->bias);
    if (b->mode != IQ_SCALE_HYBRID) return;
    const uint32x4_t sign = vdupq_n_u32(0x80000000);
    const uint32x4_t flag = vcltq_s32(vreinterpretq_s32_f32(*s), vdupq_n_s32(0));
    float32x4_t magnitude = vabsq_f32(*s), symmetric = vbslq_f32(sign, *z, magnitude);
    *z = vbslq_f32(flag, *z, vmulq_n_f32(symmetric, -b->bias));
    *s = vbslq_f32(flag, magnitude, symmetric);
}

INLINE void tile(int bits, int H, const struct iq_code_block *b, size_t lane, const struct iq_multipliers *x, float *out,
                 size_t out_stride) {
    const uint32_t *words = b->words + lane;
    const size_t stride = b->word_stride;
    int32x4_t high[HEADS][VECTORS], low[HEADS][VECTORS];
    int8x16_t codes[VECTORS];
    EACH(h, H) EACH(v, VECTORS) {
        // Codes of 8 bits are signed here, code − 128; 128 · n is added with the sum.
        high[h][v] = vdupq_n_s32(0);
        low[h][v] = vdupq_n_s32(bits == 8 ? 128 * x[h].total : 0);
    }
    EACH(w, (bits == 3 ? 3 : bits)) {
        EACH(t, IQ_BYTE_ROWS(bits)) {
            EACH(v, VECTORS) {
                uint32x4_t word = vld1q_u32(words + (size_t)w * stride + 4 * v);
                codes[v] = bits == 8 ? vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(word), vdupq_n_u8(0x80)))
                                     : codes_at(word, bits * t, (1 << bits) - 1);
            }
            add_quad(H, codes, x, IQ_BYTE_ROWS(bits) * w + t, high, low);
        }
    }
    if (bits == 3) {
        EACH(t, 2) {
            EACH(v, VECTORS) {
                int8x16_t a = codes_at(vld1q_u32(words + (size_t)t * stride + 4 * v), 6, 3);
                int8x16_t c = codes_at(vld1q_u32(words + 2 * stride + 4 * v), 4 + t, 4);
                codes[v] = vorrq_s8(a, c);
            }
            add_quad(H, codes, x, 6 + t, high, low);
        }
    }
    EACH(v, VECTORS) {
        float32x4_t s, z;
        scales_of(b, lane + 4 * (size_t)v, &s, &z);
        EACH(h, H) {
            float *o = out + (size_t)h * out_stride + lane + 4 * (size_t)v;
            int32x4_t sum = vaddq_s32(vshlq_n_s32(high[h][v], 8), low[h][v]);
            float32x4_t r = vmulq_f32(s, vcvtq_f32_s32(sum));
            r = vfmaq_n_f32(r, z, (float)x[h].total);
            vst1q_f32(o, vfmaq_n_f32(vld1q_f32(o), r, x[h].scale));
        }
    }
}

#define INTEGERS(BITS)                                                                                               \
    DOT void iq_dot_integers_neon_##BITS(const struct iq_code_block *b, const struct iq_multipliers *x, size_t heads, \
                                         float *out, size_t out_stride) {                                            \
        for (; heads >= 2; heads -= 2, x += 2, out += 2 * out_stride)                                                \
            for (size_t lane = 0; lane < b->lanes; lane += 16) tile(BITS, 2, b, lane, x, out, out_stride);           \
        if (heads)                                                                                                   \
            for (size_t lane = 0; lane < b->lanes; lane += 16) tile(BITS, 1, b, lane, x, out, out_stride);           \
    }                                                                                                                \
    IQ_RUN(neon, BITS)
INTEGERS(2)
INTEGERS(3)
INTEGERS(4)
INTEGERS(8)

// ---- float32 and float16 values ------------------------------------------------------------------------------

#undef INLINE
#define INLINE static inline __attribute__((always_inline))

INLINE float32x4_t float4(const float *p) { return vld1q_f32(p); }
INLINE float32x4_t from_half(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

// H heads by 16 lanes.
#define DOT_BODY(LOAD, H)                                                                         \
    for (size_t l = 0; l < lanes; l += 16) {                                                      \
        float32x4_t a[H][4];                                                                      \
        EACH(h, H) EACH(v, 4) a[h][v] = vld1q_f32(out + (size_t)h * out_stride + l + 4 * (size_t)v); \
        for (size_t i = 0; i < depth; i++)                                                        \
            EACH(v, 4) {                                                                          \
                float32x4_t value = LOAD(values + i * value_stride + l + 4 * (size_t)v);          \
                EACH(h, H) a[h][v] = vfmaq_n_f32(a[h][v], value, x[(size_t)h * x_stride + i]);    \
            }                                                                                     \
        EACH(h, H) EACH(v, 4) vst1q_f32(out + (size_t)h * out_stride + l + 4 * (size_t)v, a[h][v]); \
    }

#define VALUES(NAME, TYPE, LOAD)                                                                                  \
    void NAME(const TYPE *values, size_t value_stride, size_t depth, size_t lanes, const float *x, size_t x_stride, \
              size_t heads, float *out, size_t out_stride) {                                                      \
        for (; heads >= 4; heads -= 4, x += 4 * x_stride, out += 4 * out_stride) DOT_BODY(LOAD, 4)                \
        for (; heads > 0; heads--, x += x_stride, out += out_stride) DOT_BODY(LOAD, 1)                            \
    }
VALUES(iq_dot_float_neon, float, float4)
VALUES(iq_dot_half_neon, uint16_t, from_half)

// ---- softmax -------------------------------------------------------------------------------------------------

// exp(x) for x ≤ 0, as exp_nonpositive in attention_avx2.c.
INLINE float32x4_t exp_nonpositive(float32x4_t x) {
    uint32x4_t alive = vcgtq_f32(x, vdupq_n_f32(-87.0f));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504088896341f));
    float32x4_t r = vfmsq_n_f32(x, n, 0.693145751953125f);
    r = vfmsq_n_f32(r, n, 1.42860682030941723e-6f);
    float32x4_t p = vdupq_n_f32(1.0f / 720);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    int32x4_t e = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    return vreinterpretq_f32_u32(
        vandq_u32(alive, vreinterpretq_u32_f32(vmulq_f32(p, vreinterpretq_f32_s32(e)))));
}

float iq_exponentials_neon(float *values, size_t count, float maximum) {
    float32x4_t sum = vdupq_n_f32(0), m = vdupq_n_f32(maximum);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        float32x4_t e = exp_nonpositive(vsubq_f32(vld1q_f32(values + i), m));
        vst1q_f32(values + i, e);
        sum = vaddq_f32(sum, e);
    }
    float total = vaddvq_f32(sum);
    for (; i < count; i++) {
        values[i] = expf(values[i] - maximum);
        total += values[i];
    }
    return total;
}

#endif
