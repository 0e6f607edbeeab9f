internal import Crypto
package import Foundation
package import KVCache
package import Transformer

/// What is measured, sample by sample, in a file: so that a run can be stopped and gone on with, and so that layers can be
/// fitted one after the other although samples deliver them together.
///
///     0        8 bytes   "INNERQFS"
///     8        UInt32    version, little endian as everything
///     12       UInt32    length H of the header
///     16       H bytes   header, JSON
///     16+H     samples   each: layers from the last to the first, each
///                            K  float16 [token][channel]  |  dL/dK  bfloat16
///                            V  float16                   |  dL/dV  bfloat16
///                        then the loss, Float64, and the SHA-256 of all that
///
/// Samples have equal sizes. A sample that is not whole, or whose checksum does not match, is cut off with all that
/// follows when the file is opened again.
package final class SampleSpool {
    static let version: UInt32 = 1
    private static let magic = Array("INNERQFS".utf8)
    private static let largestHeader = 1 << 20

    /// What must be the same to go on.
    package struct Header: Codable, Equatable {
        var fingerprint: Data
        var tokenDigest: String
        var samples: Int
        var length: Int
        var shapes: [CalibrationShape]

        package init(
            fingerprint: Data, tokenDigest: String, samples: Int, length: Int,
            shapes: [CalibrationShape]
        ) {
            self.fingerprint = fingerprint
            self.tokenDigest = tokenDigest
            self.samples = samples
            self.length = length
            self.shapes = shapes
        }
    }

    package let header: Header
    /// The losses of the samples that are there.
    private(set) var losses: [Double] = []
    private let file: WorkFile
    private let start: Int

    package var samples: Int { losses.count }
    var isComplete: Bool { samples == header.samples }
    var path: String { file.path }
    /// Bytes of the file with all samples.
    var byteCount: Int { start + header.samples * sampleBytes }

    // MARK: - Places

    private func layerBytes(_ layer: Int) -> Int {
        8 * header.length * header.shapes[layer].channels
    }

    private var sampleBytes: Int {
        header.shapes.indices.reduce(0) { $0 + layerBytes($1) } + 8 + 32
    }

    private func offset(sample: Int, layer: Int) -> Int {
        let before = (layer + 1..<header.shapes.count).reduce(0) { $0 + layerBytes($1) }
        return start + sample * sampleBytes + before
    }

    // MARK: - Opening

    /// Opens the file of an earlier run, or begins one.
    ///
    /// - Parameter restart: begins anew whatever is there.
    package init(_ path: String, header: Header, restart: Bool) throws(CalibrationError) {
        self.header = header
        file = try WorkFile(path)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let json = try? encoder.encode(header), json.count <= Self.largestHeader else {
            throw .invalidOptions("its description is too long")
        }
        var frame = Data(Self.magic)
        for number in [Self.version, UInt32(json.count)] {
            withUnsafeBytes(of: number.littleEndian) { frame.append(contentsOf: $0) }
        }
        frame.append(json)
        start = frame.count
        // A file shorter than a frame was begun and no more.
        let isBegun = try file.byteCount() >= 16
        if isBegun { try checkMagic() }
        if isBegun, !restart {
            try compare()
            try countSamples()
        } else {
            try file.truncate(to: 0)
            try Self.write(frame, to: file, at: 0)
        }
        let missing = byteCount - (try file.byteCount())
        if let free = file.freeBytes(), free < missing {
            throw .diskFull(path: path, needed: missing, available: free)
        }
    }

    private static func write(_ data: Data, to file: WorkFile, at offset: Int)
        throws(CalibrationError)
    {
        let bytes = Array(data)
        try Self.lend(bytes) { (bytes) throws(CalibrationError) in
            try file.write(bytes, at: offset)
        }
    }

    private func checkMagic() throws(CalibrationError) {
        guard try read(16, at: 0).starts(with: Self.magic) else {
            throw .fileSystem(
                path: file.path, reason: "it is not a work file of innerq calibrate. Move it away.")
        }
    }

    /// Throws unless the file is of this run.
    private func compare() throws(CalibrationError) {
        func other(_ what: String) -> CalibrationError {
            .otherRun(path: file.path, difference: what)
        }
        let frame = try read(16, at: 0)
        func number(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(frame[offset + $1]) << (8 * UInt32($1)) }
        }
        guard number(8) == Self.version else { throw other("another version of InnerQ") }
        guard number(12) <= Self.largestHeader,
            let json = try? read(Int(number(12)), at: 16),
            let saved = try? JSONDecoder().decode(Header.self, from: Data(json))
        else { throw other("a header that cannot be read") }
        guard saved != header else { return }
        if saved.fingerprint != header.fingerprint || saved.shapes != header.shapes {
            throw other("another model")
        }
        if (saved.samples, saved.length) != (header.samples, header.length) {
            throw other("\(saved.samples) samples of \(saved.length) tokens")
        }
        throw other("another text")
    }

    /// Finds the samples that are whole, and cuts off the rest.
    private func countSamples() throws(CalibrationError) {
        let size = sampleBytes
        var buffer = [UInt8](repeating: 0, count: min(size, 1 << 20))
        samples: while losses.count < header.samples {
            let first = start + losses.count * size
            var hash = SHA256()
            var done = 0
            var loss = 0.0
            while done < size - 32 {
                // The loss is read alone, as the last piece.
                let limit = done < size - 40 ? size - 40 : size - 32
                let count = min(buffer.count, limit - done)
                guard try fill(&buffer, count, at: first + done) else { break samples }
                buffer.withUnsafeBytes {
                    let piece = UnsafeRawBufferPointer(rebasing: $0[..<count])
                    hash.update(bufferPointer: piece)
                    if done == size - 40 {
                        loss = Double(
                            bitPattern: UInt64(littleEndian: piece.loadUnaligned(as: UInt64.self)))
                    }
                }
                done += count
            }
            guard try fill(&buffer, 32, at: first + done),
                hash.finalize().elementsEqual(buffer[..<32])
            else { break }
            losses.append(loss)
        }
        try file.truncate(to: start + losses.count * size)
    }

    /// Removes the file.
    func remove() { file.remove() }

    // MARK: - Writing

    /// Keeps one sample; nothing of it is kept if it fails.
    ///
    /// - Parameter produce: calls `receive` for each layer from the last to the first, stops when `hasFailed`, and returns
    ///   the loss.
    package func append(
        _ produce: (
            _ receive: (KeyValueGradients) -> Void, _ hasFailed: () -> Bool
        ) throws(TransformerError) -> Double
    ) throws(CalibrationError) {
        var hash = SHA256()
        var failure: CalibrationError?
        var place = start + samples * sampleBytes
        let loss: Double
        do throws(TransformerError) {
            loss = try produce(
                { layer in
                    guard failure == nil else { return }
                    do throws(CalibrationError) {
                        let bytes = try encode(layer)
                        try Self.lend(bytes) { (raw) throws(CalibrationError) in
                            hash.update(bufferPointer: raw)
                            try file.write(raw, at: place)
                        }
                        place += 2 * bytes.count
                    } catch {
                        failure = error
                    }
                }, { failure != nil })
        } catch {
            if let failure { throw failure }
            if error == .cancelled { throw .cancelled(path: file.path, samples: samples) }
            throw .transformer(error)
        }
        if let failure { throw failure }
        guard loss.isFinite else { throw .notFinite(sample: samples) }
        var end = Data()
        withUnsafeBytes(of: loss.bitPattern.littleEndian) { end.append(contentsOf: $0) }
        hash.update(data: end)
        end.append(contentsOf: hash.finalize())
        try Self.write(end, to: file, at: place)
        try file.synchronize()
        losses.append(loss)
    }

    /// A layer as it lies in the file.
    private func encode(_ layer: KeyValueGradients) throws(CalibrationError) -> [UInt16] {
        var bytes: [UInt16] = []
        bytes.reserveCapacity(4 * layer.tokens * layer.rowSize)
        var isFinite = true
        for (values, gradients) in [
            (layer.keys, layer.keyGradients), (layer.values, layer.valueGradients),
        ] {
            bytes.append(contentsOf: Half.bits(values))
            for gradient in gradients {
                if !gradient.isFinite { isFinite = false }
                bytes.append(BrainFloat.bits(gradient).littleEndian)
            }
        }
        guard isFinite else { throw .notFinite(sample: samples) }
        return bytes
    }

    // MARK: - Reading

    /// Fills `values` (float16) and `gradients` (bfloat16), `[token][channel]`, of one sample and layer.
    func read(
        _ tensor: CacheTensor, layer: Int, sample: Int, values: inout [UInt16],
        gradients: inout [UInt16]
    ) throws(CalibrationError) {
        let part = 2 * header.length * header.shapes[layer].channels
        let place = offset(sample: sample, layer: layer) + (tensor == .keys ? 0 : 2 * part)
        let isThere = try fill(&values, part / 2, at: place)
        guard isThere, try fill(&gradients, part / 2, at: place + part) else {
            throw .fileSystem(path: file.path, reason: "it has been cut by someone else")
        }
    }

    private func read(_ count: Int, at offset: Int) throws(CalibrationError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard try fill(&bytes, count, at: offset) else {
            throw .fileSystem(path: file.path, reason: "it is cut short")
        }
        return bytes
    }

    /// Reads `count` elements; `false` if the file ends before.
    private func fill<Element: FixedWidthInteger>(
        _ buffer: inout [Element], _ count: Int, at offset: Int
    ) throws(CalibrationError) -> Bool {
        if buffer.count < count { buffer = [Element](repeating: 0, count: count) }
        var failure: CalibrationError?
        var isThere = false
        buffer.withUnsafeMutableBytes { bytes in
            do throws(CalibrationError) {
                isThere = try file.read(
                    UnsafeMutableRawBufferPointer(
                        rebasing: bytes[..<(count * MemoryLayout<Element>.size)]), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return isThere
    }

    /// `withUnsafeBytes` with typed errors.
    private static func lend<Element>(
        _ array: [Element], _ body: (UnsafeRawBufferPointer) throws(CalibrationError) -> Void
    ) throws(CalibrationError) {
        var failure: CalibrationError?
        array.withUnsafeBytes { bytes in
            do throws(CalibrationError) { try body(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
