internal import CPUKernels

/// Percentiles of float16 numbers, exactly: there are only 65536, so they are counted.
package struct OrderStatistics {
    /// In rising order of the numbers.
    private var counts = [UInt32](repeating: 0, count: 1 << 16)
    private var total = 0

    /// Where a number stands among all: negative ones fall as their bits rise.
    private static func place(_ bits: UInt16) -> Int {
        Int(bits & 0x8000 != 0 ? ~bits : bits | 0x8000)
    }

    private static func number(_ place: Int) -> Float {
        var bits = UInt16(place)
        bits = bits & 0x8000 != 0 ? bits & 0x7FFF : ~bits
        var value: Float = 0
        iq_half_to_float(&bits, &value, 1)
        return value
    }

    /// Replaces what was counted.
    package init() {}

    package mutating func count(_ numbers: UnsafeBufferPointer<UInt16>) {
        total = numbers.count
        counts.withUnsafeMutableBufferPointer { counts in
            counts.update(repeating: 0)
            for number in numbers { counts[Self.place(number)] += 1 }
        }
    }

    /// The number of rank `share · (n − 1)`, between two numbers by linear interpolation, as numpy has it.
    package func percentile(_ share: Double) -> Float {
        guard total > 0 else { return 0 }
        let rank = share * Double(total - 1)
        let below = min(Int(rank), total - 1)
        var seen = 0
        var place = 0
        while seen + Int(counts[place]) <= below {
            seen += Int(counts[place])
            place += 1
        }
        let low = Self.number(place)
        let fraction = rank - Double(below)
        guard fraction > 0, below + 1 < total else { return low }
        if seen + Int(counts[place]) <= below + 1 {
            repeat { place += 1 } while counts[place] == 0
        }
        let high = Self.number(place)
        return Float(Double(low) + fraction * (Double(high) - Double(low)))
    }
}
