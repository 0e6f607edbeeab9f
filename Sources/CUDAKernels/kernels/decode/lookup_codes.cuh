// Codes that choose from a table of levels (IQ_LOOKUP) to float16 registers of A fragments: iq_device_tile.h draws the
// words.
//
//     1 bit    a multiply-add between the two levels
//     2 bits   the four levels' low bytes are one register and their high bytes another; a byte permutation chooses from them
//     3, 4     a table in shared memory has the levels of each pair of codes; copies of it lie in different banks
#pragma once
#include "decode_shape.cuh"
#include "ptx.cuh"

/// The levels of one tensor, as a lane uses them.
template <int Bits>
struct LookupLevels {
    /// 1 bit: lower level and difference. 2 bits: low bytes, high bytes. 3 and 4 bits: the lane's place in a row of the table,
    /// and the address of the table, which is the same in all lanes.
    uint32_t first, second;

    static constexpr int copies = IQ_TABLE_COPIES;
    /// Bytes between the levels of one pair of codes and the next: a power of two.
    static constexpr int row = shape::table_row;

    /// What a thread writes of the table, if there is one.
    struct Share {
        static constexpr int pairs = Bits < 3 ? 0 : 1 << 2 * Bits, threads = IQ_WARPS * 32;
        static constexpr int each = (pairs + threads - 1) / threads;
        float lower[each > 0 ? each : 1], upper[each > 0 ? each : 1];

        /// `levels` has 2^Bits.
        __device__ __forceinline__ void request(const float *levels) {
#pragma unroll
            for (int i = 0; i < each; i++) {
                const int pair = i * threads + threadIdx.x;
                if (pairs % threads != 0 && pair >= pairs) break;
                lower[i] = levels[pair & ((1 << Bits) - 1)];
                upper[i] = levels[pair >> Bits];
            }
        }
        __device__ __forceinline__ void store(uint32_t table) const {
#pragma unroll
            for (int i = 0; i < each; i++) {
                const int pair = i * threads + threadIdx.x;
                if (pairs % threads != 0 && pair >= pairs) break;
                const uint32_t both = pack_halves(lower[i], upper[i]), four[4] = {both, both, both, both};
                const uint32_t to = table + pair * row;
                if constexpr (copies < 4) {
#pragma unroll
                    for (int k = 0; k < copies; k++) store_shared(to + 4 * k, both);
                } else {
                    // Lanes begin at different places, so that they meet in no bank.
#pragma unroll
                    for (int k = 0; k < copies / 4; k++) store_shared(to + (k + threadIdx.x) % (copies / 4) * 16, four);
                }
            }
        }
    };

    __device__ __forceinline__ void prepare(const float *levels, uint32_t table, int lane) {
        if constexpr (Bits == 1) {
            first = pack_halves(levels[0], levels[0]);
            second = pack_halves(levels[1] - levels[0], levels[1] - levels[0]);
        } else if constexpr (Bits == 2) {
            const uint32_t low = pack_halves(levels[0], levels[1]), high = pack_halves(levels[2], levels[3]);
            first = permute(low, high, 0x6420);
            second = permute(low, high, 0x7531);
        } else {
            first = lane % copies * 4;
            second = table;
        }
    }

    /// The levels of the pair of codes that lies at bits `Shift` … of a word.
    template <int Shift>
    __device__ __forceinline__ uint32_t pair(uint32_t word) const {
        if constexpr (Bits == 4 && row == 256) {
            // One instruction moves the byte of a pair up by eight bits and sets the lane's place.
            return load(permute(word, first, 0x5504 | Shift / 8 << 4));
        } else {
            constexpr int step = row == 4 ? 2 : row == 8 ? 3 : row == 16 ? 4 : row == 32 ? 5 : row == 64 ? 6 : row == 128 ? 7 : 8;
            constexpr uint32_t mask = ((1 << 2 * Bits) - 1) << step;
            return load(((Shift >= step ? word >> (Shift >= step ? Shift - step : 0)
                                        : word << (Shift < step ? step - Shift : 0)) & mask) | first);
        }
    }
    /// Of two codes in the lowest bits of the halves.
    __device__ __forceinline__ uint32_t halves(uint32_t codes) const {
        return load((codes | codes >> (16 - Bits)) % (1 << 2 * Bits) * row | first);
    }

private:
    __device__ __forceinline__ uint32_t load(uint32_t at) const {
        uint32_t levels[1];
        load_shared<1>(levels, second + at);
        return levels[0];
    }
};

/// The codes of a tile, in registers. Unit u is fragments 4u … 4u + 3: two steps of 16 channels.
template <int Bits>
struct LookupCodes {
    static constexpr int words = shape::d * Bits / 32;
    static constexpr int width = words % 4 == 0 ? 4 : words % 3 == 0 ? 3 : words % 2 == 0 ? 2 : 1;
    uint32_t w[words];

    __device__ __forceinline__ void load(uint32_t tile, int lane) {
#pragma unroll
        for (int v = 0; v < words / width; v++) {
            uint32_t x[width];
            load_shared<width>(x, tile + (v * 32 + lane) * width * 4);
#pragma unroll
            for (int i = 0; i < width; i++) w[v * width + i] = x[i];
        }
    }

    /// Levels of a unit's registers: r = 4 · fragment + a.
    __device__ __forceinline__ void expand(const LookupLevels<Bits> &levels, int unit, uint32_t *r) const {
        if constexpr (Bits == 4) {
#pragma unroll
            for (int f = 0; f < 4; f++) {
                const uint32_t word = w[4 * unit + f];
                join(levels.template pair<0>(word), levels.template pair<16>(word), r + 4 * f);
                join(levels.template pair<8>(word), levels.template pair<24>(word), r + 4 * f + 2);
            }
        } else if constexpr (Bits == 3) {
#pragma unroll
            for (int j = 0; j < 3; j++) {
                const uint32_t word = w[3 * unit + j];
                join(levels.template pair<0>(word), levels.template pair<16>(word), r + 5 * j);
                join(levels.template pair<6>(word), levels.template pair<22>(word), r + 5 * j + 2);
                r[5 * j + 4] = levels.halves(word >> 12 & 0x00070007u);
            }
            const uint32_t *set = w + 3 * unit;
            r[15] = levels.halves(
                (set[0] >> 15 & 0x00010001u) | (set[1] >> 14 & 0x00020002u) | (set[2] >> 13 & 0x00040004u));
        } else if constexpr (Bits == 2) {
#pragma unroll
            for (int j = 0; j < 2; j++) {
                // Bytes: registers 0 … 3 of both halves, then 4 … 7.
                const uint32_t word = permute(w[2 * unit + j], 0, 0x3120);
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    // Selectors, four bits each: code, and code + 4 for the high byte.
                    const uint32_t select = (word >> 2 * i & 0x03030303u) * 0x11u + 0x40404040u;
                    r[8 * j + i] = permute_by(levels.first, levels.second, select);
                    r[8 * j + 4 + i] = permute_by(levels.first, levels.second, select >> 16);
                }
            }
        } else {
#pragma unroll
            for (int i = 0; i < 16; i++) {
                const int down = i % 8;
                const uint32_t bit = ((i < 8 ? w[unit] : w[unit] >> 8) & 0x00010001u << down) | 0x64006400u;
                // 1024 + 2^down · code, less 1024 and made smaller.
                const uint32_t code = fma_halves(
                    bit, uint32_t(15 - down << 10) * 0x00010001u, half_bits(-(1024 >> down)) * 0x00010001u);
                r[i] = fma_halves(code, levels.second, levels.first);
            }
        }
    }

private:
    /// Levels of two registers' lower halves, and of their upper ones, to the registers.
    __device__ __forceinline__ static void join(uint32_t lower, uint32_t upper, uint32_t *r) {
        r[0] = permute(lower, upper, 0x5410);
        r[1] = permute(lower, upper, 0x7632);
    }
};
