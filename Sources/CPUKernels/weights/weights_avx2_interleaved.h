// Shared by the integer weight kernels for AVX2; not part of the module.
#ifndef INNERQ_WEIGHTS_AVX2_INTERLEAVED_H
#define INNERQ_WEIGHTS_AVX2_INTERLEAVED_H

#include "integers_avx2.h"
#include "weights_avx2.h"
#include "weights_interleaved.h"

#if defined(__x86_64__)

enum { VECTORS = 4 };

// Defines iq_avx2_integers_NAME from `BODY(panel, p, T, sums)`, which puts the products of a panel with T vectors to `sums`.
#define PANEL_GEMV(name, BODY)                                                                         \
    IQ_AVX2_INLINE void name##_panels(const struct iq_product *p, int T) {                             \
        for (size_t r = p->row_begin; r < p->row_end; r += IQ_PANEL_ROWS) {                            \
            __m256 sums[VECTORS];                                                                      \
            BODY((const uint8_t *)p->weights + r * p->row_bytes, p, T, sums);                          \
            EACH(t, T) put_panel(p, r, t, sums[t]);                                                    \
        }                                                                                              \
    }                                                                                                  \
    IQ_GEMV(iq_avx2_integers_##name, name##_panels)

#define EACH(variable, count) _Pragma("clang loop unroll(full)") for (int variable = 0; variable < count; variable++)

IQ_AVX2_INLINE void put_panel(const struct iq_product *p, size_t row, int t, __m256 sums) {
    float *out = p->output + (size_t)t * p->output_stride + row;
    if (p->row_end - row >= IQ_PANEL_ROWS) {
        _mm256_storeu_ps(out, p->accumulate ? _mm256_add_ps(_mm256_loadu_ps(out), sums) : sums);
        return;
    }
    float values[IQ_PANEL_ROWS];
    _mm256_storeu_ps(values, sums);
    for (size_t r = row; r < p->row_end; r++) iq_put(p, r, t, values[r - row]);
}

// Fetches what these rows, or those after them, will have soon: 2 KB ahead, as far as memory takes to answer (Zen 3).
IQ_AVX2_INLINE void fetch(const uint8_t *b, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) _mm_prefetch((const char *)b + 2048 + line, _MM_HINT_T0);
}

IQ_AVX2_INLINE __m256i load(const uint8_t *b) { return _mm256_loadu_si256((const __m256i *)b); }

// Eight float16s.
IQ_AVX2_INLINE __m256 halves_of(const uint8_t *b) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)b)); }

IQ_AVX2_INLINE __m256i low_nibbles(__m256i q) { return _mm256_and_si256(q, _mm256_set1_epi8(15)); }
IQ_AVX2_INLINE __m256i high_nibbles(__m256i q) { return low_nibbles(_mm256_srli_epi16(q, 4)); }

// Bit `from` of each byte, at bit 4.
IQ_AVX2_INLINE __m256i fifth_of(__m256i bits, int from) {
    __m256i moved = from < 4 ? _mm256_slli_epi32(bits, 4 - from) : _mm256_srli_epi32(bits, from - 4);
    return _mm256_and_si256(moved, _mm256_set1_epi8(16));
}

// A panel's block of 32 columns with 4 or 5 bits: its bytes, and where fifth bits (0: none) and codes are; `middle` is
// subtracted from codes that have no minimum.
struct panel_block {
    size_t bytes;
    int has_minimum, fifth_at, codes_at, middle;
};

static const struct panel_block panel_q4_0 = {144, 0, 0, IQ_PANEL_Q4_0_CODES, 8};
static const struct panel_block panel_q4_1 = {160, 1, 0, IQ_PANEL_Q4_1_CODES, 0};
static const struct panel_block panel_q5_0 = {176, 0, IQ_PANEL_Q5_0_FIFTH, IQ_PANEL_Q5_0_CODES, 16};
static const struct panel_block panel_q5_1 = {192, 1, IQ_PANEL_Q5_1_FIFTH, IQ_PANEL_Q5_1_CODES, 0};

// Words `w` and `w` + 4 of such a block: columns 4 w … and 16 + 4 w ….
struct two_words {
    __m256i first, second;
};

IQ_AVX2_INLINE struct two_words block_words(const uint8_t *b, const struct panel_block f, int w) {
    const __m256i q = load(b + f.codes_at + 32 * w);
    struct two_words words = {low_nibbles(q), high_nibbles(q)};
    if (f.fifth_at) {
        const __m256i fifth = load(b + f.fifth_at);
        words.first = _mm256_or_si256(words.first, fifth_of(fifth, w));
        words.second = _mm256_or_si256(words.second, fifth_of(fifth, 4 + w));
    }
    return words;
}

// 16 columns of Q6_K, four words; the fourth's codes are the top bits of the bytes of the three that are stored.
struct four_words {
    __m256i word[4];
};

IQ_AVX2_INLINE struct four_words q6_k_words(const uint8_t *block, int group) {
    const uint8_t *at = block + IQ_PANEL_Q6_K_CODES + 96 * group;
    const __m256i a = load(at), b = load(at + 32), c = load(at + 64), six = _mm256_set1_epi8(63);
    const __m256i low = _mm256_and_si256(_mm256_srli_epi16(a, 6), _mm256_set1_epi8(3));
    const __m256i middle = _mm256_and_si256(_mm256_srli_epi16(b, 4), _mm256_set1_epi8(12));
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(c, 2), _mm256_set1_epi8(48));
    return (struct four_words){{_mm256_and_si256(a, six), _mm256_and_si256(b, six), _mm256_and_si256(c, six),
                                _mm256_or_si256(low, _mm256_or_si256(middle, high))}};
}

// Scales of a group of 16, as the same int16 twice for pairs of products.
IQ_AVX2_INLINE __m256i q6_k_scales(const uint8_t *block, int sub, int half) {
    const __m256i both = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(block + IQ_PANEL_Q6_K_SCALES + 16 * sub)));
    return half ? _mm256_unpackhi_epi16(both, both) : _mm256_unpacklo_epi16(both, both);
}

IQ_AVX2_INLINE __m256 q6_k_factors(__m256i scales) { return _mm256_cvtepi32_ps(_mm256_srai_epi32(scales, 16)); }

// Number `index` of the 16 of six bits in three words.
IQ_AVX2_INLINE __m256i six_bits(const __m256i *words, int index) {
    if (index < 15) return _mm256_and_si256(_mm256_srli_epi32(words[index / 5], 6 * (index % 5)), _mm256_set1_epi32(63));
    const __m256i low = _mm256_srli_epi32(words[0], 30), middle = _mm256_srli_epi32(words[1], 30);
    const __m256i high = _mm256_srli_epi32(words[2], 30);
    return _mm256_or_si256(low, _mm256_or_si256(_mm256_slli_epi32(middle, 2), _mm256_slli_epi32(high, 4)));
}

// Σ codes · n of some words, as int16: high and low bytes of n by themselves.
struct word_sums {
    __m256i high, low;
};

IQ_AVX2_INLINE struct word_sums no_words(void) {
    return (struct word_sums){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

// Adds word `w`'s columns, the four of each row; `x` is at a sub-block's 32 high bytes, the low ones follow. Sums of eight
// words of 4 bits, four of 5, two of 6 fit into int16.
IQ_AVX2_INLINE void add_word(struct word_sums *s, __m256i codes, const int32_t *x, int w) {
    s->high = _mm256_add_epi16(s->high, _mm256_maddubs_epi16(codes, _mm256_set1_epi32(x[w])));
    s->low = _mm256_add_epi16(s->low, _mm256_maddubs_epi16(codes, _mm256_set1_epi32(x[8 + w])));
}

// SUPER, floats after the bytes: scale per 256, sums per 16, sums per 32.
IQ_AVX2_INLINE size_t super_scales(size_t columns) { return columns / 2; }
IQ_AVX2_INLINE size_t super_sums16(size_t columns) { return super_scales(columns) + columns / 256; }
IQ_AVX2_INLINE size_t super_sums32(size_t columns) { return super_sums16(columns) + columns / 16; }

IQ_AVX2_INLINE const float *vector_of(const struct iq_product *p, int t) {
    return p->activations + (size_t)t * p->activation_stride;
}

// High bytes of the 32 activations of a sub-block of block `k`; the low ones follow.
IQ_AVX2_INLINE const int32_t *bytes_of(const struct iq_product *p, int t, size_t k, int sub) {
    return (const int32_t *)vector_of(p, t) + 16 * (8 * k + (size_t)sub);
}

#endif
#endif
