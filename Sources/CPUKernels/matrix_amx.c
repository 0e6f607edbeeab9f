#include "matrix_amx.h"

#if defined(IQ_HAS_AMX)

#include <string.h>

// Palette 1: eight tiles of 16 rows of 64 bytes.
struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

IQ_AMX void iq_amx_begin(void) {
    struct tile_configuration configuration = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        configuration.row_bytes[i] = 64;
        configuration.rows[i] = IQ_AMX_ROWS;
    }
    _tile_loadconfig(&configuration);
}

IQ_AMX void iq_amx_end(void) { _tile_release(); }

// ---- operands ------------------------------------------------------------------------------------------------

// Words of `first` in the lower half and of `second` in the upper one.
IQ_AMX_INLINE __m512i rounded(__m512 first, __m512 second) {
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

IQ_AMX_INLINE __m512 widened(__m256i words) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
}

IQ_AMX_INLINE void split_row(__m512 a, __m512 b, uint8_t *to) {
    const __m512i high = rounded(a, b);
    const __m512 rest_a = _mm512_sub_ps(a, widened(_mm512_castsi512_si256(high)));
    const __m512 rest_b = _mm512_sub_ps(b, widened(_mm512_extracti64x4_epi64(high, 1)));
    _mm512_store_si512(to, high);
    _mm512_store_si512(to + IQ_AMX_TILE, rounded(rest_a, rest_b));
}

IQ_AMX void iq_amx_split_rows(const float *x, size_t stride, size_t rows, size_t terms, uint8_t *group) {
    const size_t whole = terms / IQ_AMX_STEP, steps = iq_amx_steps(terms);
    for (size_t r = 0; r < IQ_AMX_ROWS; r++) {
        uint8_t *to = group + 64 * r;
        if (r >= rows) {
            for (size_t s = 0; s < steps; s++, to += IQ_AMX_PAIR) {
                _mm512_store_si512(to, _mm512_setzero_si512());
                _mm512_store_si512(to + IQ_AMX_TILE, _mm512_setzero_si512());
            }
            continue;
        }
        const float *row = x + r * stride;
        for (size_t s = 0; s < whole; s++, to += IQ_AMX_PAIR, row += IQ_AMX_STEP)
            split_row(_mm512_loadu_ps(row), _mm512_loadu_ps(row + 16), to);
        if (whole < steps) {
            const size_t rest = terms % IQ_AMX_STEP;
            split_row(_mm512_maskz_loadu_ps(first_lanes(rest), row),
                      rest > 16 ? _mm512_maskz_loadu_ps(first_lanes(rest - 16), row + 16) : _mm512_setzero_ps(), to);
        }
    }
}

// Two terms of 16 lanes, side by side.
IQ_AMX_INLINE void split_pair(__m512 even, __m512 odd, uint8_t *to) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                           20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high = _mm512_permutexvar_epi16(order, rounded(even, odd));
    const __m512 high_even = _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
    const __m512 high_odd = _mm512_castsi512_ps(_mm512_and_si512(high, _mm512_set1_epi32((int)0xFFFF0000)));
    const __m512i low = rounded(_mm512_sub_ps(even, high_even), _mm512_sub_ps(odd, high_odd));
    _mm512_store_si512(to, high);
    _mm512_store_si512(to + IQ_AMX_TILE, _mm512_permutexvar_epi16(order, low));
}

IQ_AMX void iq_amx_split_lanes(const float *values, size_t stride, size_t terms, uint8_t *strip) {
    const size_t padded = iq_amx_steps(terms) * IQ_AMX_STEP;
    for (size_t k = 0; k < padded; k += 2) {
        uint8_t *to = strip + k / IQ_AMX_STEP * IQ_AMX_PAIR + k % IQ_AMX_STEP * 32;
        const __m512 even = k < terms ? _mm512_loadu_ps(values + k * stride) : _mm512_setzero_ps();
        const __m512 odd = k + 1 < terms ? _mm512_loadu_ps(values + (k + 1) * stride) : _mm512_setzero_ps();
        split_pair(even, odd, to);
    }
}

// ---- products ------------------------------------------------------------------------------------------------

// Sums are tiles 0 to 3, left operands 4 and 5, right ones 6 and 7: first l h', then h h', then h l', so that each of the
// eight tiles of a step is loaded once.
IQ_AMX_INLINE void multiply(int groups, int strips, const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes,
                            size_t steps, float *out, size_t out_bytes, int add) {
    float *below = (float *)((char *)out + IQ_AMX_ROWS * out_bytes);
    if (add) {
        _tile_loadd(0, out, out_bytes);
        if (strips > 1) _tile_loadd(1, out + 16, out_bytes);
        if (groups > 1) _tile_loadd(2, below, out_bytes);
        if (groups > 1 && strips > 1) _tile_loadd(3, below + 16, out_bytes);
    } else {
        _tile_zero(0);
        if (strips > 1) _tile_zero(1);
        if (groups > 1) _tile_zero(2);
        if (groups > 1 && strips > 1) _tile_zero(3);
    }
#define PRODUCTS                                              \
    _tile_dpbf16ps(0, 4, 6);                                  \
    if (strips > 1) _tile_dpbf16ps(1, 4, 7);                  \
    if (groups > 1) _tile_dpbf16ps(2, 5, 6);                  \
    if (groups > 1 && strips > 1) _tile_dpbf16ps(3, 5, 7);
    for (size_t s = 0; s < steps; s++, a += IQ_AMX_PAIR, b += IQ_AMX_PAIR) {
        _tile_loadd(4, a + IQ_AMX_TILE, 64);
        _tile_loadd(6, b, 64);
        if (strips > 1) _tile_loadd(7, b + b_bytes, 64);
        if (groups > 1) _tile_loadd(5, a + a_bytes + IQ_AMX_TILE, 64);
        PRODUCTS
        _tile_loadd(4, a, 64);
        if (groups > 1) _tile_loadd(5, a + a_bytes, 64);
        PRODUCTS
        _tile_loadd(6, b + IQ_AMX_TILE, 64);
        if (strips > 1) _tile_loadd(7, b + b_bytes + IQ_AMX_TILE, 64);
        PRODUCTS
    }
#undef PRODUCTS
    _tile_stored(0, out, out_bytes);
    if (strips > 1) _tile_stored(1, out + 16, out_bytes);
    if (groups > 1) _tile_stored(2, below, out_bytes);
    if (groups > 1 && strips > 1) _tile_stored(3, below + 16, out_bytes);
}

IQ_AMX_INLINE void multiply_any(int groups, int strips, const uint8_t *a, size_t a_bytes, const uint8_t *b,
                                size_t b_bytes, size_t steps, float *out, size_t out_bytes, int add) {
    if (groups > 1 && strips > 1) multiply(2, 2, a, a_bytes, b, b_bytes, steps, out, out_bytes, add);
    else if (groups > 1) multiply(2, 1, a, a_bytes, b, b_bytes, steps, out, out_bytes, add);
    else if (strips > 1) multiply(1, 2, a, a_bytes, b, b_bytes, steps, out, out_bytes, add);
    else multiply(1, 1, a, a_bytes, b, b_bytes, steps, out, out_bytes, add);
}

IQ_AMX void iq_amx_multiply(const uint8_t *groups, size_t group_bytes, size_t rows, const uint8_t *strips,
                            size_t strip_bytes, size_t lanes, size_t steps, float *out, size_t out_stride, int add) {
    const int group_count = rows > IQ_AMX_ROWS ? 2 : 1, strip_count = lanes > 16 ? 2 : 1;
    if (rows % IQ_AMX_ROWS == 0 && lanes % 16 == 0) {
        multiply_any(group_count, strip_count, groups, group_bytes, strips, strip_bytes, steps, out, 4 * out_stride, add);
        return;
    }
    // Part of a tile: by way of a whole one.
    _Alignas(64) float whole[2 * IQ_AMX_ROWS * 32];
    multiply_any(group_count, strip_count, groups, group_bytes, strips, strip_bytes, steps, whole, 4 * 32, 0);
    for (size_t r = 0; r < rows; r++)
        for (size_t l = 0; l < lanes; l += 16) {
            const __mmask16 here = first_lanes(lanes - l);
            float *o = out + r * out_stride + l;
            __m512 sum = _mm512_load_ps(whole + 32 * r + l);
            if (add) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(here, o));
            _mm512_mask_storeu_ps(o, here, sum);
        }
}

#endif
