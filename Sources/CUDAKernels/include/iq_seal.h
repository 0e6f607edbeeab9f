// The arithmetic of sealing: grouped quantization and error feedback, to the last bit as the CPU cache does it
// (GroupQuantizer, KeyFeedback). Compiled for the GPU, and for the CPU, where the tests compare the two.
//
// Operations are the CPU's, in its order; where a function writes `iq_fma`, the product is exact and the result the
// same. Scales are rounded to float16 before codes are taken, so a quotient needs no division: see iq_divisor.
#ifndef IQ_SEAL_H
#define IQ_SEAL_H

#include "iq_exact.h"

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
    // The first of those with the largest magnitude; pairs first, as a chain of 32 would take long.
    float candidates[32];
#pragma unroll
    for (int i = 0; i < 32; i++) candidates[i] = iq_abs(x[i]) > 0 ? x[i] : 0;
#pragma unroll
    for (int width = 1; width < 32; width *= 2) {
#pragma unroll
        for (int i = 0; i < 32; i += 2 * width) {
            float other = candidates[i + width];
            candidates[i] = iq_abs(other) > iq_abs(candidates[i]) ? other : candidates[i];
        }
    }
    float extreme = candidates[0];
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

#endif
