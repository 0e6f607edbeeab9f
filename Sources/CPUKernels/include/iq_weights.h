// Weight matrices in GGML block formats: decoding a row, and products with float32 activations.
//
// `gemv` and `gemm` do not round activations: a product is the float32 sum of exact weights times the given
// activations, so results differ from a float64 reference only by the order of float32 additions. `integers` rounds
// them to 16 bits, and sums exactly.
//
// A matrix is `rows` x `columns` (outputs x inputs), each row a run of blocks, rows one after the other.
// One block, little endian (n weights in b bytes; h is a float16):
//
//   type  n    b    layout                                                  weight
//   F32   1    4    value
//   F16   1    2    value
//   BF16  1    2    upper half of a float32
//   Q8_0  32   34   h d | i8 q[32]                                          d q
//   Q4_0  32   18   h d | u8 q[16]                                          d (q - 8)
//   Q4_1  32   20   h d | h m | u8 q[16]                                    d q + m
//   Q5_0  32   22   h d | u32 fifth bits | u8 q[16]                         d (q - 16)
//   Q5_1  32   24   h d | h m | u32 fifth bits | u8 q[16]                   d q + m
//   Q4_K  256  144  h d | h e | u8 s[12] | u8 q[128]                        d s q - e m
//   Q5_K  256  176  h d | h e | u8 s[12] | u8 fifth bits[32] | u8 q[128]    d s q - e m
//   Q6_K  256  210  u8 low four bits[128] | u8 upper two bits[64] | i8 s[16] | h d   d s (q - 32)
//
// In the 32-blocks byte j of q holds weight j in its low and weight j + 16 in its high four bits; in
// Q4_K and Q5_K byte 32 g + l holds weight 64 g + l and weight 64 g + 32 + l.
#ifndef INNERQ_WEIGHTS_H
#define INNERQ_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// GGML's numbers, as they stand in GGUF files.
enum iq_weight_type {
    IQ_WEIGHT_F32 = 0,
    IQ_WEIGHT_F16 = 1,
    IQ_WEIGHT_Q4_0 = 2,
    IQ_WEIGHT_Q4_1 = 3,
    IQ_WEIGHT_Q5_0 = 6,
    IQ_WEIGHT_Q5_1 = 7,
    IQ_WEIGHT_Q8_0 = 8,
    IQ_WEIGHT_Q4_K = 12,
    IQ_WEIGHT_Q5_K = 13,
    IQ_WEIGHT_Q6_K = 14,
    IQ_WEIGHT_BF16 = 30,
};

// The order in which a gemv wants its activations; `prepare` brings them there, once per vector.
//
//   PLAIN    as they are.
//   NIBBLES  for 4-bit blocks of 32: two blocks A and B side by side in one 256-bit register, their 32
//            bytes read as eight 32-bit lanes of eight nibbles. For nibble j = 0 ... 7 one vector of
//            eight activations: lane i < 4 is column 4 i + j / 2 + 16 (j % 2) of A, lanes 4 ... 7 the same of B,
//            times 16^-j (1 for j = 7): nibble j is then masked where it lies, converted and multiplied,
//            without a shift. Then per block the pair (0, sum of its activations).
//            A and B are blocks 0, 2 and 1, 3 of a group of four; in a shorter last group neighbours.
//   BYTES    for blocks whose weights are unpacked to bytes: per 32 columns four vectors, lane i of
//            vector j is column 4 i + j, times 256^-j. Then the sums of 32 activations and the sums of 16.
//   BLOCKS, WORDS, SUPER
//            rounded to integers of 16 bits, with a scale for each 32 (SUPER: 256) of them; a variant's own orders.
enum iq_activation_layout {
    IQ_ACTIVATIONS_PLAIN = 0,
    IQ_ACTIVATIONS_NIBBLES = 1,
    IQ_ACTIVATIONS_BYTES = 2,
    IQ_ACTIVATIONS_BLOCKS = 3,
    IQ_ACTIVATIONS_WORDS = 4,
    IQ_ACTIVATIONS_SUPER = 5,
    IQ_ACTIVATION_LAYOUTS = 6,
};

// Floats that a prepared vector of `columns` activations takes at most, in any layout.
static inline size_t iq_prepared_floats(size_t columns) {
    size_t padded = (columns + 127) / 128 * 128;
    return padded + padded / 8;
}

// One product of rows [row_begin, row_end) with `count` activation vectors:
// output[t * output_stride + r] = (accumulate ? itself : 0) + sum over k of W[r][k] x[t][k].
struct iq_product {
    const void *weights;        // row 0, or panel 0 of interleaved rows
    size_t row_bytes;
    size_t columns;             // a multiple of the format's block
    size_t row_begin, row_end;  // of panels: begins with one, ends with one or with the matrix
    const float *activations;   // vector 0: prepared for gemv, plain for gemm, split for gemm_split
    size_t activation_stride;   // floats from one vector to the next
    size_t count;
    float *output;              // of row 0 and vector 0
    size_t output_stride;       // floats from one vector to the next
    int accumulate;
    int is_interleaved;         // gemm and gemm_split only: weights are panels
    float *panel;               // gemm and gemm_split only: IQ_GEMM_PANEL_FLOATS floats of this thread, 64-byte aligned
};

struct iq_weight_format {
    uint32_t type;              // enum iq_weight_type
    uint32_t layout;            // enum iq_activation_layout, for gemv
    uint32_t block_elements;
    uint32_t block_bytes;
    const char *name;
    // `count` weights (whole blocks) to float32, rounded as (scale * code) + minimum.
    void (*dequantize)(const void *blocks, float *values, size_t count);
    // Reads each row once, for few vectors.
    void (*gemv)(const struct iq_weight_format *self, const struct iq_product *product);
    // The same of interleaved rows, with activations rounded to integers of 16 bits, in `integer_layout`; NULL where there
    // is none.
    void (*integers)(const struct iq_weight_format *self, const struct iq_product *product);
    // `columns` columns (whole blocks) of a panel to float32, the same bits as `dequantize`: column c of row r goes to
    // values[c · step + r]. NULL where `integers` is.
    void (*dequantize_panel)(const void *panel, float *values, size_t columns, size_t step);
    uint32_t integer_layout;
};

// Rows side by side in a panel.
enum { IQ_PANEL_ROWS = 8 };

// Interleaves `count` rows to panels of IQ_PANEL_ROWS · row_bytes bytes, one after the other, for formats that have
// `integers`. Rows that the last panel lacks become zeros.
void iq_interleave_rows(const struct iq_weight_format *format, const void *rows, size_t row_bytes, size_t count,
                        size_t columns, void *panels);

// One row of a panel to float32, the same bits as `dequantize` of the row that it came from.
void iq_dequantize_panel_row(const struct iq_weight_format *format, const void *panel, size_t row, size_t columns,
                             float *values);

enum {
    IQ_GEMM_ROWS = 48,      // rows that one gemm call should span so that its panel stays in the second-level cache
    IQ_GEMM_COLUMNS = 256,  // columns that a panel spans at once, and that are summed in registers
    IQ_SPLIT_ROWS = 192,    // the same of gemm_split
    IQ_GEMM_PANEL_FLOATS = IQ_SPLIT_ROWS * IQ_GEMM_COLUMNS + 2 * 16 * IQ_GEMM_COLUMNS,
    IQ_WEIGHT_FORMATS = 11,
};

struct iq_weight_kernels {
    struct iq_weight_format formats[IQ_WEIGHT_FORMATS];
    // Brings one vector into a layout; `prepared` has iq_prepared_floats(columns) floats, 32-byte aligned.
    void (*prepare)(uint32_t layout, const float *activations, size_t columns, float *prepared);
    // Unpacks a panel of rows once and multiplies it with many vectors.
    void (*gemm)(const struct iq_weight_format *format, const struct iq_product *product);
    // The same on a matrix unit: each number as a sum of two bfloat16, a product within 2^-15 of itself. NULL where there is
    // none. Its activations are what `split` made of them: vectors [first, first + count) of `activations`, first and,
    // but for the last ones, count a multiple of 16. `groups` has iq_split_bytes(all vectors, columns), 64-byte aligned.
    void (*split)(const float *activations, size_t stride, size_t first, size_t count, size_t columns, void *groups);
    void (*gemm_split)(const struct iq_weight_format *format, const struct iq_product *product);
};

static inline size_t iq_split_bytes(size_t count, size_t columns) {
    return (count + 15) / 16 * 16 * ((columns + 31) / 32 * 32) * 4;
}

// The format of a GGML type number, or NULL.
const struct iq_weight_format *iq_weight_format(const struct iq_weight_kernels *kernels, uint32_t type);

extern const struct iq_weight_kernels iq_weights_portable;
#if defined(__x86_64__)
extern const struct iq_weight_kernels iq_weights_avx2;
extern const struct iq_weight_kernels iq_weights_avx512;
#if defined(__linux__)
// The same with AMX for many vectors.
extern const struct iq_weight_kernels iq_weights_amx;
#endif
#endif

#ifdef __cplusplus
}
#endif

#endif
