// Packed codes to the registers of an A fragment: iq_device_tile.h draws the words.
#pragma once
#include "iq_device_tile.h"
#include "ptx.cuh"

/// Codes of an integer tile. Register (f, a) comes out multiplied by `factor(f, row half)`, a power of two, since a
/// field need not be shifted down when a float32 constant can undo it.
template <int Bits, int D>
struct IntegerCodes {
    static constexpr int fragments = D / 16;
    static constexpr int words = fragments * 4 * Bits / 8;
    /// Head size 96 has fragments whose two halves of k lie in different fields; those are shifted.
    static constexpr bool shifts = fragments % 4 != 0 && Bits < 4;
    uint32_t w[words];

    __host__ __device__ static constexpr int position(int f, int a) {
        return Bits == 3 ? (a * fragments + f) % 8
            : Bits == 2  ? (shifts ? (a * fragments + f) % 4 : f % 4)
            : Bits == 4  ? f % 2
                         : 0;
    }
    __host__ __device__ static constexpr int factor(int f, int row_half) {
        if (shifts) return 1;
        int p = position(f, row_half);
        return Bits == 3 ? (p < 3 ? 1 : p < 6 ? 8 : 32) : 1 << (Bits * p);
    }

    __device__ __forceinline__ void load(uint32_t tile, int lane) {
        if constexpr (Bits == 3) {
            constexpr int sets = fragments / 2, width = sets % 4 == 0 ? 4 : sets;
#pragma unroll
            for (int v = 0; v < words / width; v++) {
                uint32_t x[width];
                load_shared<width>(x, tile + (v * 32 + lane) * width * 4);
#pragma unroll
                for (int i = 0; i < width; i++) w[v * width + i] = x[i];
            }
        } else {
            constexpr int width = shifts ? (words % 4 == 0 ? 4 : 3) : 4;
#pragma unroll
            for (int v = 0; v < words / width; v++) {
                uint32_t x[width];
                load_shared<width>(x, tile + (v * 32 + lane) * width * 4);
#pragma unroll
                for (int i = 0; i < width; i++) w[v * width + i] = x[i];
            }
        }
    }

    __device__ __forceinline__ uint32_t reg(int f, int a) const {
        if constexpr (Bits == 3) {
            constexpr int sets = fragments / 2;
            const int r = a * fragments + f, set = r >> 3, p = r & 7;
            // Word j of a set: [j][set / width][…][set % width], and width divides sets, so j · sets + set.
            if (p < 3) return w[p * sets + set] & 0x07070707u;
            if (p < 6) {
                if constexpr (shifts) return (w[(p - 3) * sets + set] >> 3) & 0x07070707u;
                return w[(p - 3) * sets + set] & 0x38383838u;
            }
            const uint32_t x = (w[(p - 6) * sets + set] & 0xC0C0C0C0u)
                | ((w[2 * sets + set] >> (p - 5)) & 0x20202020u);
            if constexpr (shifts) return x >> 5;
            return x;
        } else if constexpr (Bits == 2 && shifts) {
            const int r = a * fragments + f;
            return (w[r / 4] >> (2 * (r % 4))) & 0x03030303u;
        } else if constexpr (Bits == 8) {
            return w[4 * f + a];
        } else {
            constexpr int per = 8 / Bits;
            const uint32_t mask = ((1u << Bits) - 1) * 0x01010101u;
            return w[4 * (f / per) + a] & (mask << (Bits * (f % per)));
        }
    }

    __device__ __forceinline__ void fragment(int f, uint32_t (&a)[4]) const {
#pragma unroll
        for (int i = 0; i < 4; i++) a[i] = reg(f, i);
    }
};

/// float16 bits of a small integer.
__host__ __device__ constexpr uint32_t half_bits(int x) {
    if (x == 0) return 0;
    uint32_t sign = x < 0 ? 0x8000u : 0;
    int m = x < 0 ? -x : x, e = 0;
    while (m >> (e + 1)) e++;
    return sign | uint32_t(15 + e) << 10 | ((uint32_t(m) << 10 >> e) & 0x3FF);
}

/// Codes of a half tile as float16 integers less `Bias`; 16 bits: the halves themselves. Fragments are taken in rising
/// order, since one 16-byte read holds the codes of several.
template <int Bits, int D, int Bias>
struct HalfCodes {
    static constexpr int fragments = D / 8;
    static constexpr int words = fragments * 4 * Bits / 16;
    static constexpr int width = words % 4 == 0 ? 4 : 3;
    static constexpr int per_word = 16 / Bits;
    uint32_t x[width];

    /// 1024 + code · 4^p or 16^p is a float16 with the code in its mantissa; one fused multiply-add makes it code − bias.
    __device__ __forceinline__ static uint32_t expand(uint32_t word, int r) {
        constexpr int in_byte = 8 / Bits;
        const int down = Bits * (r % in_byte);
        const uint32_t mask = ((1u << Bits) - 1) * 0x00010001u << down;
        const uint32_t magic = ((r >= in_byte ? word >> 8 : word) & mask) | 0x64006400u;
        // 2^−down, and −1024 of it less the bias; both are exact.
        const uint32_t unit = uint32_t(15 - down) << 10;
        return fma_halves(
            magic, unit * 0x00010001u, half_bits(-(1024 >> down) - Bias) * 0x00010001u);
    }

    /// The registers of fragment f.
    __device__ __forceinline__ void fragment(uint32_t tile, int f, int lane, uint32_t (&a)[4]) {
        if constexpr (Bits == 16) {
            load_shared<4>(a, tile + (f * 32 + lane) * 16);
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int r = 4 * f + i, w = r / per_word;
                if (r % per_word == 0 && w % width == 0)
                    load_shared<width>(x, tile + ((w / width) * 32 + lane) * width * 4);
                a[i] = expand(x[w % width], r % per_word);
            }
        }
    }
};
