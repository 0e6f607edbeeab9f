// The arithmetic of sealing lookup formats, to the last bit as the CPU cache does it (CodebookEncoder, RotaryTurns,
// RotatedQuantizer). Compiled for the GPU, and for the CPU, where the tests compare the two.
//
// Every product and sum is rounded by itself, in the CPU's order.
#ifndef IQ_LOOKUP_SEAL_H
#define IQ_LOOKUP_SEAL_H

#include "iq_device_tables.h"
#include "iq_exact.h"

// MARK: - RoPE

IQ_FN double iq_double_fma(double a, double b, double c) {
#ifdef __CUDA_ARCH__
    return __fma_rn(a, b, c);
#else
    return __builtin_fma(a, b, c);
#endif
}

struct iq_turn {
    float cosine, sine;
};

/// Cosine and sine of a large angle, from float64 with an error of about a unit in its last place, as float32.
///
/// The angle is reduced by multiples of π/2 in three parts; polynomials are those of Sun's fdlibm for |x| ≤ π/4. The
/// usual functions would keep an array in memory for angles beyond 10⁵.
IQ_FN struct iq_turn iq_turn_of(double angle) {
    double shifted = angle * 0.63661977236758134308 + 6755399441055744.0;     // 1.5 · 2⁵²: rounds to an integer
    double n = shifted - 6755399441055744.0;
    int quadrant = (int)((long long)n & 3);
    double x = iq_double_fma(-n, 1.57079632679489655800, angle);
    x = iq_double_fma(-n, 6.12323399573676603587e-17, x);
    x = iq_double_fma(-n, -1.49738490485916983e-33, x);
    double z = x * x;
    double s = 1.58969099521155010221e-10;
    s = iq_double_fma(s, z, -2.50507602534068634195e-08);
    s = iq_double_fma(s, z, 2.75573137070700676789e-06);
    s = iq_double_fma(s, z, -1.98412698298579493134e-04);
    s = iq_double_fma(s, z, 8.33333333332248946124e-03);
    s = iq_double_fma(s, z, -1.66666666666666324348e-01);
    double sine = iq_double_fma(x * z, s, x);
    double c = -1.13596475577881948265e-11;
    c = iq_double_fma(c, z, 2.08757232129817482790e-09);
    c = iq_double_fma(c, z, -2.75573143513906633035e-07);
    c = iq_double_fma(c, z, 2.48015872894767294178e-05);
    c = iq_double_fma(c, z, -1.38888888888741095749e-03);
    c = iq_double_fma(c, z, 4.16666666666666019037e-02);
    double cosine = iq_double_fma(z * z, c, iq_double_fma(z, -0.5, 1.0));
    if (quadrant & 1) {
        double other = sine;
        sine = cosine;
        cosine = -other;
    }
    struct iq_turn turn = {(float)cosine, (float)sine};
    if (quadrant & 2) {
        turn.cosine = -turn.cosine;
        turn.sine = -turn.sine;
    }
    return turn;
}

/// The turn of a token: of its tile's first token, and of its place in the tile.
IQ_FN struct iq_turn iq_turn_sum(struct iq_turn first, struct iq_turn place) {
    struct iq_turn turn;
    turn.cosine = iq_sum(iq_mul(first.cosine, place.cosine), -iq_mul(first.sine, place.sine));
    turn.sine = iq_sum(iq_mul(first.sine, place.cosine), iq_mul(first.cosine, place.sine));
    return turn;
}

/// First (x) or second (y) channel of a pair as it was before RoPE, rounded to float16.
IQ_FN float iq_turned_back(int is_second, float x, float y, struct iq_turn turn) {
    float other = iq_mul(is_second ? x : y, turn.sine), own = iq_mul(is_second ? y : x, turn.cosine);
    return iq_round_scale(iq_sum(own, is_second ? -other : other));
}

// MARK: - Codebooks

/// Zero and range of the vector between two ends; float16 numbers.
struct iq_vector_range {
    float range, zero;
};

IQ_FN struct iq_vector_range iq_vector_range_of(float low, float high) {
    struct iq_vector_range r;
    r.zero = iq_round_scale(iq_mul(iq_sum(high, low), 0.5f));
    r.range = iq_round_scale(iq_mul(iq_sum(high, -low), 0.5f));
    return r;
}

/// Code of a number: how many of 2^bits − 1 boundaries it exceeds.
IQ_FN uint32_t iq_lookup_code(float normalized, const float *boundaries, int bits) {
    uint32_t code = 0;
#pragma unroll
    for (int i = 0; i < (1 << bits) - 1; i++) code += normalized > boundaries[i];
    return code;
}

/// A number in units of a range.
IQ_FN float iq_normalized(float x, struct iq_vector_range r) {
    return r.range == 0 ? 0 : iq_div(iq_sum(x, -r.zero), r.range);
}

/// How far an outlier of a static range is out; the farthest are kept.
IQ_FN float iq_excess(float x, struct iq_vector_range r) {
    return iq_div(iq_abs(iq_sum(x, -r.zero)), r.range >= 1e-12f ? r.range : 1e-12f);
}

/// A float16's place in the order of numbers, 0 … 65535; both zeros have the same.
IQ_FN uint32_t iq_half_order(uint32_t bits) {
    if (bits == 0x8000u) bits = 0;
    return bits & 0x8000u ? bits ^ 0xFFFFu : bits | 0x8000u;
}

/// The number of that place.
IQ_FN float iq_half_of_order(uint32_t order) {
    return iq_half_float((uint16_t)(order & 0x8000u ? order ^ 0x8000u : order ^ 0xFFFFu));
}

/// Position 4k + a of the sixteen registers of a lane that share 2^bits words: adds a code of half `element` to the words
/// that hold it (iq_code).
IQ_FN void iq_add_code(uint32_t *words, int bits, int position, int element, uint32_t code) {
    int shift = 16 * element;
    if (bits == 3) {
        if (position == 15) {
#pragma unroll
            for (int j = 0; j < 3; j++) words[j] |= (code >> j & 1) << (shift + 15);
        } else {
            words[position / 5] |= code << (shift + 3 * (position % 5));
        }
    } else {
        int per_word = 16 / bits;
        words[position / per_word] |= code << (shift + bits * (position % per_word));
    }
}

// MARK: - Rotation

/// 1/√d as a float32.
IQ_FN float iq_rotation_scale(int d) {
    return d == 64 ? 0.125f : d == 128 ? (float)0.08838834764831844055 : d == 256 ? 0.0625f : 0;
}

/// The stored norm of a vector, float16 bits, from the sum of its squares.
IQ_FN uint16_t iq_stored_norm(float squares) {
#ifdef __CUDA_ARCH__
    float norm = __fsqrt_rn(squares);
#else
    float norm = __builtin_sqrtf(squares);
#endif
    return iq_half_bits(65504.0f < norm ? 65504.0f : norm);
}

/// Code of a channel of a turned vector. norm: as stored; 0 gives code 0.
IQ_FN uint32_t iq_rotated_code(float turned, float norm, const float *boundaries, int bits) {
    uint32_t code = 0;
#pragma unroll
    for (int i = 0; i < (1 << bits) - 1; i++) code += turned > iq_mul(norm, boundaries[i]);
    return norm == 0 ? 0 : code;
}

/// A butterfly of H: the sum for the lower channel, the difference for the upper one.
IQ_FN float iq_butterfly(float own, float other, int is_upper) {
    return is_upper ? iq_sum(other, -own) : iq_sum(own, other);
}

#endif
