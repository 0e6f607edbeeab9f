public import Foundation

// JSON as a user writes it: a format is "float16" or an object of its parameters; what is left out has its default.
//
//     { "name": "mine", "keys": {"bits": 3, "axis": "channel"}, "values": "float16",
//       "windows": {"sink": 32, "recent": 96}, "keyNormalization": {"centred": true, "exponent": 0.5} }

extension GroupedFormat: Codable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case bits, group, axis, mode, levels, scaleFit
    }

    public init(from decoder: any Decoder) throws {
        let box = try decoder.container(keyedBy: CodingKeys.self)
        let group = try box.decodeIfPresent(Int.self, forKey: .group) ?? Self.groupSize
        guard group == Self.groupSize else {
            throw DecodingError.dataCorruptedError(
                forKey: .group, in: box,
                debugDescription: "groups of \(group) are not supported; the nearest is 32")
        }
        self.init(
            bits: try box.decode(Int.self, forKey: .bits),
            axis: try box.decode(GroupAxis.self, forKey: .axis),
            mode: try box.decodeIfPresent(QuantizationMode.self, forKey: .mode) ?? .symmetric,
            levels: try box.decodeIfPresent(LevelSet.self, forKey: .levels) ?? .fullRange,
            scaleFit: try box.decodeIfPresent(ScaleFit.self, forKey: .scaleFit) ?? .extreme)
    }

    public func encode(to encoder: any Encoder) throws {
        var box = encoder.container(keyedBy: CodingKeys.self)
        try box.encode(bits, forKey: .bits)
        try box.encode(Self.groupSize, forKey: .group)
        try box.encode(axis, forKey: .axis)
        try box.encode(mode, forKey: .mode)
        try box.encode(levels, forKey: .levels)
        try box.encode(scaleFit, forKey: .scaleFit)
    }
}

extension KeyNormalization: Codable {
    enum CodingKeys: String, CodingKey {
        case centred, exponent, queryExponent, feedback, skipsSink, tokens
    }

    public init(from decoder: any Decoder) throws {
        let box = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            centred: try box.decode(Bool.self, forKey: .centred),
            exponent: try box.decode(Float.self, forKey: .exponent),
            queryExponent: try box.decodeIfPresent(Float.self, forKey: .queryExponent) ?? 0,
            feedback: try box.decodeIfPresent(Bool.self, forKey: .feedback) ?? false,
            skipsSink: try box.decodeIfPresent(Bool.self, forKey: .skipsSink) ?? false,
            tokens: try box.decodeIfPresent(Int.self, forKey: .tokens) ?? 0)
    }

    public func encode(to encoder: any Encoder) throws {
        var box = encoder.container(keyedBy: CodingKeys.self)
        try box.encode(centred, forKey: .centred)
        try box.encode(exponent, forKey: .exponent)
        try box.encode(queryExponent, forKey: .queryExponent)
        try box.encode(feedback, forKey: .feedback)
        try box.encode(skipsSink, forKey: .skipsSink)
        try box.encode(tokens, forKey: .tokens)
    }
}

extension CachePolicy: Codable {
    enum CodingKeys: String, CodingKey {
        case name, keys, values, windows, keyNormalization, exceptions
    }

    public init(from decoder: any Decoder) throws {
        let box = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            name: try box.decodeIfPresent(String.self, forKey: .name) ?? "custom",
            keys: try box.decode(TensorFormat.self, forKey: .keys),
            values: try box.decode(TensorFormat.self, forKey: .values),
            windows: try box.decodeIfPresent(CacheWindows.self, forKey: .windows) ?? .none,
            keyNormalization: try box.decodeIfPresent(
                KeyNormalization.self, forKey: .keyNormalization),
            exceptions: try box.decodeIfPresent([LayerException].self, forKey: .exceptions) ?? [])
    }

    public func encode(to encoder: any Encoder) throws {
        var box = encoder.container(keyedBy: CodingKeys.self)
        try box.encode(name, forKey: .name)
        try box.encode(keys, forKey: .keys)
        try box.encode(values, forKey: .values)
        try box.encode(windows, forKey: .windows)
        try box.encodeIfPresent(keyNormalization, forKey: .keyNormalization)
        try box.encode(exceptions, forKey: .exceptions)
    }

    /// The policy in a JSON file, or the preset of that name.
    public static func named(_ nameOrPath: String) throws(PolicyError) -> CachePolicy {
        if let preset = preset(named: nameOrPath) { return preset }
        guard nameOrPath.hasSuffix(".json") else { throw .unknownPreset(nameOrPath) }
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: nameOrPath))
        } catch {
            throw .malformed("\(nameOrPath): \(error.localizedDescription)")
        }
        return try decode(data)
    }

    /// Reads and validates a policy written as JSON.
    public static func decode(_ json: Data) throws(PolicyError) -> CachePolicy {
        let policy: CachePolicy
        do {
            policy = try JSONDecoder().decode(CachePolicy.self, from: json)
        } catch let error as DecodingError {
            throw .malformed(Self.message(error))
        } catch {
            throw .malformed("\(error)")
        }
        try policy.validate()
        return policy
    }

    /// The policy as indented JSON with sorted keys, every parameter written out.
    public func json() -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        // A policy holds numbers, strings and lists only, all of which JSON can say; non-finite floats are the
        // exception and are refused by `validate`.
        return (try? encoder.encode(self)) ?? Data()
    }

    private static func message(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.isEmpty
                ? "" : context.codingPath.map(\.stringValue).joined(separator: ".") + ": "
        }
        switch error {
        case .keyNotFound(let key, let context):
            return path(context) + "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
            .dataCorrupted(let context):
            return path(context) + context.debugDescription
        @unknown default:
            return "\(error)"
        }
    }
}
