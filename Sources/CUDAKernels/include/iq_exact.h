// float32 operations and conversions that give the same bits on the GPU as the CPU cache's Swift does.
//
// Each operation is rounded to nearest even. Swift never contracts a product and a sum into one operation (LLVM does so
// only if the front end allows it, and Swift's does not), so neither do these functions. min and max are Swift's:
// comparisons, so that of a number and a NaN the first argument or the bound is kept.
#ifndef IQ_EXACT_H
#define IQ_EXACT_H

#include "iq_device_cache.h"
#include "iq_device_tile.h"

#ifdef __CUDACC__
#define IQ_EXACT
#else
#define IQ_EXACT _Pragma("STDC FP_CONTRACT OFF")
#endif

IQ_FN float iq_mul(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fmul_rn(a, b);
#else
    IQ_EXACT
    return a * b;
#endif
}

IQ_FN float iq_sum(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fadd_rn(a, b);
#else
    return a + b;
#endif
}

IQ_FN float iq_div(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fdiv_rn(a, b);
#else
    return a / b;
#endif
}

IQ_FN float iq_fma(float a, float b, float c) {
#ifdef __CUDA_ARCH__
    return __fmaf_rn(a, b, c);
#else
    return __builtin_fmaf(a, b, c);
#endif
}

IQ_FN uint32_t iq_float_bits(float x) {
#ifdef __CUDA_ARCH__
    return __float_as_uint(x);
#else
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return bits;
#endif
}

IQ_FN float iq_bits_float(uint32_t bits) {
#ifdef __CUDA_ARCH__
    return __uint_as_float(bits);
#else
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
#endif
}

IQ_FN float iq_abs(float x) { return iq_bits_float(iq_float_bits(x) & 0x7FFFFFFFu); }

/// Nearest float16, ties to even, infinite beyond the largest.
IQ_FN uint16_t iq_half_bits(float x) {
#ifdef __CUDA_ARCH__
    uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
    return half;
#else
    uint32_t bits = iq_float_bits(x), size = bits & 0x7FFFFFFFu;
    uint32_t sign = bits >> 16 & 0x8000u;
    if (size > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | (size >> 13 & 0x3FFu));
    if (size >= 0x47800000u) return (uint16_t)(sign | 0x7C00u);
    uint32_t mantissa, shift;
    if (size >= 0x38800000u) {                      // 2⁻¹⁴: normal
        mantissa = size - 0x38000000u;
        shift = 13;
    } else {                                        // multiples of 2⁻²⁴
        uint32_t exponent = size >> 23;
        if (exponent < 102) return (uint16_t)sign;  // less than half of the smallest
        mantissa = (size & 0x7FFFFFu) | 0x800000u;
        shift = 126 - exponent;
    }
    uint32_t rest = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1);
    uint32_t half = mantissa >> shift;
    half += rest > middle || (rest == middle && (half & 1));
    return (uint16_t)(sign | half);
#endif
}

IQ_FN float iq_half_float(uint16_t half) {
#ifdef __CUDA_ARCH__
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
    return x;
#else
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, size = half & 0x7FFFu;
    if (size >= 0x7C00u) return iq_bits_float(sign | 0x7F800000u | (size & 0x3FFu) << 13);
    if (size >= 0x400u) return iq_bits_float(sign | ((size << 13) + 0x38000000u));
    float x = (float)size * 0x1p-24f;
    return sign ? -x : x;
#endif
}

/// ScalePrecision.float16: the nearest float16 within ±65504.
IQ_FN float iq_round_scale(float x) {
    float bounded = -65504.0f >= x ? -65504.0f : x;
    bounded = 65504.0f < bounded ? 65504.0f : bounded;
    return iq_half_float(iq_half_bits(bounded));
}

/// What LayerCache.append stores of a value: NaN is 0, ±65504 the most.
IQ_FN uint16_t iq_stored_half(float x) {
    float bounded = -65504.0f >= x ? -65504.0f : x;
    bounded = 65504.0f < bounded ? 65504.0f : bounded;
    return x == x ? iq_half_bits(bounded) : (uint16_t)0;
}

// MARK: - Quotients

/// 1 / scale as a sum of two floats, so that x / scale is one product and one fma.
///
/// Codes want rint(x / scale). It changes where x / scale passes h = k + ½. A scale of float16 has 11 bits and h at
/// most 9, so h · scale is a float32: x is either equal to it, or apart by a unit in the last place, and then
/// x / scale differs from h by more than half a unit, by a share of 2⁻³⁵ of h at least. Hence a quotient whose error is
/// below that share before it is rounded falls on the same side of h as the correctly rounded one, and is h where that
/// one is. The error here is 2⁻⁴⁶. The parts have the same sign and neither is 0, so that an infinite x gives an
/// infinite quotient. A scale of 0 gives parts of 0.
struct iq_divisor {
    float high, low;
};

IQ_FN struct iq_divisor iq_divisor_of(float scale) {
    struct iq_divisor d = {0, 0};
    if (scale == 0) return d;
    float nearest = iq_div(1.0f, scale);
    // Towards zero.
    int above = iq_fma(iq_abs(nearest), iq_abs(scale), -1.0f) > 0;
    d.high = iq_bits_float(iq_float_bits(nearest) - (uint32_t)above);
    float rest = iq_fma(-iq_abs(d.high), iq_abs(scale), 1.0f);
    float low = iq_mul(rest, d.high);
    d.low = rest == 0 ? iq_mul(d.high, 0x1p-60f) : low;
    return d;
}

/// min(max(lowest, rint(x / scale)), highest), of a NaN `lowest`; as an integer. |bounds| ≤ 255.
///
/// Bounds are integers, so they can be put first; the sum with 1.5 · 2²³ then rounds to an integer.
IQ_FN float iq_level(float x, struct iq_divisor d, float lowest, float highest) {
    float q = iq_fma(x, d.high, iq_mul(x, d.low));
#ifdef __CUDA_ARCH__
    q = fminf(fmaxf(q, lowest), highest);           // of a NaN, the other one
#else
    q = q >= lowest ? q : lowest;
    q = q <= highest ? q : highest;
#endif
    return iq_sum(iq_sum(q, 12582912.0f), -12582912.0f);
}

/// Whether iq_usual_quotient may be taken: numbers far from overflow and underflow.
IQ_FN int iq_is_usual(float x, float divisor) {
    float size = iq_abs(x), other = iq_abs(divisor);
    return (size > 0x1p-60f || size == 0) && size < 0x1p60f && other > 0x1p-40f && other < 0x1p40f;
}

/// x / divisor, rounded correctly, from the divisor's correctly rounded reciprocal. The first correction gives one of
/// the two floats beside the quotient, and from that the second the nearest (Markstein, "Computation of elementary
/// functions on the IBM RISC System/6000 processor", 1990).
IQ_FN float iq_usual_quotient(float x, float divisor, float reciprocal) {
    float q = iq_mul(x, reciprocal);
    float second = iq_fma(iq_fma(-q, divisor, x), reciprocal, q);
    second = iq_fma(iq_fma(-second, divisor, x), reciprocal, second);
    return x == 0 ? q : second;                      // keeps the sign
}

/// The unsigned code level + bias, 0 … 255: the last byte of the sum's mantissa.
IQ_FN uint32_t iq_level_code(float level, int bias) {
    return iq_float_bits(iq_sum(level, 12582912.0f + (float)bias)) & 0xFFu;
}

#endif
