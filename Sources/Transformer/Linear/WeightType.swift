/// How the weights of a matrix are encoded; the numbers are GGML's, as they stand in GGUF files.
package enum WeightType: UInt32, CaseIterable, Sendable {
    // The types' own names, as everyone writes them.
    case f32 = 0
    case f16 = 1
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q4_0 = 2
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q4_1 = 3
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q5_0 = 6
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q5_1 = 7
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q8_0 = 8
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q4_K = 12
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q5_K = 13
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q6_K = 14
    case bf16 = 30

    /// Weights that one block holds.
    package var blockElements: Int {
        switch self {
        case .f32, .f16, .bf16: 1
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
        case .q4_K, .q5_K, .q6_K: 256
        }
    }

    /// Bytes that one block takes.
    package var blockBytes: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
        case .q8_0: 34
        case .q4_0: 18
        case .q4_1: 20
        case .q5_0: 22
        case .q5_1: 24
        case .q4_K: 144
        case .q5_K: 176
        case .q6_K: 210
        }
    }

    /// Bytes of a row, or `nil` if `columns` is not a positive multiple of the block or the size overflows.
    package func rowBytes(columns: Int) -> Int? {
        guard columns > 0, columns.isMultiple(of: blockElements) else { return nil }
        let (bytes, overflow) = (columns / blockElements).multipliedReportingOverflow(
            by: blockBytes)
        return overflow ? nil : bytes
    }
}

extension WeightType: CustomStringConvertible {
    /// The name in GGML's spelling, such as "Q4_1".
    package var description: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .q4_0: "Q4_0"
        case .q4_1: "Q4_1"
        case .q5_0: "Q5_0"
        case .q5_1: "Q5_1"
        case .q8_0: "Q8_0"
        case .q4_K: "Q4_K"
        case .q5_K: "Q5_K"
        case .q6_K: "Q6_K"
        }
    }
}
