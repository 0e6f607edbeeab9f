internal import Crypto

/// Sequences of equal length, from all over a text.
package struct SampleTokens {
    package let samples: [[Int32]]

    /// Cuts non-overlapping spans at even distances.
    ///
    /// - Parameters:
    ///   - tokens: the text's.
    ///   - beginning: the token that texts begin with, put before each span, as each sequence of a cache begins with it;
    ///     spans are then shorter by one.
    package init(
        _ tokens: [Int32], samples: Int, length: Int, beginning: Int32?
    ) throws(CalibrationError) {
        let span = beginning == nil ? length : length - 1
        let (needed, overflow) = samples.multipliedReportingOverflow(by: span)
        guard !overflow, needed <= tokens.count else {
            throw .textTooShort(needed: overflow ? .max : needed, found: tokens.count)
        }
        self.samples = (0..<samples).map { index in
            // index · count / samples without overflow.
            let (quotient, rest) = tokens.count.quotientAndRemainder(dividingBy: samples)
            let start = index * quotient + index * rest / samples
            return (beginning.map { [$0] } ?? []) + tokens[start..<start + span]
        }
    }

    /// SHA-256 of the tokens, Int32 each and little endian, in hexadecimal.
    package var digest: String {
        var hash = SHA256()
        for sample in samples {
            sample.map(\.littleEndian).withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        return hash.finalize().map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}
