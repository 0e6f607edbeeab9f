// Rows of quantized weights to panels: see weights_interleaved.h.
#include "weights_interleaved.h"

enum { ROWS = IQ_PANEL_ROWS };

// Units of `size` bytes, each to lane `row` of its vector.
static void spread(uint8_t *to, const uint8_t *from, size_t count, size_t size, size_t row) {
    for (size_t i = 0; i < count; i++) memcpy(to + (ROWS * i + row) * size, from + i * size, size);
}

static void put32(uint8_t *to, size_t row, uint32_t value) { memcpy(to + 4 * row, &value, 4); }

static uint32_t fifth_bits(uint32_t bits) {
    uint32_t ordered = 0;
    for (int column = 0; column < 32; column++)
        ordered |= (bits >> column & 1) << (8 * (column % 4) + column / 4);
    return ordered;
}

static void k_scales(uint8_t *to, const uint8_t *from, size_t row) {
    struct iq_k_scales s = iq_unpack_k_scales(from);
    uint32_t words[3] = {0};
    for (int i = 0; i < 15; i++)
        words[i / 5] |= (uint32_t)(i < 8 ? s.scale[i] : s.minimum[i - 8]) << 6 * (i % 5);
    for (int w = 0; w < 3; w++) put32(to + 32 * w, row, words[w] | (uint32_t)(s.minimum[7] >> 2 * w & 3) << 30);
}

// 16 columns of Q6_K: byte j of word w is column 4 w + j; the fourth word's bits go on top of the others'.
static void q6_k_codes(uint8_t *to, const uint8_t *b, size_t group, size_t row) {
    const size_t half = group / 8, quarter = group / 2 % 4, at = group % 2 * 16;
    const uint8_t *low = b + 64 * half + 32 * (quarter % 2) + at, *high = b + IQ_Q6_K_HIGH + 32 * half + at;
    uint8_t codes[16];
    for (int i = 0; i < 16; i++)
        codes[i] = (uint8_t)((low[i] >> (quarter & 2) * 2 & 15) | (high[i] >> 2 * quarter & 3) << 4);
    for (size_t w = 0; w < 3; w++)
        for (size_t j = 0; j < 4; j++)
            to[32 * w + 4 * row + j] = (uint8_t)(codes[4 * w + j] | (codes[12 + j] >> 2 * w & 3) << 6);
}

static void block(uint32_t type, const uint8_t *b, uint8_t *to, size_t row) {
    const size_t second = IQ_PANEL_SECOND;
    switch (type) {
    case IQ_WEIGHT_Q8_0:
        spread(to, b, 1, 2, row);
        spread(to + IQ_PANEL_Q8_0_CODES, b + IQ_Q8_0_CODES, 16, 2, row);
        break;
    case IQ_WEIGHT_Q4_0:
        spread(to, b, 1, 2, row);
        spread(to + IQ_PANEL_Q4_0_CODES, b + IQ_Q4_0_CODES, 4, 4, row);
        break;
    case IQ_WEIGHT_Q4_1:
        spread(to, b, 1, 2, row);
        spread(to + second, b + 2, 1, 2, row);
        spread(to + IQ_PANEL_Q4_1_CODES, b + IQ_Q4_1_CODES, 4, 4, row);
        break;
    case IQ_WEIGHT_Q5_0:
        spread(to, b, 1, 2, row);
        put32(to + IQ_PANEL_Q5_0_FIFTH, row, fifth_bits(iq_load32(b + IQ_Q5_0_HIGH)));
        spread(to + IQ_PANEL_Q5_0_CODES, b + IQ_Q5_0_CODES, 4, 4, row);
        break;
    case IQ_WEIGHT_Q5_1:
        spread(to, b, 1, 2, row);
        spread(to + second, b + 2, 1, 2, row);
        put32(to + IQ_PANEL_Q5_1_FIFTH, row, fifth_bits(iq_load32(b + IQ_Q5_1_HIGH)));
        spread(to + IQ_PANEL_Q5_1_CODES, b + IQ_Q5_1_CODES, 4, 4, row);
        break;
    case IQ_WEIGHT_Q4_K:
    case IQ_WEIGHT_Q5_K:
        spread(to, b, 1, 2, row);
        spread(to + second, b + 2, 1, 2, row);
        k_scales(to + IQ_PANEL_K_SCALES, b + IQ_K_SCALES, row);
        if (type == IQ_WEIGHT_Q4_K) {
            spread(to + IQ_PANEL_Q4_K_CODES, b + IQ_Q4_K_CODES, 32, 4, row);
        } else {
            spread(to + IQ_PANEL_Q5_K_FIFTH, b + IQ_Q5_K_HIGH, 8, 4, row);
            spread(to + IQ_PANEL_Q5_K_CODES, b + IQ_Q5_K_CODES, 32, 4, row);
        }
        break;
    case IQ_WEIGHT_Q6_K:
        spread(to, b + IQ_Q6_K_SCALE, 1, 2, row);
        for (size_t group = 0; group < 16; group++)
            to[IQ_PANEL_Q6_K_SCALES + 16 * (group / 2) + 4 * (group % 2) + 8 * (row / 4) + row % 4] =
                b[IQ_Q6_K_SCALES + group];
        for (size_t group = 0; group < 16; group++) q6_k_codes(to + IQ_PANEL_Q6_K_CODES + 96 * group, b, group, row);
        break;
    default: break;
    }
}

static void panel_of(const struct iq_weight_format *format, const uint8_t *rows, size_t row_bytes, size_t count,
                     size_t columns, uint8_t *panel) {
    const size_t blocks = columns / format->block_elements;
    if (count < ROWS) memset(panel, 0, ROWS * row_bytes);
    // Block by block, so that a panel is written once from front to end.
    for (size_t k = 0; k < blocks; k++)
        for (size_t r = 0; r < count; r++)
            block(format->type, rows + r * row_bytes + k * format->block_bytes, panel + k * ROWS * format->block_bytes, r);
}

void iq_interleave_rows(const struct iq_weight_format *format, const void *rows, size_t row_bytes, size_t count,
                        size_t columns, void *panels) {
    for (size_t r = 0; r < count; r += ROWS)
        panel_of(format, (const uint8_t *)rows + r * row_bytes, row_bytes, count - r < ROWS ? count - r : ROWS, columns,
                 (uint8_t *)panels + r * row_bytes);
}

void iq_dequantize_panel_row(const struct iq_weight_format *format, const void *panel, size_t row, size_t columns,
                             float *values) {
    enum { CHUNK = 256 }; // a whole number of any format's blocks
    _Alignas(32) float rows[CHUNK * ROWS];
    const uint8_t *b = panel;
    for (size_t k = 0; k < columns; k += CHUNK, b += CHUNK / format->block_elements * ROWS * format->block_bytes) {
        const size_t n = columns - k < CHUNK ? columns - k : CHUNK;
        format->dequantize_panel(b, rows, n, ROWS);
        for (size_t c = 0; c < n; c++) values[k + c] = rows[c * ROWS + row];
    }
}
