/// A table that never changes, at an address that never moves: read in hot loops without bounds
/// checks or reference counting. Whoever indexes it has checked the index.
final class ConstantTable<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    let pointer: UnsafePointer<Element>
    let count: Int

    init(_ elements: [Element]) {
        let copy = UnsafeMutablePointer<Element>.allocate(capacity: max(elements.count, 1))
        for (index, element) in elements.enumerated() { copy[index] = element }
        pointer = UnsafePointer(copy)
        count = elements.count
    }

    deinit { pointer.deallocate() }
}

/// A buffer that grows by doubling, for one owner.
struct GrowingBuffer<Element: BitwiseCopyable>: ~Copyable {
    private(set) var pointer: UnsafeMutablePointer<Element>
    private(set) var count: Int
    private var capacity: Int

    init(capacity: Int) {
        let capacity = max(capacity, 16)
        pointer = .allocate(capacity: capacity)
        count = 0
        self.capacity = capacity
    }

    deinit { pointer.deallocate() }

    /// Makes room for `more` further elements.
    @inline(__always)
    mutating func reserve(_ more: Int) {
        if capacity - count < more { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let moved = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        moved.update(from: pointer, count: count)
        pointer.deallocate()
        pointer = moved
        capacity = larger
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        reserve(1)
        pointer[count] = element
        count += 1
    }

    @inline(__always)
    mutating func append(_ source: UnsafePointer<Element>, _ length: Int) {
        reserve(length)
        (pointer + count).update(from: source, count: length)
        count += length
    }

    /// Appends elements that are already in this buffer, which may move while it grows.
    @inline(__always)
    mutating func appendOwn(from start: Int, _ length: Int) {
        reserve(length)
        (pointer + count).update(from: pointer + start, count: length)
        count += length
    }

    func array() -> [Element] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}
