// Tiles from device memory to shared memory: each warp has a slot for keys and one for values, filled by the copy engine
// (Hopper) or by the warp's own asynchronous copies. No barrier of the block is used; while a warp works on the keys of
// one chunk the values of the same and, after that, the keys of the next are on their way.
#pragma once
#include "iq_device_cache.h"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define IQ_BULK_COPIES 1
#else
#define IQ_BULK_COPIES 0
#endif

__device__ __forceinline__ uint32_t shared_address(const void *pointer) {
    return uint32_t(__cvta_generic_to_shared(pointer));
}

/// One slot: bytes in shared memory and, with the copy engine, the barrier that says they are there.
struct Slot {
    uint32_t data, barrier, parity;

    __device__ __forceinline__ void prepare(int lane) {
#if IQ_BULK_COPIES
        if (lane == 0) asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(barrier) : "memory");
#endif
    }

    /// Says how many bytes the chunk's copies have together. Copy engine: lane 0 only.
    __device__ __forceinline__ void expect(uint32_t bytes) const {
#if IQ_BULK_COPIES
        asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
#endif
    }

    /// Copies `bytes` (a multiple of 16) to the slot, from its byte `to` on. Copy engine: lane 0 only; else all lanes.
    __device__ __forceinline__ void copy(uint32_t to, uint64_t source, uint32_t bytes, int lane) const {
#if IQ_BULK_COPIES
        // Tiles are read once: they leave the L2 cache first, so that queries, partials and code stay.
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(data + to),
            "l"(source), "r"(bytes), "r"(barrier), "l"(0x12F0000000000000ull)
            : "memory");
#else
        for (uint32_t at = lane * 16; at < bytes; at += 512)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(data + to + at), "l"(source + at) : "memory");
#endif
    }

    /// Ends a chunk's copies; must be called once a chunk, also where there is none.
    __device__ __forceinline__ void commit() const {
#if !IQ_BULK_COPIES
        asm volatile("cp.async.commit_group;" ::: "memory");
#endif
    }

    /// Waits for the chunk. At that moment one younger chunk, of the other slot, may be under way.
    __device__ __forceinline__ void wait() {
#if IQ_BULK_COPIES
        asm volatile(
            "{\n.reg .pred p;\nAGAIN:\nmbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n@p bra DONE;\nbra AGAIN;\nDONE:\n}"
            ::"r"(barrier), "r"(parity)
            : "memory");
        parity ^= 1;
#else
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncwarp();
#endif
    }
};

/// Where one KV head's tiles of a sequence lie.
struct TileSource {
    uint64_t sink, recent;
    uint32_t raw_stride, page_stride;
    int sink_tiles, recent_first, ring_tiles;

    /// The keys of raw tile i; its values follow.
    __device__ __forceinline__ uint64_t raw(int i) const {
        if (i < sink_tiles) return sink + uint64_t(i) * raw_stride;
        int slot = recent_first + i - sink_tiles;
        if (slot >= ring_tiles) slot -= ring_tiles;
        return recent + uint64_t(slot) * raw_stride;
    }
};
