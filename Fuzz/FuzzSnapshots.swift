import Crypto
import Foundation
import KVCache
import Threading

// libFuzzer's entry point for saved sessions, cache policies and calibrations.
//
// The first byte of an input says what the rest is:
//
//     bits 0–4   the policy of the cache that is read into
//     bit 5      the rest is no snapshot: a policy in JSON, or a calibration if it begins with an I as those do
//     bit 6      the header's length is set to where its JSON ends
//     bit 7      the SHA-256 at the end is made right
//
// The last two let mutations through to the checks behind: with them a file is what an attacker writes, without
// them what a failing disk does. Either way a reader throws its own error and leaves the cache alone, or the cache
// is a whole one that can be saved again, byte for byte, and continued.

private let rotary = RotaryShape(
    pairing: .halfSplit, frequencies: (0..<8).map { pow(0.1, Double($0) / 2) })
private let shape = CacheShape(layers: [
    LayerShape(queryHeads: 2, kvHeads: 1, headSize: 16, rotary: rotary),
    LayerShape(queryHeads: 2, kvHeads: 2, headSize: 16, slidingWindow: 40, rotary: rotary),
])
private let fingerprint = [UInt8](repeating: 7, count: 32)

/// Presets with windows so small that 70 tokens fill every segment, and one with everything that a policy can say.
private let policies: [CachePolicy] = {
    func small(_ preset: CachePolicy) -> CachePolicy {
        var policy = preset
        policy.windows = CacheWindows(sink: min(8, preset.windows.sink), recent: 8)
        policy.keyNormalization?.tokens = 0
        return policy
    }
    let lookups = CachePolicy.presets.filter { preset in
        preset.formats.contains { $0.codebook != nil || $0.rotated != nil }
    }
    var mixed = small(.innerQHybrid)
    mixed.name = "mixed"
    mixed.keyNormalization = KeyNormalization(
        centred: false, exponent: 0.5, queryExponent: 0.5, tokens: 56)
    mixed.exceptions = [
        LayerException(
            layers: [-1], keys: .float16, values: .grouped(GroupedFormat(bits: 8, axis: .token)),
            windows: CacheWindows(sink: 0, recent: 40))
    ]
    // Inputs name policies by number: new ones go to the end.
    let grouped = CachePolicy.presets.filter { !lookups.contains($0) }
    let quantized = CachePolicy.kvQuant(bits: 3, outliers: 0.05)
    return (grouped.map(small) + [mixed] + lookups.map(small)) + [
        small(quantized.online(tokens: 16))
    ]
}()

private struct Flags {
    var byte: UInt8

    static let policyJSON: UInt8 = 1 << 5
    static let headerLength: UInt8 = 1 << 6
    static let checksum: UInt8 = 1 << 7

    var policy: CachePolicy { policies[Int(byte & 31) % policies.count] }
    func has(_ flag: UInt8) -> Bool { byte & flag != 0 }
}

// MARK: - Caches

private let workers = WorkerPool(threads: 1)

private func makeCache(_ policy: CachePolicy, _ shape: CacheShape = shape) -> SequenceCache {
    do {
        return try SequenceCache.sample(shape: shape, policy: policy, workers: workers)
    } catch {
        fatalError("\(policy.name): \(error)")
    }
}

/// Appends `count` tokens of a fixed stream to every layer.
private func append(_ count: Int, to cache: SequenceCache) {
    for (index, layer) in cache.shape.layers.enumerated() {
        let wave = (0..<count * layer.queryHeads * layer.headSize).map {
            Float(($0 * 37) % 29) - 14
        }
        var output = wave
        cache.attend(
            layer: index, queries: wave, keys: wave, values: wave, count: count, meaning: .decode,
            output: &output)
    }
}

private func check(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { fatalError(message()) }
}

private func checkBytes(_ cache: SequenceCache) {
    check(cache.isConsistent, "layers have different token counts")
    check(
        cache.allocatedBytes == cache.byteCount.total,
        "\(cache.allocatedBytes) bytes allocated, \(cache.byteCount.total) counted")
}

// MARK: - Entry points

private let path = FileManager.default.temporaryDirectory.path + "/innerq-fuzz-\(getpid())"

/// Writes a valid input for every policy and length into the folders of the command line: the seeds.
@_cdecl("LLVMFuzzerInitialize")
public func fuzzInitialize(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> CInt {
    atexit { unlink(path) }
    guard
        let folder = CommandLine.arguments.dropFirst().first(where: {
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: $0, isDirectory: &isFolder)
                && isFolder.boolValue
        })
    else { return 0 }
    do {
        for (number, policy) in policies.enumerated() {
            let json = Data([UInt8(number) | Flags.policyJSON]) + policy.json()
            try json.write(to: URL(fileURLWithPath: folder + "/policy-\(policy.name)"))
            if policy.needsCalibration {
                try CacheCalibration.sample(for: shape, policy: policy).write(to: path)
                let flags = Flags.policyJSON | Flags.headerLength | Flags.checksum
                try (Data([flags]) + Data(contentsOf: URL(fileURLWithPath: path)))
                    .write(to: URL(fileURLWithPath: folder + "/calibration-\(policy.name)"))
            }
            for tokens in [0, 5, 70] {
                let cache = makeCache(policy)
                if tokens > 0 { append(tokens, to: cache) }
                try CacheSnapshot.write(
                    cache, tokens: (0...Int32(tokens)).map { $0 }, fingerprint: fingerprint,
                    state: Data([1, 2]), to: path)
                // A reader that refuses everything would pass all checks below.
                let restored = makeCache(policy)
                _ = try CacheSnapshot.read(path, into: restored, fingerprint: fingerprint)
                check(restored.tokenCount == tokens, "a seed was not restored")
                let flags = UInt8(number) | Flags.headerLength | Flags.checksum
                let seed = try Data([flags]) + Data(contentsOf: URL(fileURLWithPath: path))
                try seed.write(
                    to: URL(fileURLWithPath: folder + "/snapshot-\(policy.name)-\(tokens)"))
            }
        }
    } catch {
        fatalError("the seeds cannot be made: \(error)")
    }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = UnsafeBufferPointer(start: start, count: count)
    guard let first = input.first else { return 0 }
    let flags = Flags(byte: first)
    var rest = Array(input.dropFirst())
    let isCalibration = flags.has(Flags.policyJSON) && rest.first == UInt8(ascii: "I")
    if flags.has(Flags.policyJSON), !isCalibration {
        readPolicy(Data(rest))
        return 0
    }
    if flags.has(Flags.headerLength) { repairHeaderLength(&rest) }
    if flags.has(Flags.checksum) { repairChecksum(&rest) }
    if isCalibration { readCalibration(rest) } else { readSnapshot(rest, policy: flags.policy) }
    return 0
}

// MARK: - Snapshots

private func readSnapshot(_ bytes: [UInt8], policy: CachePolicy) {
    // Foundation leaks its buffer when it reads a file of no bytes.
    guard !bytes.isEmpty else { return }
    save(bytes)
    do throws(SnapshotError) {
        _ = try CacheSnapshot.policy(of: path).json()
    } catch {
        check(!error.description.isEmpty, "an error without a text")
    }

    let cache = makeCache(policy)
    let empty = cache.allocatedBytes
    let contents: CacheSnapshot.Contents
    do throws(SnapshotError) {
        contents = try CacheSnapshot.read(path, into: cache, fingerprint: fingerprint)
    } catch {
        check(!error.description.isEmpty, "an error without a text")
        check(cache.tokenCount == 0, "a refused file left \(cache.tokenCount) tokens")
        check(cache.allocatedBytes == empty, "a refused file left \(cache.allocatedBytes) bytes")
        return
    }
    checkBytes(cache)
    check(contents.tokens.count >= cache.tokenCount, "more tokens in the cache than in the file")

    // What was read is what is written; headers may differ in spelling.
    let tail = 4 * contents.tokens.count + cache.allocatedBytes
    do throws(SnapshotError) {
        try CacheSnapshot.write(
            cache, tokens: contents.tokens, fingerprint: fingerprint, state: contents.state,
            to: path)
    } catch {
        fatalError("a restored cache cannot be saved: \(error)")
    }
    let again = (try? Data(contentsOf: URL(fileURLWithPath: path))) ?? Data()
    check(
        again.dropLast(32).suffix(tail).elementsEqual(bytes.dropLast(32).suffix(tail)),
        "a restored cache saves other bytes than it was read from")

    append(70, to: cache)
    checkBytes(cache)
}

private func save(_ bytes: [UInt8]) {
    guard let file = fopen(path, "w") else { fatalError("\(path) cannot be written") }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
}

/// Sets the length at offset 12 to the end of the JSON object that begins at 16, if there is one.
private func repairHeaderLength(_ file: inout [UInt8]) {
    guard file.count > 16, file[16] == UInt8(ascii: "{") else { return }
    var depth = 0
    for index in 16..<file.count {
        if file[index] == UInt8(ascii: "{") { depth += 1 }
        if file[index] == UInt8(ascii: "}") { depth -= 1 }
        guard depth == 0 else { continue }
        let length = UInt32(index + 1 - 16)
        withUnsafeBytes(of: length.littleEndian) { file.replaceSubrange(12..<16, with: $0) }
        return
    }
}

private func repairChecksum(_ file: inout [UInt8]) {
    guard file.count >= 32 else { return }
    file.replaceSubrange((file.count - 32)..., with: SHA256.hash(data: file.dropLast(32)))
}

// MARK: - Calibrations

private func readCalibration(_ bytes: [UInt8]) {
    save(bytes)
    let calibration: CacheCalibration
    do throws(CalibrationFileError) {
        calibration = try CacheCalibration.read(path)
    } catch {
        check(!error.description.isEmpty, "an error without a text")
        return
    }
    do throws(CalibrationFileError) {
        try calibration.write(to: path)
        check(
            try CacheCalibration.read(path) == calibration,
            "a calibration is another one after writing and reading it")
    } catch {
        fatalError("a calibration that was read cannot be written and read again: \(error)")
    }
    for policy in policies where policy.needsCalibration {
        do throws(PolicyError) {
            let cache = try SequenceCache(
                shape: shape, policy: policy, calibration: calibration, workers: workers)
            append(70, to: cache)
            checkBytes(cache)
        } catch {
            check(!error.description.isEmpty, "an error without a text")
        }
    }
}

// MARK: - Policies

private func readPolicy(_ json: Data) {
    let policy: CachePolicy
    do throws(PolicyError) {
        policy = try CachePolicy.decode(json)
    } catch {
        check(!error.description.isEmpty, "an error without a text")
        return
    }
    check(
        (try? CachePolicy.decode(policy.json())) == policy,
        "a policy is another one after writing and reading it")
    let cache: SequenceCache
    do throws(PolicyError) {
        cache = try SequenceCache(shape: shape, policy: policy, workers: workers)
    } catch {
        check(!error.description.isEmpty, "an error without a text")
        return
    }
    append(100, to: cache)
    checkBytes(cache)
}
