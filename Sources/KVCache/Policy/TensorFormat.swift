/// How the elements of K or of V are encoded in the body.
public enum TensorFormat: Sendable, Hashable {
    /// IEEE half precision.
    case float16
    /// Integers in groups of 32 (InnerQ, KIVI, q8, q4).
    case grouped(GroupedFormat)
    /// Levels of a table over the range of a channel or a token (KVQuant).
    case codebook(CodebookFormat)
    /// Levels of a normal distribution after a random rotation (TurboQuant).
    case rotated(RotatedFormat)

    /// Bits an element takes in the body, with all that is stored beside the codes.
    ///
    /// Groups have the same size in every model; what a vector or a token has once is shared by more elements where heads
    /// are larger or more. The defaults are those of Llama 3.1 8B.
    public func bitsPerElement(headSize: Int = 128, kvHeads: Int = 8) -> Double {
        switch self {
        case .float16: 16
        case .grouped(let format): format.bitsPerElement
        case .codebook(let format):
            format.bitsPerElement(channels: headSize * kvHeads, kvHeads: kvHeads)
        case .rotated(let format): format.bitsPerElement(headSize: headSize)
        }
    }

    package var grouped: GroupedFormat? {
        if case .grouped(let format) = self { format } else { nil }
    }

    package var codebook: CodebookFormat? {
        if case .codebook(let format) = self { format } else { nil }
    }

    package var rotated: RotatedFormat? {
        if case .rotated(let format) = self { format } else { nil }
    }

    /// Tokens of the sequence that static ranges are taken from.
    package var statisticsTokens: Int {
        guard let codebook, codebook.vector == .channel else { return 0 }
        return codebook.statistics
    }

    /// Bits of a packed code, `nil` for float16.
    package var codeBits: Int? {
        switch self {
        case .float16: nil
        case .grouped(let format): format.bits
        case .codebook(let format): format.bits
        case .rotated(let format): format.levelBits
        }
    }
}
