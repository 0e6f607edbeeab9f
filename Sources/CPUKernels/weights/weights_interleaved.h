// Panels: eight rows of quantized weights side by side, as `integers` and the gemm read them; not part of the module.
//
// A row's words of four bytes lie in the lanes of 256-bit registers, so that lanes are rows: four columns' activations are
// broadcast to all of them, and no sum crosses lanes. A panel is a run of blocks; each holds the same bytes as the eight
// rows' blocks do, in this order ("[8]" for every row, lane by lane):
//
//   Q8_0       h d[8] | 16 x (2 codes)[8]
//   Q4_0       h d[8] | 4 x (4 bytes of q)[8]
//   Q4_1       h d[8] | h m[8] | 4 x (4 bytes of q)[8]
//   Q5_0       h d[8] | u32 fifth bits[8] | 4 x (4 bytes of q)[8]
//   Q5_1       h d[8] | h m[8] | u32 fifth bits[8] | 4 x (4 bytes of q)[8]
//   Q4_K       h d[8] | h e[8] | 3 x (u32 scales)[8] | 32 x (4 bytes of q)[8]
//   Q5_K       h d[8] | h e[8] | 3 x (u32 scales)[8] | 8 x (4 bytes of fifth bits)[8] | 32 x (4 bytes of q)[8]
//   Q6_K       h d[8] | 8 x (i8 s[8] of two groups of 16) | 16 x 3 x (4 codes)[8]
//
// Fifth bits of Q5_0 and Q5_1: bit 8 j + w is column 4 w + j's, so that a shift by w brings those of a word of codes into place.
// Scales of Q4_K and Q5_K: the eight scales, then the eight minimums, six bits each, five to a word; the two top bits of the
// three words are the last minimum. Scales of Q6_K: of each pair of groups A, B: A of rows 0–3, B of 0–3, A of 4–7, B of 4–7.
// Codes of Q6_K: of a group's four words three, a byte a code; bits 6 and 7 of their bytes are the fourth's, from the lowest on.
#ifndef INNERQ_WEIGHTS_INTERLEAVED_H
#define INNERQ_WEIGHTS_INTERLEAVED_H

#include "weights.h"

// Byte offsets inside a panel's block.
enum {
    IQ_PANEL_SECOND = 16,           // minimums, or the factors of minimums
    IQ_PANEL_Q8_0_CODES = 16,
    IQ_PANEL_Q4_0_CODES = 16,
    IQ_PANEL_Q4_1_CODES = 32,
    IQ_PANEL_Q5_0_FIFTH = 16,
    IQ_PANEL_Q5_0_CODES = 48,
    IQ_PANEL_Q5_1_FIFTH = 32,
    IQ_PANEL_Q5_1_CODES = 64,
    IQ_PANEL_K_SCALES = 32,
    IQ_PANEL_Q4_K_CODES = 128,
    IQ_PANEL_Q5_K_FIFTH = 128,
    IQ_PANEL_Q5_K_CODES = 384,
    IQ_PANEL_Q6_K_SCALES = 16,
    IQ_PANEL_Q6_K_CODES = 144,
};

#endif
