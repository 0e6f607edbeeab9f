// Panels of quantized weights times few vectors, in integers, with AVX-512 and VNNI.
//
// Activations are prepared as for AVX2 (weights_avx2_interleaved.c). Two panels fill a register, so that lanes are sixteen
// rows; `vpdpbusd` multiplies four columns of each by four activations, an operand broadcast from memory, and adds all
// products to an int32 sum: nothing is widened.
//
//     panel      rows 0 … 7   | columns 0–3, 16–19 | 4–7, 20–23 | …      a load of 32 bytes
//     the next   rows 8 … 15  | columns 0–3, 16–19 | 4–7, 20–23 | …      and one that fills the upper half
//
#include "avx512.h"
#include "weights_avx2_interleaved.h"

#if defined(__x86_64__)

// ---- rows and panels -----------------------------------------------------------------------------------------

enum { PAIR_ROWS = 2 * IQ_PANEL_ROWS };

INLINE512 void put_pair(const struct iq_product *p, size_t row, int t, __m512 sums) {
    float *out = p->output + (size_t)t * p->output_stride + row;
    const __mmask16 here = first_lanes(p->row_end - row);
    if (p->accumulate) sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(here, out));
    _mm512_mask_storeu_ps(out, here, sums);
}

// Defines iq_avx512_integers_NAME from `BODY(panel, p, T, sums)`, which puts the products of a panel and the next with T
// vectors to `sums`. A last panel that has no partner is AVX2's.
#define PAIR_GEMV(name, BODY)                                                                          \
    INLINE512 void name##_pairs(const struct iq_product *p, int T) {                                   \
        for (size_t r = p->row_begin; r < p->row_end; r += PAIR_ROWS) {                                \
            __m512 sums[VECTORS];                                                                      \
            BODY((const uint8_t *)p->weights + r * p->row_bytes, p, T, sums);                          \
            EACH(t, T) put_pair(p, r, t, sums[t]);                                                     \
        }                                                                                              \
    }                                                                                                  \
    IQ_GEMV_FOR(AVX512 static, all_##name##_pairs, name##_pairs)                                       \
    void iq_avx512_integers_##name(const struct iq_weight_format *self, const struct iq_product *p) {  \
        struct iq_product pairs = *p, rest = *p;                                                       \
        const size_t over = (p->row_end - p->row_begin) % PAIR_ROWS;                                   \
        if (over > 0 && over <= IQ_PANEL_ROWS) pairs.row_end = rest.row_begin = p->row_end - over;     \
        else rest.row_begin = p->row_end;                                                              \
        if (pairs.row_begin < pairs.row_end) all_##name##_pairs(self, &pairs);                         \
        if (rest.row_begin < rest.row_end) iq_avx2_integers_##name(self, &rest);                       \
    }

// Bytes from a panel to the next.
INLINE512 size_t panel_bytes(const struct iq_product *p) { return IQ_PANEL_ROWS * p->row_bytes; }

// The same 32 bytes of both panels, and the same 16.
INLINE512 __m512i pair(const uint8_t *b, size_t gap) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load(b)), load(b + gap), 1);
}
INLINE512 __m256i pair16(const uint8_t *b, size_t gap) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)b)),
                                   _mm_loadu_si128((const __m128i *)(b + gap)), 1);
}
INLINE512 __m512 pair_halves(const uint8_t *b, size_t gap) { return _mm512_cvtph_ps(pair16(b, gap)); }

// Asks for what both panels, or the next two, will have in 2 KB; `left` bytes are left of each.
INLINE512 void fetch_pair(const uint8_t *b, size_t gap, size_t left, size_t bytes) {
    if (left <= 2048) b += gap;
    fetch(b, bytes);
    fetch(b + gap, bytes);
}

// ---- codes ---------------------------------------------------------------------------------------------------

INLINE512 __m512i low_nibbles16(__m512i q) { return _mm512_and_si512(q, _mm512_set1_epi8(15)); }
INLINE512 __m512i high_nibbles16(__m512i q) { return low_nibbles16(_mm512_srli_epi16(q, 4)); }

// codes | (bit `from` of each byte of `bits`, at bit 4).
INLINE512 __m512i with_fifth(__m512i codes, __m512i bits, int from) {
    bits = from < 4 ? _mm512_slli_epi32(bits, (unsigned)(4 - from)) : _mm512_srli_epi32(bits, (unsigned)(from - 4));
    return _mm512_ternarylogic_epi32(codes, bits, _mm512_set1_epi8(16), 0xF8);
}

// Number `index` of the 16 of six bits in three words, as float32.
INLINE512 __m512 six_bits16(const __m512i *words, int index) {
    __m512i n = _mm512_srli_epi32(words[index < 15 ? index / 5 : 0], (unsigned)(index < 15 ? 6 * (index % 5) : 30));
    if (index == 15) {
        n = _mm512_or_si512(n, _mm512_slli_epi32(_mm512_srli_epi32(words[1], 30), 2));
        n = _mm512_or_si512(n, _mm512_slli_epi32(_mm512_srli_epi32(words[2], 30), 4));
    }
    return _mm512_cvtepi32_ps(_mm512_and_si512(n, _mm512_set1_epi32(63)));
}

// Σ codes · n of some words: high and low bytes of n by themselves.
struct sums16 {
    __m512i high, low;
};

INLINE512 struct sums16 no_sums(void) { return (struct sums16){_mm512_setzero_si512(), _mm512_setzero_si512()}; }

// Adds word `w`'s columns, the four of each row; `x` is at a sub-block's 32 high bytes, the low ones follow.
INLINE512 void add_columns(struct sums16 *s, __m512i codes, const int32_t *x, int w) {
    s->high = _mm512_dpbusd_epi32(s->high, codes, _mm512_set1_epi32(x[w]));
    s->low = _mm512_dpbusd_epi32(s->low, codes, _mm512_set1_epi32(x[8 + w]));
}

// 32 codes of 6 bits times 16 bits stay below 2^26.
INLINE512 __m512 in_floats(struct sums16 s) {
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(s.high, 8), s.low));
}

// ---- blocks of 32 --------------------------------------------------------------------------------------------

INLINE512 void blocks(const uint8_t *b, const struct iq_product *p, int T, __m512 *total, const struct panel_block f) {
    const size_t stride = p->activation_stride, gap = panel_bytes(p);
    const float *x = p->activations, *scales = x + p->columns / 2;
    __m512 offset[VECTORS];
    EACH(t, T) total[t] = offset[t] = _mm512_setzero_ps();
    for (size_t k = p->columns / 32; k > 0; k--, b += f.bytes, x += 16, scales += 2) {
        struct sums16 sums[VECTORS];
        EACH(t, T) sums[t] = no_sums();
        fetch_pair(b, gap, k * f.bytes, f.bytes);
        EACH(w, 4) {
            const __m512i q = pair(b + f.codes_at + 32 * w, gap);
            __m512i first = low_nibbles16(q), second = high_nibbles16(q);
            if (f.fifth_at) {
                const __m512i fifth = pair(b + f.fifth_at, gap);
                first = with_fifth(first, fifth, w);
                second = with_fifth(second, fifth, 4 + w);
            }
            EACH(t, T) {
                const int32_t *xt = (const int32_t *)(x + (size_t)t * stride);
                add_columns(&sums[t], first, xt, w);
                add_columns(&sums[t], second, xt, 4 + w);
            }
        }
        const __m512 d = pair_halves(b, gap), m = f.has_minimum ? pair_halves(b + IQ_PANEL_SECOND, gap) : d;
        EACH(t, T) {
            const float *s = scales + (size_t)t * stride;
            total[t] = _mm512_fmadd_ps(_mm512_mul_ps(d, _mm512_set1_ps(s[0])), in_floats(sums[t]), total[t]);
            offset[t] = _mm512_fmadd_ps(m, _mm512_set1_ps(s[1]), offset[t]);
        }
    }
    EACH(t, T) total[t] = _mm512_fmadd_ps(_mm512_set1_ps(f.has_minimum ? 1 : -(float)f.middle), offset[t], total[t]);
}

// Q8_0: pairs of int16.
INLINE512 void words(const uint8_t *b, const struct iq_product *p, int T, __m512 *total) {
    enum { BYTES = 34 * IQ_PANEL_ROWS };
    const size_t stride = p->activation_stride, gap = panel_bytes(p);
    const float *x = p->activations, *scales = x + p->columns / 2;
    EACH(t, T) total[t] = _mm512_setzero_ps();
    for (size_t k = p->columns / 32; k > 0; k--, b += BYTES, x += 16, scales++) {
        __m512i sum[VECTORS];
        EACH(t, T) sum[t] = _mm512_setzero_si512();
        fetch_pair(b, gap, k * BYTES, BYTES);
        EACH(w, 16) {
            const __m512i q = _mm512_cvtepi8_epi16(pair16(b + IQ_PANEL_Q8_0_CODES + 16 * w, gap));
            EACH(t, T) {
                const int32_t *xt = (const int32_t *)(x + (size_t)t * stride);
                sum[t] = _mm512_dpwssd_epi32(sum[t], q, _mm512_set1_epi32(xt[w]));
            }
        }
        const __m512 d = pair_halves(b, gap);
        EACH(t, T) {
            const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(scales[(size_t)t * stride]));
            total[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum[t]), total[t]);
        }
    }
}

// ---- blocks of 256 -------------------------------------------------------------------------------------------

// total += d · (scale of the activations) · sums.
INLINE512 void add_block16(const struct iq_product *p, int t, size_t k, __m512 d, __m512 sums, __m512 *total) {
    const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(vector_of(p, t)[super_scales(p->columns) + k]));
    *total = _mm512_fmadd_ps(scale, sums, *total);
}

INLINE512 void super(const uint8_t *b, const struct iq_product *p, int T, __m512 *total, int fifth_at, int codes_at) {
    enum { SUBS = 8, WORDS = 8 };
    const size_t bytes = (size_t)codes_at + 1024, gap = panel_bytes(p), count = p->columns / 256;
    EACH(t, T) total[t] = _mm512_setzero_ps();
    for (size_t k = 0; k < count; k++, b += bytes) {
        const __m512i packed[3] = {pair(b + IQ_PANEL_K_SCALES, gap), pair(b + IQ_PANEL_K_SCALES + 32, gap),
                                   pair(b + IQ_PANEL_K_SCALES + 64, gap)};
        __m512 scales[SUBS], minimums[VECTORS], sums[VECTORS];
        EACH(t, T) sums[t] = minimums[t] = _mm512_setzero_ps();
        EACH(sub, SUBS) {
            const __m512 m = six_bits16(packed, SUBS + sub);
            scales[sub] = six_bits16(packed, sub);
            EACH(t, T) {
                const float *x = vector_of(p, t) + super_sums32(p->columns) + 8 * k;
                minimums[t] = _mm512_fmadd_ps(m, _mm512_set1_ps(x[sub]), minimums[t]);
            }
        }
#pragma clang loop unroll(disable)
        for (int sub = 0; sub < SUBS; sub += 2) {
            const uint8_t *codes = b + codes_at + 128 * sub;
            fetch_pair(b + bytes / SUBS * (size_t)sub, gap, (count - k) * bytes, bytes / SUBS * 2);
            struct sums16 even[VECTORS], odd[VECTORS];
            EACH(t, T) even[t] = odd[t] = no_sums();
            EACH(w, WORDS) {
                const __m512i q = pair(codes + 32 * w, gap);
                __m512i a = low_nibbles16(q), c = high_nibbles16(q);
                if (fifth_at) {
                    const __m512i bits = _mm512_srl_epi32(pair(b + fifth_at + 32 * w, gap), _mm_cvtsi32_si128(sub));
                    a = with_fifth(a, bits, 0);
                    c = with_fifth(c, bits, 1);
                }
                EACH(t, T) {
                    add_columns(&even[t], a, bytes_of(p, t, k, sub), w);
                    add_columns(&odd[t], c, bytes_of(p, t, k, sub + 1), w);
                }
            }
            EACH(t, T) {
                sums[t] = _mm512_fmadd_ps(in_floats(even[t]), scales[sub], sums[t]);
                sums[t] = _mm512_fmadd_ps(in_floats(odd[t]), scales[sub + 1], sums[t]);
            }
        }
        const __m512 d = pair_halves(b, gap), e = pair_halves(b + IQ_PANEL_SECOND, gap);
        EACH(t, T) {
            add_block16(p, t, k, d, sums[t], &total[t]);
            total[t] = _mm512_fnmadd_ps(e, minimums[t], total[t]);
        }
    }
}

INLINE512 void super_q6_k(const uint8_t *b, const struct iq_product *p, int T, __m512 *total) {
    enum { BYTES = 210 * IQ_PANEL_ROWS, SUBS = 8 };
    const size_t gap = panel_bytes(p), count = p->columns / 256;
    const __m512i six = _mm512_set1_epi8(63);
    EACH(t, T) total[t] = _mm512_setzero_ps();
    for (size_t k = 0; k < count; k++, b += BYTES) {
        __m512 offsets[VECTORS], sums[VECTORS];
        EACH(t, T) sums[t] = offsets[t] = _mm512_setzero_ps();
#pragma clang loop unroll(disable)
        for (int sub = 0; sub < SUBS; sub++) {
            fetch_pair(b + BYTES / SUBS * sub, gap, (count - k) * BYTES, BYTES / SUBS);
            const __m512i both = _mm512_cvtepi8_epi16(pair16(b + IQ_PANEL_Q6_K_SCALES + 16 * sub, gap));
            EACH(half, 2) {
                // Each scale as the same int16 twice.
                const __m512i twice = half ? _mm512_unpackhi_epi16(both, both) : _mm512_unpacklo_epi16(both, both);
                const __m512 factor = _mm512_cvtepi32_ps(_mm512_srai_epi32(twice, 16));
                const uint8_t *at = b + IQ_PANEL_Q6_K_CODES + 96 * (2 * sub + half);
                const __m512i stored[3] = {pair(at, gap), pair(at + 32, gap), pair(at + 64, gap)};
                // The fourth word is the top bits of the bytes of these.
                __m512i fourth = _mm512_and_si512(_mm512_srli_epi16(stored[0], 6), _mm512_set1_epi8(3));
                fourth = _mm512_ternarylogic_epi32(fourth, _mm512_srli_epi16(stored[1], 4), _mm512_set1_epi8(12), 0xF8);
                fourth = _mm512_ternarylogic_epi32(fourth, _mm512_srli_epi16(stored[2], 2), _mm512_set1_epi8(48), 0xF8);
                EACH(t, T) {
                    const int32_t *x = bytes_of(p, t, k, sub);
                    const float *x16 = vector_of(p, t) + super_sums16(p->columns) + 16 * k + 2 * sub + half;
                    struct sums16 s = no_sums();
                    EACH(w, 3) add_columns(&s, _mm512_and_si512(stored[w], six), x, 4 * half + w);
                    add_columns(&s, fourth, x, 4 * half + 3);
                    sums[t] = _mm512_fmadd_ps(in_floats(s), factor, sums[t]);
                    offsets[t] = _mm512_fmadd_ps(factor, _mm512_set1_ps(*x16), offsets[t]);
                }
            }
        }
        const __m512 d = pair_halves(b, gap);
        EACH(t, T) {
            add_block16(p, t, k, d, sums[t], &total[t]);
            total[t] = _mm512_fmadd_ps(_mm512_mul_ps(d, _mm512_set1_ps(-32)), offsets[t], total[t]);
        }
    }
}

#define Q4_0(b, p, T, sums) blocks(b, p, T, sums, panel_q4_0)
#define Q4_1(b, p, T, sums) blocks(b, p, T, sums, panel_q4_1)
#define Q5_0(b, p, T, sums) blocks(b, p, T, sums, panel_q5_0)
#define Q5_1(b, p, T, sums) blocks(b, p, T, sums, panel_q5_1)
#define Q4_K(b, p, T, sums) super(b, p, T, sums, 0, IQ_PANEL_Q4_K_CODES)
#define Q5_K(b, p, T, sums) super(b, p, T, sums, IQ_PANEL_Q5_K_FIFTH, IQ_PANEL_Q5_K_CODES)

PAIR_GEMV(q4_0, Q4_0)
PAIR_GEMV(q4_1, Q4_1)
PAIR_GEMV(q5_0, Q5_0)
PAIR_GEMV(q5_1, Q5_1)
PAIR_GEMV(q8_0, words)
PAIR_GEMV(q4_k, Q4_K)
PAIR_GEMV(q5_k, Q5_K)
PAIR_GEMV(q6_k, super_q6_k)

#endif
