import CPUKernels
import Foundation
import Transformer

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A seeded generator (SplitMix64), so that every run sees the same numbers.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Roughly normal, variance 1.
    mutating func normal() -> Float {
        var sum: Float = 0
        for _ in 0..<12 { sum += Float.random(in: 0..<1, using: &self) }
        return sum - 6
    }
}

/// Memory whose last byte is the last of a page that is followed by a forbidden one: a read past the end traps.
final class GuardedBytes: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    private let mapping: UnsafeMutableRawPointer
    private let mappedCount: Int

    init(_ contents: [UInt8]) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let pages = (contents.count + page - 1) / page
        mappedCount = (pages + 1) * page
        mapping = mmap(
            nil, mappedCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        precondition(mapping != MAP_FAILED)
        bytes = UnsafeMutableRawBufferPointer(
            start: mapping + (pages * page - contents.count), count: contents.count)
        bytes.copyBytes(from: contents)
        mprotect(mapping + pages * page, page, PROT_NONE)
    }

    deinit { munmap(mapping, mappedCount) }
}

/// Floats at a 64-byte boundary.
final class AlignedFloats: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Float>
    let count: Int

    init(count: Int, value: Float = 0) {
        self.count = count
        pointer = UnsafeMutableRawPointer.allocate(byteCount: max(4, 4 * count), alignment: 64)
            .bindMemory(to: Float.self, capacity: count)
        pointer.initialize(repeating: value, count: count)
    }

    convenience init(_ values: [Float]) {
        self.init(count: values.count)
        for (i, value) in values.enumerated() { pointer[i] = value }
    }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }

    subscript(_ i: Int) -> Float { pointer[i] }
    var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}

/// Random blocks with finite scales: every code occurs, scales are small and of both signs.
func randomBlocks(
    _ type: WeightType, rows: Int, columns: Int, using generator: inout SeededGenerator
) -> [UInt8] {
    let blocks = rows * columns / type.blockElements
    var bytes: [UInt8] = []
    bytes.reserveCapacity(blocks * type.blockBytes)
    for _ in 0..<blocks {
        var block = (0..<type.blockBytes).map { _ in
            UInt8.random(in: .min ... .max, using: &generator)
        }
        func put(_ value: UInt32, _ count: Int, at offset: Int) {
            for i in 0..<count { block[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * i)) }
        }
        func putHalf(_ value: Float, at offset: Int) {
            var value = value
            var bits: UInt16 = 0
            iq_float_to_half(&value, &bits, 1)
            put(UInt32(bits), 2, at: offset)
        }
        let small = 0.02 * generator.normal()
        switch type {
        case .f32: put(small.bitPattern, 4, at: 0)
        case .f16: putHalf(small, at: 0)
        case .bf16: put(small.bitPattern >> 16, 2, at: 0)
        case .q8_0, .q4_0, .q5_0: putHalf(small, at: 0)
        case .q4_1, .q5_1:
            putHalf(small, at: 0)
            putHalf(-8 * small, at: 2)
        case .q4_K, .q5_K:
            putHalf(small.magnitude, at: 0)
            putHalf(8 * small.magnitude, at: 2)
        case .q6_K: putHalf(small, at: 208)
        }
        bytes.append(contentsOf: block)
    }
    return bytes
}

/// The variants that this processor can execute.
let variants: [String] = (0..<iq_kernels_count()).map {
    String(cString: iq_kernels_at($0).pointee.name)
}

func weightKernels(_ variant: String) -> UnsafePointer<iq_weight_kernels> {
    iq_kernels_named(variant).pointee.weights
}
