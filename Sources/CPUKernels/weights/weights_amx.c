// Weights times many vectors on AMX tiles, as matrix_amx.h splits numbers.
//
// For IQ_SPLIT_ROWS rows and IQ_GEMM_COLUMNS columns at a time the weights are unpacked once to strips of 16 rows in the
// second-level cache; 32 vectors at a time, which were split before, then meet two strips at a time in four tiles of sums.
#include "matrix_amx.h"
#include "weights_avx2.h"

#if defined(IQ_HAS_AMX)

// Groups of one thread's share: vectors first ... first + count - 1, `first` a multiple of 16.
void iq_amx_split_vectors(const float *activations, size_t stride, size_t first, size_t count, size_t columns,
                          void *groups) {
    const size_t group_bytes = iq_amx_steps(columns) * IQ_AMX_PAIR;
    for (size_t t = first; t < first + count; t += IQ_AMX_ROWS) {
        const size_t rest = first + count - t;
        iq_amx_split_rows(activations + t * stride, stride, rest < IQ_AMX_ROWS ? rest : IQ_AMX_ROWS, columns,
                          (uint8_t *)groups + t / IQ_AMX_ROWS * group_bytes);
    }
}

void iq_amx_gemm(const struct iq_weight_format *format, const struct iq_product *p) {
    float *const strip = p->panel + IQ_SPLIT_ROWS * IQ_GEMM_COLUMNS, *const plain = strip + 16 * IQ_GEMM_COLUMNS;
    const uint8_t *const vectors = (const uint8_t *)p->activations;
    const size_t group_bytes = iq_amx_steps(p->columns) * IQ_AMX_PAIR;
    uint8_t *const strips = (uint8_t *)p->panel;
    const size_t unit = format->block_elements == 256 ? 256 : IQ_AMX_STEP;
    const size_t parts = (p->columns + IQ_GEMM_COLUMNS - 1) / IQ_GEMM_COLUMNS;
    const size_t width = ((p->columns + parts - 1) / parts + unit - 1) / unit * unit;
    iq_amx_begin();
    for (size_t row = p->row_begin; row < p->row_end; row += IQ_SPLIT_ROWS) {
        const size_t rows = p->row_end - row < IQ_SPLIT_ROWS ? p->row_end - row : IQ_SPLIT_ROWS;
        for (size_t k = 0; k < p->columns; k += width) {
            const size_t n = p->columns - k < width ? p->columns - k : width, steps = iq_amx_steps(n);
            const size_t strip_bytes = steps * IQ_AMX_PAIR;
            for (size_t s = 0; s < rows; s += 16) {
                iq_avx2_unpack_strip(format, p, row + s, rows - s < 16 ? rows - s : 16, k, n, strip, plain);
                iq_amx_split_lanes(strip, 16, n, strips + s / 16 * strip_bytes);
            }
            const uint8_t *groups = vectors + k / IQ_AMX_STEP * IQ_AMX_PAIR;
            for (size_t t = 0; t < p->count; t += 32, groups += 2 * group_bytes)
                for (size_t s = 0; s < rows; s += 32)
                    iq_amx_multiply(groups, group_bytes, p->count - t < 32 ? p->count - t : 32,
                                    strips + s / 16 * strip_bytes, strip_bytes, rows - s < 32 ? rows - s : 32, steps,
                                    p->output + t * p->output_stride + row + s, p->output_stride, p->accumulate || k > 0);
        }
    }
    iq_amx_end();
}

#endif
