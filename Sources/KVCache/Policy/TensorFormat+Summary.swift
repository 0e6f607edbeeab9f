import Foundation

extension TensorFormat {
    /// In words: "3 along channels, symmetric, fullRange"; "nuq3 per channel, 1 % outliers, pre-RoPE"; "rotated 4".
    public var summary: String {
        switch self {
        case .float16: return "float16"
        case .grouped(let format):
            // Levels are a matter of symmetric codes.
            let levels = format.mode == .asymmetric ? "" : ", \(format.levels.rawValue)"
            return "\(format.bits) along \(format.axis.rawValue)s, \(format.mode.rawValue)" + levels
        case .codebook(let format):
            let kind =
                switch format.levels {
                case .fitted: "nuq"
                case .normalFloat: "nf"
                case .uniform: "int"
                }
            let share = (format.outliers * 1e4).rounded() / 100
            return "\(kind)\(format.bits) per \(format.vector.rawValue)"
                + (share > 0 ? ", \(share.formatted()) % outliers" : "")
                + (format.preRotary ? ", pre-RoPE" : "")
        case .rotated(let format):
            return "rotated \(format.bits)" + (format.hasResidual ? ", 1 of residual" : "")
        }
    }
}
