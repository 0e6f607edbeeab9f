// The place of one code, said once: see iq_attention.h. For plain C; vectors read whole words.
#ifndef INNERQ_ATTENTION_CODES_H
#define INNERQ_ATTENTION_CODES_H

#include <stddef.h>
#include <stdint.h>

// Words that give whole codes by shift and mask: as many as are stored, and for 3 bits a fourth of what bits 6–7 spell.
#define IQ_CODE_WORDS(BITS) ((BITS) == 3 ? 4 : (BITS))
// Rows of such a word, and of each of its bytes.
#define IQ_WORD_ROWS(BITS) (32 / IQ_CODE_WORDS(BITS))
#define IQ_BYTE_ROWS(BITS) (IQ_WORD_ROWS(BITS) / 4)

static inline uint32_t iq_code_at(const uint32_t *words, size_t stride, size_t lane, int bits, int row) {
    if (bits == 3 && row >= 24) {
        int second = row >= 28, shift = 8 * (row % 4) + 6;
        uint32_t low = words[(size_t)second * stride + lane] >> shift & 3u;
        return low | (words[2 * stride + lane] >> (shift + second) & 1u) << 2;
    }
    int rows = IQ_WORD_ROWS(bits), in_word = row % rows;
    return words[(size_t)(row / rows) * stride + lane] >> (8 * (in_word % 4) + bits * (in_word / 4)) &
        ((1u << bits) - 1u);
}

#endif
