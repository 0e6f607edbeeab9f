// The tables of the variants for x86: AVX2's, with AVX-512's products, and with AMX's many vectors.
#include "matrix_amx.h"
#include "weights_avx2.h"

#if defined(__x86_64__)

static void prepare(uint32_t layout, const float *activations, size_t columns, float *prepared) {
    switch (layout) {
        case IQ_ACTIVATIONS_NIBBLES: iq_avx2_prepare_nibbles(activations, columns, prepared); break;
        case IQ_ACTIVATIONS_BYTES: iq_avx2_prepare_bytes(activations, columns, prepared); break;
        case IQ_ACTIVATIONS_BLOCKS: iq_avx2_prepare_blocks(activations, columns, prepared); break;
        case IQ_ACTIVATIONS_WORDS: iq_avx2_prepare_words(activations, columns, prepared); break;
        case IQ_ACTIVATIONS_SUPER: iq_avx2_prepare_super(activations, columns, prepared); break;
        default: memcpy(prepared, activations, 4 * columns); break;
    }
}

#define FORMAT(upper, lower, layout, elements, bytes) \
    {IQ_WEIGHT_##upper, IQ_ACTIVATIONS_##layout, elements, bytes, #upper, iq_avx2_decode_##lower, iq_avx2_gemv_##lower, \
     NULL, NULL, IQ_ACTIVATIONS_PLAIN}

#define INTEGERS(isa, upper, lower, layout, integer_layout, elements, bytes)                                         \
    {IQ_WEIGHT_##upper, IQ_ACTIVATIONS_##layout, elements, bytes, #upper, iq_avx2_decode_##lower, iq_avx2_gemv_##lower, \
     iq_##isa##_integers_##lower, iq_avx2_panel_##lower, IQ_ACTIVATIONS_##integer_layout}

#define MEMBERS(isa)                                            \
    .formats = {                                                \
        FORMAT(F32, f32, PLAIN, 1, 4),                          \
        FORMAT(F16, f16, PLAIN, 1, 2),                          \
        FORMAT(BF16, bf16, PLAIN, 1, 2),                        \
        INTEGERS(isa, Q8_0, q8_0, PLAIN, WORDS, 32, 34),    \
        INTEGERS(isa, Q4_0, q4_0, NIBBLES, BLOCKS, 32, 18), \
        INTEGERS(isa, Q4_1, q4_1, NIBBLES, BLOCKS, 32, 20), \
        INTEGERS(isa, Q5_0, q5_0, BYTES, BLOCKS, 32, 22),   \
        INTEGERS(isa, Q5_1, q5_1, BYTES, BLOCKS, 32, 24),   \
        INTEGERS(isa, Q4_K, q4_k, BYTES, SUPER, 256, 144),  \
        INTEGERS(isa, Q5_K, q5_k, BYTES, SUPER, 256, 176),  \
        INTEGERS(isa, Q6_K, q6_k, BYTES, SUPER, 256, 210),  \
    },                                                          \
    .prepare = prepare, .gemm = iq_##isa##_gemm

const struct iq_weight_kernels iq_weights_avx2 = {MEMBERS(avx2)};
const struct iq_weight_kernels iq_weights_avx512 = {MEMBERS(avx512)};
#if defined(IQ_HAS_AMX)
const struct iq_weight_kernels iq_weights_amx = {MEMBERS(avx512), .split = iq_amx_split_vectors, .gemm_split = iq_amx_gemm};
#endif

#endif
