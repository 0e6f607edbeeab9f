// Codes of a tile: read one by one, and words composed from codes that were staged a byte each.
#ifndef IQ_PACK_H
#define IQ_PACK_H

#include "iq_device_cache.h"
#include "iq_device_tile.h"

/// A code, read from the words of a tile.
IQ_FN uint32_t iq_read_code(const uint32_t *words, int is_integer, int bits, int d, struct iq_fragment_place p) {
    struct iq_code_place place = iq_code(is_integer, bits, d, p);
    if (!is_integer && bits == 3 && ((4 * p.fragment + p.reg) & 15) == 15) {
        uint32_t code = 0;
        for (int bit = 0; bit < 3; bit++) {
            struct iq_bit_place at = iq_code_bit(is_integer, bits, d, p, bit);
            code |= (words[at.word] >> at.shift & 1) << bit;
        }
        return code;
    }
    if (place.low_word >= 0)
        return (words[place.word] >> place.shift & 3) << 1 | (words[place.low_word] >> place.low_shift & 1);
    return words[place.word] >> place.shift & ((1u << bits) - 1);
}

/// Consecutive words of a lane: word = (outer · 32 + lane) · width + rest.
IQ_FN int iq_word_width(int is_integer, int bits, int d) {
    int fragments = is_integer ? d / 16 : d / 8;
    int count = is_integer ? fragments * bits / 2 : fragments * bits / 4;
    if (is_integer && bits == 3) count = fragments / 2;
    if (is_integer && bits != 3 && !(bits == 2 && fragments % 4 != 0)) return 4;
    return count % 4 == 0 ? 4 : count % 3 == 0 ? 3 : count % 2 == 0 ? 2 : 1;
}

/// One word of a tile of codes, composed from staged codes: the inverse of iq_code.
/// - staged: one byte a code. Integer tiles: 32-bit registers [fragment][lane][a]; half tiles: 16-bit ones.
///   Only `lanes` lanes from `first_lane` on are there.
IQ_FN uint32_t iq_packed_word(
    int is_integer, int bits, int d, int word, const void *staged, int first_lane, int lanes
) {
    int width = iq_word_width(is_integer, bits, d);
    int lane = word / width % 32;
    int w = word / (32 * width) * width + word % width;      // number of the word in its lane
    int fragments = is_integer ? d / 16 : d / 8;
    int local = lane - first_lane;
    uint32_t result = 0;
    if (!is_integer) {
        const uint16_t *registers = (const uint16_t *)staged;
        if (bits == 3) {
            int set = w / 3, j = w % 3;
#pragma unroll
            for (int i = 0; i < 6; i++) {
                // Positions 5j … 5j + 4 whole, and a bit of position 15.
                int r = 16 * set + (i < 5 ? 5 * j + i : 15);
                uint32_t pair = registers[((r >> 2) * lanes + local) * 4 + (r & 3)];
                pair = (pair & 0xFF) | (pair >> 8) << 16;
                result |= i < 5 ? pair << (3 * i) : (pair >> j & 0x00010001u) << 15;
            }
            return result;
        }
        int per_word = 16 / bits;
#pragma unroll
        for (int i = 0; i < per_word; i++) {
            int r = w * per_word + i;
            uint32_t pair = registers[((r >> 2) * lanes + local) * 4 + (r & 3)];
            result |= ((pair & 0xFF) | (pair >> 8) << 16) << (bits * i);
        }
        return result;
    }
    const uint32_t *registers = (const uint32_t *)staged;
    if (bits == 3) {
        int sets = fragments / 2;
        int j = w / sets, set = w % sets;
#pragma unroll
        for (int part = 0; part < 4; part++) {
            // Positions j and j + 3 whole, then the bits that positions 6 and 7 have here.
            if (j < 2 && part == 3) break;
            int position = part < 2 ? j + 3 * part : j < 2 ? 6 + j : 4 + part;
            int r = set * 8 + position;
            int a = r / fragments, f = r % fragments;
            uint32_t codes = registers[(f * lanes + local) * 4 + a];
            if (part < 2) result |= codes << (3 * part);
            else if (j < 2) result |= (codes >> 1 & 0x03030303u) << 6;
            else result |= (codes & 0x01010101u) << position;
        }
        return result;
    }
    int per_word = 8 / bits;
    int is_numbered = bits == 2 && fragments % 4 != 0;
#pragma unroll
    for (int i = 0; i < per_word; i++) {
        int r = w * per_word + i;
        int a = is_numbered ? r / fragments : w % 4;
        int f = is_numbered ? r % fragments : w / 4 * per_word + i;
        result |= registers[(f * lanes + local) * 4 + a] << (bits * i);
    }
    return result;
}

#endif
