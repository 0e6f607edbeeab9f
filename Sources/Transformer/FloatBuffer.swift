/// Uninitialized, aligned float32 memory with one owner, grown by replacing it.
struct FloatBuffer: ~Copyable {
    private(set) var pointer: UnsafeMutablePointer<Float>
    private(set) var count: Int

    init(count: Int = 0) {
        self.count = count
        pointer = Self.allocate(count)
    }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }

    /// Makes room for `needed` floats; what was inside is lost if it grows.
    mutating func reserve(_ needed: Int) {
        guard needed > count else { return }
        resize(needed)
    }

    /// Gives back memory beyond `kept` floats; what was inside is lost if it does.
    mutating func shrink(to kept: Int) {
        guard count > kept else { return }
        resize(kept)
    }

    private mutating func resize(_ newCount: Int) {
        UnsafeMutableRawPointer(pointer).deallocate()
        pointer = Self.allocate(newCount)
        count = newCount
    }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
        // 64 bytes: a cache line and an AVX-512 vector.
        UnsafeMutableRawPointer.allocate(
            byteCount: max(count, 1) * MemoryLayout<Float>.stride, alignment: 64
        ).bindMemory(to: Float.self, capacity: max(count, 1))
    }
}
