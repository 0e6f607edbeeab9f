/// A small weight (norm or bias) as float32 at a fixed, aligned address.
final class WeightVector: Sendable {
    let count: Int
    // Written once in `init`.
    nonisolated(unsafe) private let storage: UnsafeMutablePointer<Float>

    var pointer: UnsafePointer<Float> { UnsafePointer(storage) }

    init(_ values: [Float]) {
        count = values.count
        storage = UnsafeMutableRawPointer.allocate(
            byteCount: max(values.count, 1) * MemoryLayout<Float>.stride, alignment: 64
        ).bindMemory(to: Float.self, capacity: max(values.count, 1))
        for (index, value) in values.enumerated() { (storage + index).initialize(to: value) }
    }

    deinit { UnsafeMutableRawPointer(storage).deallocate() }
}
