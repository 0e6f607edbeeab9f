// AVX2 attention kernels.
//
// Lanes are vector lanes; multipliers are broadcast. A code is not shifted to bit 0 but masked where it lies, so
// that it reads as code · 2^k, and the multiplier carries 2^−k: `and` + `cvt` + one FMA per head for 8 codes, and
// one unpacked vector serves all query heads of the group. No horizontal sums anywhere.

#include "iq_attention.h"

#include "attention_amx.h"
#include "attention_avx512.h"
#include "attention_integer.h"
#include "attention_lookup.h"

#if defined(__x86_64__)

#include <math.h>

// ---- float32 and float16 values ------------------------------------------------------------------------------

// H heads by 16 lanes; acc stays in registers for the whole depth.
#define DOT_BODY(LOAD)                                                                                \
    for (size_t l = 0; l < lanes; l += 16) {                                                          \
        __m256 a[H][2];                                                                               \
        for (int h = 0; h < H; h++) {                                                                 \
            a[h][0] = _mm256_loadu_ps(out + h * out_stride + l);                                      \
            a[h][1] = _mm256_loadu_ps(out + h * out_stride + l + 8);                                  \
        }                                                                                             \
        for (size_t i = 0; i < depth; i++) {                                                          \
            __m256 v0 = LOAD(values + i * value_stride + l);                                          \
            __m256 v1 = LOAD(values + i * value_stride + l + 8);                                      \
            for (int h = 0; h < H; h++) {                                                             \
                __m256 b = _mm256_broadcast_ss(x + h * x_stride + i);                                 \
                a[h][0] = _mm256_fmadd_ps(b, v0, a[h][0]);                                            \
                a[h][1] = _mm256_fmadd_ps(b, v1, a[h][1]);                                            \
            }                                                                                         \
        }                                                                                             \
        for (int h = 0; h < H; h++) {                                                                 \
            _mm256_storeu_ps(out + h * out_stride + l, a[h][0]);                                      \
            _mm256_storeu_ps(out + h * out_stride + l + 8, a[h][1]);                                  \
        }                                                                                             \
    }

#define DOT_HEADS(NAME, TYPE, LOAD, N)                                                                         \
    AVX2 static void NAME##_##N(const TYPE *values, size_t value_stride, size_t depth, size_t lanes,           \
                                const float *x, size_t x_stride, float *out, size_t out_stride) {              \
        enum { H = N };                                                                                        \
        DOT_BODY(LOAD)                                                                                         \
    }

#define DOT(NAME, TYPE, LOAD)                                                                                  \
    DOT_HEADS(NAME, TYPE, LOAD, 1)                                                                             \
    DOT_HEADS(NAME, TYPE, LOAD, 2)                                                                             \
    DOT_HEADS(NAME, TYPE, LOAD, 3)                                                                             \
    DOT_HEADS(NAME, TYPE, LOAD, 4)                                                                             \
    DOT_HEADS(NAME, TYPE, LOAD, 5)                                                                             \
    DOT_HEADS(NAME, TYPE, LOAD, 6)                                                                             \
    static void NAME(const TYPE *v, size_t vs, size_t depth, size_t lanes, const float *x, size_t xs,          \
                     size_t heads, float *o, size_t os) {                                                      \
        while (heads > 6) {                                                                                    \
            NAME##_6(v, vs, depth, lanes, x, xs, o, os);                                                       \
            x += 6 * xs;                                                                                       \
            o += 6 * os;                                                                                       \
            heads -= 6;                                                                                        \
        }                                                                                                      \
        switch (heads) {                                                                                       \
        case 6: NAME##_6(v, vs, depth, lanes, x, xs, o, os); break;                                            \
        case 5: NAME##_5(v, vs, depth, lanes, x, xs, o, os); break;                                            \
        case 4: NAME##_4(v, vs, depth, lanes, x, xs, o, os); break;                                            \
        case 3: NAME##_3(v, vs, depth, lanes, x, xs, o, os); break;                                            \
        case 2: NAME##_2(v, vs, depth, lanes, x, xs, o, os); break;                                            \
        case 1: NAME##_1(v, vs, depth, lanes, x, xs, o, os); break;                                            \
        default: break;                                                                                        \
        }                                                                                                      \
    }

DOT(dot_float, float, _mm256_loadu_ps)
DOT(dot_half, uint16_t, load_half)

// ---- packed codes --------------------------------------------------------------------------------------------

// 2^−k of row i, where k is the bit at which EACH_ROW leaves it.
#define FACTOR(B, I) (1.0f / (float)(1u << (8 * ((I) % 2) + (B) * ((I) % IQ_WORD_ROWS(B) / 4))))
#define FACTOR8(B, I) \
    FACTOR(B, I), FACTOR(B, I + 1), FACTOR(B, I + 2), FACTOR(B, I + 3), FACTOR(B, I + 4), FACTOR(B, I + 5), \
        FACTOR(B, I + 6), FACTOR(B, I + 7)
#define FACTORS(B) {FACTOR8(B, 0), FACTOR8(B, 8), FACTOR8(B, 16), FACTOR8(B, 24)}
static const float row_factor[9][32] = {[2] = FACTORS(2), [3] = FACTORS(3), [4] = FACTORS(4), [8] = FACTORS(8)};

INLINE __m256 field(__m256i word, int mask) {
    return _mm256_cvtepi32_ps(_mm256_and_si256(word, _mm256_set1_epi32(mask)));
}

// Calls USE(row, float vectors u[V]) for all 32 rows in order of words, of their halves and of the halves' bytes.
#define EACH_ROW(BITS, V, USE)                                                                                  \
    _Pragma("clang loop unroll(disable)") for (int w = 0; w < IQ_CODE_WORDS(BITS); w++) {                       \
        enum { IN_BYTE = IQ_BYTE_ROWS(BITS) };                                                                  \
        __m256i word[V];                                                                                        \
        for (int v = 0; v < V; v++) word[v] = iq_avx2_word(BITS, words + 8 * v, word_stride, w);                \
        _Pragma("clang loop unroll(full)") for (int half = 0; half < 2; half++) {                               \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < 2 * IN_BYTE; j++) {                          \
                __m256 u[V];                                                                                    \
                for (int v = 0; v < V; v++)                                                                     \
                    u[v] = field(word[v], ((1 << BITS) - 1) << (8 * (j / IN_BYTE) + BITS * (j % IN_BYTE)));     \
                USE(IQ_WORD_ROWS(BITS) * w + 2 * half + j / IN_BYTE + 4 * (j % IN_BYTE))                        \
            }                                                                                                   \
            for (int v = 0; v < V; v++) word[v] = _mm256_srli_epi32(word[v], 16);                               \
            ROWS_BARRIER;                                                                                       \
        }                                                                                                       \
    }

// V vectors (8·V lanes) by H heads. `xs` is x times the row factors, `total` the sum of x.
#define CODES_TILE(BITS, H, V)                                                                                  \
    AVX2 __attribute__((noinline)) static void codes_##BITS##_##H##_##V(const struct iq_code_block *b, size_t lane, const float (*xs)[32], \
                                              const float *total, float *out, size_t out_stride) {              \
        const uint32_t *words = b->words + lane;                                                                \
        const size_t word_stride = b->word_stride;                                                              \
        __m256 a[H][V];                                                                                         \
        const int symmetric = b->mode == IQ_SCALE_SYMMETRIC;                                                    \
        for (int h = 0; h < H; h++)                                                                             \
            for (int v = 0; v < V; v++)                                                                         \
                a[h][v] = symmetric ? _mm256_set1_ps(-b->bias * total[h]) : _mm256_setzero_ps();                \
        EACH_ROW(BITS, V, CODES_USE_##H##_##V)                                                                  \
        float *o = out + lane;                                                                                  \
        for (int v = 0; v < V; v++) {                                                                           \
            __m256 s = _mm256_set1_ps(1), z = _mm256_setzero_ps();                                              \
            if (b->mode != IQ_SCALE_NONE) s = load_half(b->scales + lane + 8 * v);                              \
            if (b->mode >= IQ_SCALE_ASYMMETRIC) z = load_half(b->zeros + lane + 8 * v);                         \
            if (b->mode == IQ_SCALE_HYBRID) hybrid_lane(&s, &z, b->bias);                                       \
            for (int h = 0; h < H; h++) {                                                                       \
                __m256 r = _mm256_loadu_ps(o + h * out_stride + 8 * v);                                         \
                r = _mm256_fmadd_ps(s, a[h][v], r);                                                             \
                if (b->mode >= IQ_SCALE_ASYMMETRIC) r = _mm256_fmadd_ps(z, _mm256_set1_ps(total[h]), r);        \
                _mm256_storeu_ps(o + h * out_stride + 8 * v, r);                                                \
            }                                                                                                   \
        }                                                                                                       \
    }

#define CODES_USE(H, V, I)                                                                                      \
    for (int h = 0; h < H; h++) {                                                                               \
        __m256 m = _mm256_broadcast_ss(&xs[h][I]);                                                              \
        for (int v = 0; v < V; v++) a[h][v] = _mm256_fmadd_ps(m, u[v], a[h][v]);                                \
    }
#define CODES_USE_1_4(I) CODES_USE(1, 4, I)
#define CODES_USE_2_4(I) CODES_USE(2, 4, I)
#define CODES_USE_1_2(I) CODES_USE(1, 2, I)
#define CODES_USE_2_2(I) CODES_USE(2, 2, I)
#define CODES_USE_3_2(I) CODES_USE(3, 2, I)
#define CODES_USE_4_2(I) CODES_USE(4, 2, I)

#define CODES_BITS(BITS)                                                                                        \
    CODES_TILE(BITS, 1, 4)                                                                                      \
    CODES_TILE(BITS, 2, 4)                                                                                      \
    CODES_TILE(BITS, 1, 2)                                                                                      \
    CODES_TILE(BITS, 2, 2)                                                                                      \
    CODES_TILE(BITS, 3, 2)                                                                                      \
    CODES_TILE(BITS, 4, 2)                                                                                      \
    AVX2 static void dot_codes_##BITS(const struct iq_code_block *b, const float *x, size_t x_stride,           \
                                      size_t heads, float *out, size_t out_stride) {                            \
        const float *factor = row_factor[BITS];                                                  \
        while (heads > 0) {                                                                                     \
            size_t n = heads < 4 ? heads : 4;                                                                   \
            float xs[4][32] __attribute__((aligned(32)));                                                       \
            float total[4];                                                                                     \
            for (size_t h = 0; h < n; h++) total[h] = prepare(x + h * x_stride, factor, xs[h]);                 \
            size_t lane = 0;                                                                                    \
            if (n <= 2)                                                                                         \
                for (; lane + 32 <= b->lanes; lane += 32) {                                                     \
                    if (n == 1) codes_##BITS##_1_4(b, lane, xs, total, out, out_stride);                        \
                    else codes_##BITS##_2_4(b, lane, xs, total, out, out_stride);                               \
                }                                                                                               \
            for (; lane < b->lanes; lane += 16) switch (n) {                                                    \
                case 1: codes_##BITS##_1_2(b, lane, xs, total, out, out_stride); break;                         \
                case 2: codes_##BITS##_2_2(b, lane, xs, total, out, out_stride); break;                         \
                case 3: codes_##BITS##_3_2(b, lane, xs, total, out, out_stride); break;                         \
                default: codes_##BITS##_4_2(b, lane, xs, total, out, out_stride); break;                        \
                }                                                                                               \
            x += n * x_stride;                                                                                  \
            out += n * out_stride;                                                                              \
            heads -= n;                                                                                         \
        }                                                                                                       \
    }                                                                                                           \
    AVX2 static void unpack_##BITS(const uint32_t *all, size_t word_stride, size_t lanes, float *out,           \
                                   size_t out_stride) {                                                         \
        const float *factor = row_factor[BITS];                                                  \
        for (size_t lane = 0; lane < lanes; lane += 16) {                                                       \
            const uint32_t *words = all + lane;                                                                 \
            EACH_ROW(BITS, 2, UNPACK_USE)                                                                       \
        }                                                                                                       \
    }

#define UNPACK_USE(I)                                                                                           \
    {                                                                                                           \
        __m256 f = _mm256_broadcast_ss(factor + (I));                                                           \
        _mm256_storeu_ps(out + (size_t)(I)*out_stride + lane, _mm256_mul_ps(f, u[0]));                          \
        _mm256_storeu_ps(out + (size_t)(I)*out_stride + lane + 8, _mm256_mul_ps(f, u[1]));                      \
    }

INLINE float prepare(const float *x, const float *factor, float *scaled) {
    __m256 sum = _mm256_setzero_ps();
    for (int i = 0; i < 32; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        sum = _mm256_add_ps(sum, v);
        _mm256_store_ps(scaled + i, _mm256_mul_ps(v, _mm256_loadu_ps(factor + i)));
    }
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

CODES_BITS(2)
CODES_BITS(3)
CODES_BITS(4)
CODES_BITS(8)

// ---- softmax -------------------------------------------------------------------------------------------------

AVX2 static float maximum(const float *values, size_t count) {
    float result = values[0];
    size_t i = 0;
    if (count >= 8) {
        __m256 m = _mm256_loadu_ps(values);
        for (i = 8; i + 8 <= count; i += 8) m = _mm256_max_ps(m, _mm256_loadu_ps(values + i));
        __m128 r = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
        r = _mm_max_ps(r, _mm_movehl_ps(r, r));
        result = _mm_cvtss_f32(_mm_max_ss(r, _mm_movehdup_ps(r)));
    }
    for (; i < count; i++) result = values[i] > result ? values[i] : result;
    return result;
}

// exp(x) for x ≤ 0, within 2 ulp: 2^n · 2^f with a polynomial of degree 6 on |f| ≤ ½; below −87 it is 0.
INLINE __m256 exp_nonpositive(__m256 x) {
    __m256 alive = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_GT_OQ);
    __m256 t = _mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f));
    __m256 n = _mm256_round_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693145751953125f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.42860682030941723e-6f), r);
    __m256 p = _mm256_set1_ps(1.0f / 720);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i e = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(alive, _mm256_mul_ps(p, _mm256_castsi256_ps(e)));
}

AVX2 static float exponentials(float *values, size_t count, float m) {
    __m256 sum = _mm256_setzero_ps(), vm = _mm256_set1_ps(m);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256 e = exp_nonpositive(_mm256_sub_ps(_mm256_loadu_ps(values + i), vm));
        _mm256_storeu_ps(values + i, e);
        sum = _mm256_add_ps(sum, e);
    }
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    float total = _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
    for (; i < count; i++) {
        values[i] = expf(values[i] - m);
        total += values[i];
    }
    return total;
}

#define MEMBERS                                                       \
    .dot_float = dot_float, .dot_half = dot_half,                     \
    .dot_codes = {dot_codes_2, dot_codes_3, dot_codes_4, dot_codes_8}, \
    .unpack = {unpack_2, unpack_3, unpack_4, unpack_8},               \
    IQ_LOOKUP_MEMBERS(avx2)

const struct iq_attention_kernels iq_attention_avx2 = {
    MEMBERS, IQ_DOT_INTEGERS(avx2), .maximum = maximum, .exponentials = exponentials, .quantize = iq_quantize_avx2};
#define MEMBERS512                                                                                             \
    MEMBERS, IQ_DOT_INTEGERS(avx512), .maximum = iq_maximum_avx512, .exponentials = iq_exponentials_avx512,    \
    .quantize = iq_quantize_avx512
const struct iq_attention_kernels iq_attention_avx512 = {MEMBERS512};
#if defined(IQ_HAS_AMX)
const struct iq_attention_kernels iq_attention_amx = {MEMBERS512, .dot_many = iq_dot_many_amx};
#endif

#endif
