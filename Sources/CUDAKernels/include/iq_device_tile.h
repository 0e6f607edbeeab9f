// Where the codes, scales and zero points of a tile lie on the GPU: the order that tensor cores read them in.
//
// A device tile holds the same codes, scales and zero points as the CPU's (TileLayout), in another order; one of K and
// one of V for 32 tokens of a KV head. Compiled for the GPU and for the CPU, where copies between the two and the tests
// use it.
//
// Tensor cores multiply A (16 rows × k) by B (k × 8 columns). Codes are A; queries or weights are B.
//
//     "integer" tiles   groups along the sum (InnerQ; keys of q8 and q4): mma.m16n8k32, 8-bit A, k = 32 = one group
//     "half" tiles      float16, groups across the sum (KIVI; values of q8 and q4), and codes that choose from a table
//                       (KVQuant, TurboQuant): mma.m16n8k16, 16-bit A
//
//              rows (16)                                 k
//     K        tokens: row g + 8h of row tile t          channels
//              is token 4g + 2t + h
//     V        channels: row g + 8h of row tile m        tokens: integer tiles, in order (k = token); half tiles, k = 8h + κ
//              is channel 16m + 8h + g                   of step t is token 4κ + 2t + h
//
// lane = 4g + c (g 0…7, c 0…3). A lane of an A fragment holds four registers a; row half h = a & 1, half of k = a >> 1:
//
//     integer: byte i of register a  is row g + 8(a&1), k = 16(a>>1) + 4c + i
//     half:    half i of register a  is row g + 8(a&1), k =  8(a>>1) + 2c + i
//
// Fragments f of a tile:      K integer  f = t + 2 (channel / 32)       d/16 of them
//                             V integer  f = channel / 16               d/16
//                             K half     f = t + 2 (channel / 16)       d/8
//                             V half     f = t + 2 (channel / 16)       d/8
//
// Codes are packed so that one AND (integer) or one AND-OR (half) expands a whole register: words below.
// Bytes: 32 · d · bits / 8 of codes, then d float16 scales, then as many zero points if the format has them. Behind codes
// that choose from a table: 32 float16 norms in the order of tokens (TurboQuant), or nothing (KVQuant).
#ifndef IQ_DEVICE_TILE_H
#define IQ_DEVICE_TILE_H

#ifdef __CUDACC__
#define IQ_FN static __host__ __device__ __forceinline__
#else
#include <stdint.h>
#define IQ_FN static inline
#endif

/// How a tile is stored and multiplied.
enum iq_tile_kind {
    IQ_HALF = 0,      // float16
    IQ_INNER = 1,     // groups along the sum: integer tile
    IQ_OUTER = 2,     // groups across the sum: half tile of codes
    IQ_LOOKUP = 3,    // half tile of codes that choose from a table of levels
};

/// The place of a code: a 32-bit word of the tile, and its lowest bit. A 3-bit code may be cut in two.
struct iq_code_place {
    int word;
    int shift;
    int low_word;     // word of the lowest bit, or -1 where all bits are together; then `shift` is of the upper two bits
    int low_shift;
};

/// The place of one bit of a code.
struct iq_bit_place {
    int word;
    int shift;
};

/// Lane, fragment, register and element (byte or half) of one element.
struct iq_fragment_place {
    int lane, fragment, reg, element;
};

IQ_FN struct iq_fragment_place iq_key_fragment(int is_integer, int token, int channel) {
    struct iq_fragment_place p;
    int g = token >> 2, t = (token >> 1) & 1, h = token & 1;
    if (is_integer) {
        int k = channel & 31;
        p.fragment = t + 2 * (channel >> 5);
        p.reg = h + 2 * (k >> 4);
        p.lane = 4 * g + ((k & 15) >> 2);
        p.element = k & 3;
    } else {
        int k = channel & 15;
        p.fragment = t + 2 * (channel >> 4);
        p.reg = h + 2 * (k >> 3);
        p.lane = 4 * g + ((k & 7) >> 1);
        p.element = k & 1;
    }
    return p;
}

IQ_FN struct iq_fragment_place iq_value_fragment(int is_integer, int token, int channel) {
    struct iq_fragment_place p;
    int g = channel & 7, row_half = (channel >> 3) & 1;
    if (is_integer) {
        p.fragment = channel >> 4;
        p.reg = row_half + 2 * (token >> 4);
        p.lane = 4 * g + ((token & 15) >> 2);
        p.element = token & 3;
    } else {
        int kappa = token >> 2, t = (token >> 1) & 1, h = token & 1;
        p.fragment = t + 2 * (channel >> 4);
        p.reg = row_half + 2 * h;
        p.lane = 4 * g + (kappa >> 1);
        p.element = kappa & 1;
    }
    return p;
}

/// The word that holds word `w` of `count` words of a lane, so that a lane reads as many together as it can.
IQ_FN int iq_lane_word(int w, int count, int lane) {
    int width = count % 4 == 0 ? 4 : count % 3 == 0 ? 3 : count % 2 == 0 ? 2 : 1;
    return ((w / width) * 32 + lane) * width + w % width;
}

/// Place of one code. d: head size (64, 96, 128 or 256).
///
/// Integer tiles; a byte of a word belongs to the byte of a register.
///     2 bits   word (f/4, a): fragment f at bits 2(f%4) of each byte. Head size 96 has 6 fragments, numbered with the
///              registers as r = 6a + f: word r/4, bits 2(r%4).
///     3 bits   registers are numbered r = a·d/16 + f; eight of them (set r/8, position r%8) share words j = 0, 1, 2 of
///              the set: position 0–2 at bits 0–2 of word j = position, 3–5 at bits 3–5 of word position − 3; positions
///              6 and 7 have their upper two bits at bits 6–7 of words 0 and 1, their lowest at bit 6 and 7 of word 2.
///     4 bits   word (f/2, a): fragment f at bits 4(f%2).       8 bits   word (f, a).
/// Half tiles; a 16-bit half of a word belongs to the half of a register. Registers are numbered r = 4f + a.
///     1 bit    word r/16, bit r%16.
///     2 bits   word r/8, bits 2(r%8).
///     3 bits   sixteen registers (set r/16, position r%16) share words 3·set + j, j = 0, 1, 2: positions 5j … 5j + 4 at
///              bits 3(position%5) of word j; bit k of position 15 at bit 15 of word k: three places, see iq_code_bit.
///     4 bits   word r/4, bits 4(r%4).       8 bits   word r/2, bits 8(r%2).
IQ_FN struct iq_code_place iq_code(int is_integer, int bits, int d, struct iq_fragment_place p) {
    struct iq_code_place place;
    int f = p.fragment, a = p.reg;
    int fragments = is_integer ? d / 16 : d / 8;
    place.low_word = -1;
    place.low_shift = 0;
    if (!is_integer) {
        int r = 4 * f + a;
        if (bits == 3) {
            int w = 3 * (r >> 4) + (r & 15) / 5;        // of position 15: nowhere
            place.word = iq_lane_word(w, 3 * fragments / 4, p.lane);
            place.shift = 16 * p.element + 3 * ((r & 15) % 5);
            return place;
        }
        int per_word = 16 / bits;                       // registers of a word: 2, 4, 8 or 16
        int words = 4 * fragments / per_word;
        place.word = iq_lane_word(r / per_word, words, p.lane);
        place.shift = 16 * p.element + bits * (r % per_word);
        return place;
    }
    int base = 8 * p.element;
    if (bits == 3) {
        int sets = fragments / 2;
        int r = a * fragments + f;
        int set = r >> 3, position = r & 7;
        int width = sets % 4 == 0 ? 4 : sets;
        int first = ((set / width) * 32 + p.lane) * width + set % width;
        int stride = sets * 32;                          // words of one j
        if (position < 6) {
            place.word = (position % 3) * stride + first;
            place.shift = base + (position < 3 ? 0 : 3);
        } else {
            place.word = (position - 6) * stride + first;
            place.shift = base + 6;
            place.low_word = 2 * stride + first;
            place.low_shift = base + position;
        }
        return place;
    }
    if (bits == 2 && fragments % 4 != 0) {
        int r = a * fragments + f;
        place.word = iq_lane_word(r / 4, fragments, p.lane);
        place.shift = base + 2 * (r % 4);
        return place;
    }
    int per_word = 8 / bits;
    place.word = ((f / per_word) * 32 + p.lane) * 4 + a;
    place.shift = base + bits * (f % per_word);
    return place;
}

/// Place of bit `bit` of a code: of every code, in however many parts it is.
IQ_FN struct iq_bit_place iq_code_bit(int is_integer, int bits, int d, struct iq_fragment_place p, int bit) {
    struct iq_bit_place result;
    int r = 4 * p.fragment + p.reg;
    if (!is_integer && bits == 3 && (r & 15) == 15) {
        result.word = iq_lane_word(3 * (r >> 4) + bit, 3 * (d / 8) / 4, p.lane);
        result.shift = 16 * p.element + 15;
        return result;
    }
    struct iq_code_place place = iq_code(is_integer, bits, d, p);
    result.word = place.word;
    result.shift = place.shift + bit;
    if (place.low_word >= 0) {
        result.shift -= 1;
        if (bit == 0) {
            result.word = place.low_word;
            result.shift = place.low_shift;
        }
    }
    return result;
}

/// Index of the scale (and zero point) of a group, in float16s from the end of the codes.
///     K inner  [channel / 32][token]        K outer  [channel]
///     V inner  [channel % 8][channel / 8]   V outer  [channel / 32][token]
IQ_FN int iq_key_scale(int kind, int token, int channel) {
    return kind == IQ_INNER ? (channel >> 5) * 32 + token : channel;
}
IQ_FN int iq_value_scale(int kind, int d, int token, int channel) {
    return kind == IQ_INNER ? (channel & 7) * (d >> 3) + (channel >> 3)
                            : (channel >> 5) * 32 + token;
}

/// Index of an element in a float16 tile, in halves.
IQ_FN int iq_half_index(struct iq_fragment_place p) {
    return ((p.fragment * 32 + p.lane) * 4 + p.reg) * 2 + p.element;
}

/// Tiles of one page: 128 tokens, so that a page of one KV head's K or V is one bulk copy.
#define IQ_PAGE_TILES 4

#endif
