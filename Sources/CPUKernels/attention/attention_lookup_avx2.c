// AVX2 kernels over table codes.
//
// A table of 8 floats is one register, and vpermps looks 8 codes up in it by the low 3 bits of each lane. So a code is
// shifted to bit 0 and used without a mask: what lies above bit 2 is ignored, and smaller tables are repeated to fill
// the register. 4 bits take two registers, chosen between by the code's bit 3, shifted to the sign bit. As with the
// affine codes, one vector of values serves all query heads, and nothing is summed across lanes.

#include "attention_avx2.h"
#include "attention_lookup.h"

#if defined(__x86_64__)

struct registers {
    __m256 low, high; // `high`: entries 8 to 15, 4 bits only
};

INLINE struct registers load_table(int bits, const float *table) {
    float low[8];
    for (int i = 0; i < 8; i++) low[i] = table[i & ((1 << bits) - 1)];
    struct registers r = {_mm256_loadu_ps(low), _mm256_setzero_ps()};
    if (bits == 4) r.high = _mm256_loadu_ps(table + 8);
    return r;
}

// The table's entries for the codes whose lowest bit is bit `shift` of `words`.
INLINE __m256 look_up(int bits, struct registers t, __m256i words, int shift) {
    __m256i index = _mm256_srli_epi32(words, shift);
    __m256 low = _mm256_permutevar8x32_ps(t.low, index);
    if (bits < 4) return low;
    __m256 high = _mm256_permutevar8x32_ps(t.high, index);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(words, 28 - shift)));
}

// Calls USE(row, vector v, value u) for 32 rows and V vectors of lanes, from `words` on. A part is so many bytes of a word
// that its 8 rows are unrolled with immediate shifts.
#define EACH_ROW(BITS, V, USE)                                                                                         \
    {                                                                                                                  \
        enum { BYTES = IQ_BYTE_ROWS(BITS) == 8 ? 1 : IQ_BYTE_ROWS(BITS) == 4 ? 2 : 4, IN_BYTE = IQ_BYTE_ROWS(BITS) };  \
        _Pragma("clang loop unroll(disable)") for (int w = 0; w < IQ_CODE_WORDS(BITS); w++) {                          \
            __m256i word[V];                                                                                           \
            for (int v = 0; v < V; v++) word[v] = iq_avx2_word(BITS, words + 8 * v, word_stride, w);                   \
            _Pragma("clang loop unroll(disable)") for (int part = 0; part < 4 / BYTES; part++) {                       \
                const int row = w * IQ_WORD_ROWS(BITS) + part * BYTES;                                                 \
                _Pragma("clang loop unroll(full)") for (int j = 0; j < BYTES * IN_BYTE; j++) {                         \
                    for (int v = 0; v < V; v++) {                                                                      \
                        __m256 u = look_up(BITS, t, word[v], 8 * (j / IN_BYTE) + BITS * (j % IN_BYTE));                \
                        USE(row + j / IN_BYTE + 4 * (j % IN_BYTE), v, u)                                               \
                    }                                                                                                  \
                }                                                                                                      \
                if (BYTES < 4)                                                                                         \
                    for (int v = 0; v < V; v++) word[v] = _mm256_srli_epi32(word[v], 8 * BYTES % 32);                  \
                ROWS_BARRIER;                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    }

// V vectors (8·V lanes) by H heads.
#define DOT_TILE(BITS, H, V)                                                                                           \
    AVX2 __attribute__((noinline)) static void dot_##BITS##_##H##_##V(const uint32_t *words, size_t word_stride,       \
                                                                      struct registers t, const float *x,              \
                                                                      size_t x_stride, float *out, size_t out_stride) { \
        __m256 a[H][V];                                                                                                \
        for (int h = 0; h < H; h++)                                                                                    \
            for (int v = 0; v < V; v++) a[h][v] = _mm256_setzero_ps();                                                 \
        EACH_ROW(BITS, V, DOT_USE_##H)                                                                                 \
        for (int h = 0; h < H; h++)                                                                                    \
            for (int v = 0; v < V; v++) {                                                                              \
                float *o = out + (size_t)h * out_stride + 8 * v;                                                       \
                _mm256_storeu_ps(o, _mm256_add_ps(_mm256_loadu_ps(o), a[h][v]));                                       \
            }                                                                                                          \
    }

#define DOT_USE(H, I, V, U)                                                                                            \
    for (int h = 0; h < H; h++)                                                                                        \
        a[h][V] = _mm256_fmadd_ps(_mm256_broadcast_ss(x + (size_t)h * x_stride + (I)), U, a[h][V]);
#define DOT_USE_1(I, V, U) DOT_USE(1, I, V, U)
#define DOT_USE_2(I, V, U) DOT_USE(2, I, V, U)
#define DOT_USE_3(I, V, U) DOT_USE(3, I, V, U)
#define DOT_USE_4(I, V, U) DOT_USE(4, I, V, U)

#define LOOKUP_USE(I, V, U)                                                                                            \
    _mm256_storeu_ps(out + (size_t)(I)*out_stride + lane + 8 * V,                                                      \
                     _mm256_add_ps(_mm256_mul_ps(_mm256_broadcast_ss(scales + (I)), U),                                \
                                   _mm256_broadcast_ss(zeros + (I))));

#define LOOKUP_BITS(BITS)                                                                                              \
    DOT_TILE(BITS, 1, 4)                                                                                               \
    DOT_TILE(BITS, 2, 4)                                                                                               \
    DOT_TILE(BITS, 1, 2)                                                                                               \
    DOT_TILE(BITS, 2, 2)                                                                                               \
    DOT_TILE(BITS, 3, 2)                                                                                               \
    DOT_TILE(BITS, 4, 2)                                                                                               \
    AVX2 void iq_dot_lookup_avx2_##BITS(const uint32_t *words, size_t word_stride, size_t lanes, const float *table,   \
                                        const float *x, size_t x_stride, size_t heads, float *out,                     \
                                        size_t out_stride) {                                                           \
        const struct registers t = load_table(BITS, table);                                                            \
        while (heads > 0) {                                                                                            \
            size_t n = heads < 4 ? heads : 4;                                                                          \
            size_t lane = 0;                                                                                           \
            if (n <= 2)                                                                                                \
                for (; lane + 32 <= lanes; lane += 32) {                                                               \
                    if (n == 1) dot_##BITS##_1_4(words + lane, word_stride, t, x, x_stride, out + lane, out_stride);   \
                    else dot_##BITS##_2_4(words + lane, word_stride, t, x, x_stride, out + lane, out_stride);          \
                }                                                                                                      \
            for (; lane < lanes; lane += 16) switch (n) {                                                              \
                case 1: dot_##BITS##_1_2(words + lane, word_stride, t, x, x_stride, out + lane, out_stride); break;    \
                case 2: dot_##BITS##_2_2(words + lane, word_stride, t, x, x_stride, out + lane, out_stride); break;    \
                case 3: dot_##BITS##_3_2(words + lane, word_stride, t, x, x_stride, out + lane, out_stride); break;    \
                default: dot_##BITS##_4_2(words + lane, word_stride, t, x, x_stride, out + lane, out_stride); break;   \
                }                                                                                                      \
            x += n * x_stride;                                                                                         \
            out += n * out_stride;                                                                                     \
            heads -= n;                                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    AVX2 void iq_lookup_avx2_##BITS(const uint32_t *all, size_t word_stride, size_t lanes, const float *table,         \
                                    const float *scales, const float *zeros, float *out, size_t out_stride) {          \
        const struct registers t = load_table(BITS, table);                                                            \
        for (size_t lane = 0; lane < lanes; lane += 16) {                                                              \
            const uint32_t *words = all + lane;                                                                        \
            EACH_ROW(BITS, 2, LOOKUP_USE)                                                                              \
        }                                                                                                              \
    }

LOOKUP_BITS(1)
LOOKUP_BITS(2)
LOOKUP_BITS(3)
LOOKUP_BITS(4)

AVX2 void iq_turn_tile_avx2(float *tile, size_t pairs, size_t step, size_t distance, const float *base,
                            const float *tokens) {
    for (size_t p = 0; p < pairs; p++) {
        float *x = tile + p * step * 32;
        float *y = x + distance * 32;
        const float *cosines = tokens + p * 64;
        const __m256 base_cosine = _mm256_broadcast_ss(base + p);
        const __m256 base_sine = _mm256_broadcast_ss(base + pairs + p);
        for (int t = 0; t < 32; t += 8) {
            __m256 c = _mm256_loadu_ps(cosines + t), s = _mm256_loadu_ps(cosines + 32 + t);
            __m256 cosine = _mm256_fmsub_ps(base_cosine, c, _mm256_mul_ps(base_sine, s));
            __m256 sine = _mm256_fmadd_ps(base_sine, c, _mm256_mul_ps(base_cosine, s));
            __m256 a = _mm256_loadu_ps(x + t), b = _mm256_loadu_ps(y + t);
            _mm256_storeu_ps(x + t, _mm256_fmsub_ps(a, cosine, _mm256_mul_ps(b, sine)));
            _mm256_storeu_ps(y + t, _mm256_fmadd_ps(a, sine, _mm256_mul_ps(b, cosine)));
        }
    }
}

#endif
