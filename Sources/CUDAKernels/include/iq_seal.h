// The arithmetic of sealing: grouped quantization and error feedback, to the last bit as the CPU cache does it
// (GroupQuantizer, KeyFeedback). Compiled for the GPU, and for the CPU, where the tests compare the two.
//
// What makes results equal:
//   - float32 operations in the CPU's order, each rounded to nearest even. Swift never contracts a product and a sum
//     into one operation (LLVM does so only if the front end allows it, and Swift's does not), so neither do these
//     functions; where they do write `iq_fma`, the product is exact and the result is the same.
//   - min and max are Swift's: comparisons, so that of a number and a NaN the first argument or the bound is kept.
//   - Scales are rounded to float16 before codes are taken, so a quotient needs no division: see iq_divisor.
#ifndef IQ_SEAL_H
#define IQ_SEAL_H

#include "iq_device_cache.h"
#include "iq_device_tile.h"

#ifdef __CUDACC__
#define IQ_EXACT
#else
#define IQ_EXACT _Pragma("STDC FP_CONTRACT OFF")
#endif

/// How the codes of a group stand for values.
enum iq_mode {
    IQ_SYMMETRIC = 0,
    IQ_ASYMMETRIC = 1,
    IQ_HYBRID = 2,
};

/// Levels of symmetric codes: LevelSet.
enum iq_levels {
    IQ_OFFICIAL = 0,
    IQ_KERNEL = 1,
    IQ_FULL_RANGE = 2,
};

// MARK: - Operations

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

/// The unsigned code level + bias, 0 … 255: the last byte of the sum's mantissa.
IQ_FN uint32_t iq_level_code(float level, int bias) {
    return iq_float_bits(iq_sum(level, 12582912.0f + (float)bias)) & 0xFFu;
}

// MARK: - Groups

/// The scale of a group, its values' meaning, and the bits that a tile keeps.
struct iq_group {
    /// value = scale · (code − bias), or scale · code + zero of an asymmetric group. float16 numbers.
    float scale, zero;
    int is_asymmetric;
    uint16_t scale_bits, zero_bits;
};

IQ_FN int iq_bias(int bits, int levels) {
    return (1 << (bits - 1)) - (levels == IQ_OFFICIAL ? 1 : 0);
}

/// The value of a level: of code − bias in symmetric groups, of the code in asymmetric ones. The product is exact.
IQ_FN float iq_level_value(struct iq_group group, float level) {
    return group.is_asymmetric ? iq_fma(group.scale, level, group.zero)
                               : iq_mul(group.scale, level);
}

/// Scale of a symmetric group with the extreme taken as exact (ScaleFit.extreme).
IQ_FN float iq_symmetric_scale(const float *x, int bits, int levels) {
    float extreme = 0;
#pragma unroll
    for (int i = 0; i < 32; i++) extreme = iq_abs(x[i]) > iq_abs(extreme) ? x[i] : extreme;
    int half = 1 << (bits - 1);
    float scale = levels == IQ_OFFICIAL ? iq_div(iq_abs(extreme), (float)(half - 1))
                  : levels == IQ_KERNEL ? iq_div(iq_abs(extreme), (float)half)
                                        : iq_div(extreme, (float)-half);
    return iq_round_scale(scale);
}

/// A symmetric group; its levels go to `levels_out`.
IQ_FN struct iq_group iq_symmetric_group(const float *x, int bits, int levels, float *levels_out) {
    struct iq_group group;
    float scale = iq_symmetric_scale(x, bits, levels);
    float lowest = (float)-iq_bias(bits, levels), highest = (float)((1 << (bits - 1)) - 1);
    if (scale == 0) { scale = 0; lowest = 0; highest = 0; }
    struct iq_divisor divisor = iq_divisor_of(scale);
#pragma unroll
    for (int i = 0; i < 32; i++) levels_out[i] = iq_level(x[i], divisor, lowest, highest);
    group.scale = scale;
    group.zero = 0;
    group.is_asymmetric = 0;
    group.scale_bits = iq_half_bits(scale) & (scale == 0 ? 0x7FFF : 0xFFFF);
    group.zero_bits = 0;
    return group;
}

IQ_FN struct iq_group iq_asymmetric_group(const float *x, int bits, float *levels_out) {
    struct iq_group group;
    float low = x[0], high = x[0];
#pragma unroll
    for (int i = 1; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] >= high ? x[i] : high;
    }
    float largest = (float)((1 << bits) - 1);
    group.zero = iq_round_scale(low);
    group.scale = iq_round_scale(iq_div(iq_sum(high, -low), largest));
    group.is_asymmetric = 1;
    group.scale_bits = iq_half_bits(group.scale);
    group.zero_bits = iq_half_bits(group.zero);
    struct iq_divisor divisor = iq_divisor_of(group.scale);
    float highest = group.scale == 0 ? 0 : largest;
#pragma unroll
    for (int i = 0; i < 32; i++)
        levels_out[i] = iq_level(iq_sum(x[i], -group.zero), divisor, 0, highest);
    return group;
}

/// Sum of absolute errors, one after the other.
IQ_FN float iq_group_error(const float *x, const float *levels, struct iq_group group) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 32; i++)
        sum = iq_sum(sum, iq_abs(iq_sum(x[i], -iq_level_value(group, levels[i]))));
    return sum;
}

/// Encodes 32 values; four codes, byte after byte, go to each word.
IQ_FN struct iq_group iq_encode_group(
    const float *x, int bits, int mode, int levels, uint32_t *codes
) {
    float chosen[32];
    struct iq_group group;
    if (mode == IQ_ASYMMETRIC) {
        group = iq_asymmetric_group(x, bits, chosen);
    } else {
        group = iq_symmetric_group(x, bits, levels, chosen);
    }
    if (mode == IQ_HYBRID) {
        float other[32];
        struct iq_group asymmetric =
            iq_asymmetric_group(x, levels == IQ_OFFICIAL ? bits - 1 : bits, other);
        float error = iq_group_error(x, chosen, group);
        float other_error = iq_group_error(x, other, asymmetric);
        int is_symmetric = levels == IQ_OFFICIAL ? other_error > error : error <= other_error;
        if (is_symmetric) {
            // The sign bit of a hybrid scale says asymmetric, so the direction goes to the zero point's.
            group.zero_bits = group.scale_bits & 0x8000;
            group.scale_bits &= 0x7FFF;
        } else {
            group = asymmetric;
            group.scale_bits |= 0x8000;
#pragma unroll
            for (int i = 0; i < 32; i++) chosen[i] = other[i];
        }
    }
    int bias = group.is_asymmetric ? 0 : iq_bias(bits, levels);
#pragma unroll
    for (int w = 0; w < 8; w++) {
        uint32_t word = 0;
#pragma unroll
        for (int i = 0; i < 4; i++)
            word |= iq_level_code(chosen[4 * w + i], bias) << (8 * i);
        codes[w] = word;
    }
    return group;
}

// MARK: - Error feedback

/// The level of one key channel, `target` being the value with the errors of later channels fed back; and the error
/// to be fed to earlier ones. Symmetric groups. `lowest` and `highest` are 0 where the scale is.
IQ_FN float iq_feedback_level(
    float value, float target, float scale, struct iq_divisor divisor, float lowest, float highest,
    float *error
) {
    float level = iq_level(target, divisor, lowest, highest);
    *error = iq_fma(-scale, level, value);           // the product is exact
    return level;
}

/// KeyFeedback.encode of one token, for the tests: the GPU's order of work differs, each number does not.
/// - values: d normalized channels; factors: d (d + 1) / 2; codes: d bytes; scales: d / 32 float16 bits.
IQ_FN void iq_feedback_token(
    const float *values, const float *factors, int d, int bits, int levels, float *targets,
    uint8_t *codes, uint16_t *scales
) {
    IQ_EXACT
    for (int c = 0; c < d; c++) targets[c] = values[c];
    for (int block = d / 32 - 1; block >= 0; block--) {
        float unused[32];
        struct iq_group group = iq_symmetric_group(values + 32 * block, bits, levels, unused);
        struct iq_divisor divisor = iq_divisor_of(group.scale);
        int is_zero = group.scale == 0;
        float lowest = is_zero ? 0 : (float)-iq_bias(bits, levels);
        float highest = is_zero ? 0 : (float)((1 << (bits - 1)) - 1);
        scales[block] = group.scale_bits;
        for (int c = 32 * block + 31; c >= 32 * block; c--) {
            float error;
            float level = iq_feedback_level(
                values[c], targets[c], group.scale, divisor, lowest, highest, &error);
            codes[c] = (uint8_t)iq_level_code(level, iq_bias(bits, levels));
            const float *row = factors + c * (c + 1) / 2;
            for (int j = 0; j < c; j++) targets[j] = iq_sum(targets[j], iq_mul(row[j], error));
        }
    }
}

// MARK: - Packing

/// Consecutive words of a lane: word = (outer · 32 + lane) · width + rest.
IQ_FN int iq_word_width(int is_integer, int bits, int d) {
    int fragments = is_integer ? d / 16 : d / 8;
    int count = is_integer ? fragments * bits / 2 : fragments * bits / 4;
    if (is_integer && bits == 3) count = fragments / 2;
    if (is_integer && bits != 3 && !(bits == 2 && fragments % 4 != 0)) return 4;
    return count % 4 == 0 ? 4 : count % 3 == 0 ? 3 : count % 2 == 0 ? 2 : 1;
}

/// One word of a tile of codes, composed from staged codes: the inverse of iq_code.
/// - staged: one byte a code. Integer tiles: 32-bit registers [fragment][lane][a]; half tiles: 16-bit ones.
///   Only `lanes` lanes from `first_lane` on are there.
IQ_FN uint32_t iq_packed_word(
    int is_integer, int bits, int d, int word, const void *staged, int first_lane, int lanes
) {
    int width = iq_word_width(is_integer, bits, d);
    int lane = word / width % 32;
    int w = word / (32 * width) * width + word % width;      // number of the word in its lane
    int fragments = is_integer ? d / 16 : d / 8;
    int local = lane - first_lane;
    uint32_t result = 0;
    if (!is_integer) {
        const uint16_t *registers = (const uint16_t *)staged;
        int per_word = 16 / bits;
#pragma unroll
        for (int i = 0; i < per_word; i++) {
            int r = w * per_word + i;
            uint32_t pair = registers[((r >> 2) * lanes + local) * 4 + (r & 3)];
            result |= ((pair & 0xFF) | (pair >> 8) << 16) << (bits * i);
        }
        return result;
    }
    const uint32_t *registers = (const uint32_t *)staged;
    if (bits == 3) {
        int sets = fragments / 2;
        int j = w / sets, set = w % sets;
#pragma unroll
        for (int part = 0; part < 4; part++) {
            // Positions j and j + 3 whole, then the bits that positions 6 and 7 have here.
            if (j < 2 && part == 3) break;
            int position = part < 2 ? j + 3 * part : j < 2 ? 6 + j : 4 + part;
            int r = set * 8 + position;
            int a = r / fragments, f = r % fragments;
            uint32_t codes = registers[(f * lanes + local) * 4 + a];
            if (part < 2) result |= codes << (3 * part);
            else if (j < 2) result |= (codes >> 1 & 0x03030303u) << 6;
            else result |= (codes & 0x01010101u) << position;
        }
        return result;
    }
    int per_word = 8 / bits;
    int is_numbered = bits == 2 && fragments % 4 != 0;
#pragma unroll
    for (int i = 0; i < per_word; i++) {
        int r = w * per_word + i;
        int a = is_numbered ? r / fragments : w % 4;
        int f = is_numbered ? r % fragments : w / 4 * per_word + i;
        result |= registers[(f * lanes + local) * 4 + a] << (bits * i);
    }
    return result;
}

#endif
