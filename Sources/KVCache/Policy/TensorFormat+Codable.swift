// A format in a policy file: "float16", or an object whose "type" says which parameters it has.
//
//     {"bits": 3, "axis": "channel"}                                              grouped, the type left out
//     {"type": "codebook", "bits": 3, "vector": "channel", "outliers": 0.01, "preRotary": true}
//     {"type": "rotated", "bits": 4}

extension CodebookFormat: Codable {
    enum CodingKeys: String, CodingKey {
        case bits, vector, levels, outliers, preRotary, statistics
    }

    public init(from decoder: any Decoder) throws {
        let box = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            bits: try box.decode(Int.self, forKey: .bits),
            vector: try box.decode(CodebookVector.self, forKey: .vector),
            levels: try box.decodeIfPresent(CodebookLevels.self, forKey: .levels) ?? .fitted,
            outliers: try box.decodeIfPresent(Double.self, forKey: .outliers) ?? 0,
            preRotary: try box.decodeIfPresent(Bool.self, forKey: .preRotary) ?? false,
            statistics: try box.decodeIfPresent(Int.self, forKey: .statistics) ?? 0)
    }

    public func encode(to encoder: any Encoder) throws {
        var box = encoder.container(keyedBy: CodingKeys.self)
        try box.encode(bits, forKey: .bits)
        try box.encode(vector, forKey: .vector)
        try box.encode(levels, forKey: .levels)
        try box.encode(outliers, forKey: .outliers)
        try box.encode(preRotary, forKey: .preRotary)
        try box.encode(statistics, forKey: .statistics)
    }
}

extension RotatedFormat: Codable {
    enum CodingKeys: String, CodingKey {
        case bits, residual, seed
    }

    public init(from decoder: any Decoder) throws {
        let box = try decoder.container(keyedBy: CodingKeys.self)
        self.init(bits: try box.decode(Int.self, forKey: .bits))
        hasResidual = try box.decodeIfPresent(Bool.self, forKey: .residual) ?? hasResidual
        seed = try box.decodeIfPresent(UInt64.self, forKey: .seed) ?? seed
    }

    public func encode(to encoder: any Encoder) throws {
        var box = encoder.container(keyedBy: CodingKeys.self)
        try box.encode(bits, forKey: .bits)
        try box.encode(hasResidual, forKey: .residual)
        try box.encode(seed, forKey: .seed)
    }
}

extension TensorFormat: Codable {
    private enum Kind: String, Codable {
        case grouped, codebook, rotated
    }

    private enum CodingKeys: String, CodingKey {
        case type
    }

    public init(from decoder: any Decoder) throws {
        if let name = try? decoder.singleValueContainer().decode(String.self) {
            guard name == "float16" else {
                throw DecodingError.dataCorrupted(
                    DecodingError.Context(
                        codingPath: decoder.codingPath,
                        debugDescription:
                            "'\(name)' is no format; write \"float16\" or an object with bits and axis"
                    ))
            }
            self = .float16
            return
        }
        let box = try decoder.container(keyedBy: CodingKeys.self)
        switch try box.decodeIfPresent(Kind.self, forKey: .type) ?? .grouped {
        case .grouped: self = .grouped(try GroupedFormat(from: decoder))
        case .codebook: self = .codebook(try CodebookFormat(from: decoder))
        case .rotated: self = .rotated(try RotatedFormat(from: decoder))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .float16:
            var box = encoder.singleValueContainer()
            try box.encode("float16")
        case .grouped(let format):
            try format.encode(to: encoder)
        case .codebook(let format):
            try encode(.codebook, encoder)
            try format.encode(to: encoder)
        case .rotated(let format):
            try encode(.rotated, encoder)
            try format.encode(to: encoder)
        }
    }

    private func encode(_ kind: Kind, _ encoder: any Encoder) throws {
        var box = encoder.container(keyedBy: CodingKeys.self)
        try box.encode(kind, forKey: .type)
    }
}
