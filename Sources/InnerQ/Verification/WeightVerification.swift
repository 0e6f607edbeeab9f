import CPUKernels
import KVCache
import Transformer

/// Compares every weight kernel that the running processor has with plain scalar code in float64.
///
/// Errors of products are measured against Σ|w||x|, which rounding errors of any order of summation are proportional
/// to: float32 sums of a thousand terms over lanes and blocks stay below 1e-6 of it, a wrong index or sign is off by
/// 1e-2 and more.
public enum WeightVerification {
    static let tolerance = 1e-6
    /// Activations rounded to 16 bits are off by 2^−16 of a block's largest at most, and the largest of 256 normal numbers is
    /// about four times the mean magnitude.
    static let integerTolerance = 1e-4
    /// Each product is within 2^−15 of itself.
    static let splitTolerance = 0x1p-15
    /// Vectors of a product: what decoding, speculative steps and prompts ask for.
    static let counts = [1, 2, 3, 7, 8, 33]

    private enum Products {
        /// Rows as the file has them, in float32.
        case rows
        /// Interleaved rows, in float32.
        case panels
        /// Interleaved rows, activations as integers.
        case integer
        /// Both as sums of two bfloat16, on a matrix unit.
        case split

        var tolerance: Double {
            switch self {
            case .rows, .panels: WeightVerification.tolerance
            case .integer: integerTolerance
            case .split: splitTolerance
            }
        }
    }

    /// Runs all checks.
    /// - Parameter progress: called with the name of each check before it runs.
    public static func run(progress: (String) -> Void = { _ in }) -> [VerificationCheck] {
        var checks: [VerificationCheck] = []
        for index in 0..<iq_kernels_count() {
            guard let table = iq_kernels_at(index), let kernels = table.pointee.weights else {
                continue
            }
            let name = String(cString: table.pointee.name)
            for type in WeightType.allCases {
                progress("\(name): \(type) weights")
                checks.append(check(kernels, type, .rows, name: "\(name) weights \(type)"))
                if kernels.pointee.gemm_split != nil {
                    checks.append(
                        check(kernels, type, .split, name: "\(name) weights \(type) matrix unit"))
                }
                guard iq_weight_format(kernels, type.rawValue)?.pointee.integers != nil else {
                    continue
                }
                checks.append(
                    check(kernels, type, .integer, name: "\(name) weights \(type) integer"))
                checks.append(
                    check(kernels, type, .panels, name: "\(name) weights \(type) interleaved"))
            }
        }
        return checks
    }

    private static func check(
        _ kernels: UnsafePointer<iq_weight_kernels>, _ type: WeightType,
        _ products: Products, name: String
    ) -> VerificationCheck {
        var check = VerificationCheck(name: name, tolerance: products.tolerance)
        guard let format = iq_weight_format(kernels, type.rawValue) else {
            check.note = "missing"
            return check
        }
        // Row lengths with every rest that kernels treat apart, below and above a panel's columns; and rows that leave nothing,
        // less or more than half of a pair of panels.
        let lengths =
            switch type.blockElements {
            case 1: [1, 37, 576, 1061]
            case 32: [32, 96, 224, 576, 1056]
            default: [256, 768, 1280]
            }
        var numbers = SplitMix64(seed: UInt64(type.rawValue))
        for (index, columns) in lengths.enumerated() {
            let problem = WeightProblem(
                type, rows: [5, 17, 60, 67, 1][index % 5], columns: columns,
                count: counts.max() ?? 1, &numbers)
            switch products {
            case .rows: problem.compareRows(format, &check)
            case .panels:
                problem.interleave(format)
                problem.comparePanels(format, &check)
            case .integer: problem.interleave(format)
            case .split: if format.pointee.integers != nil { problem.interleave(format) }
            }
            for count in counts {
                let isFew = count <= MatrixScratch.maximumPreparedVectors
                if products == .rows || products == .integer, isFew {
                    problem.compareFewVectors(
                        kernels, format, products == .rows ? .float : .integer, count: count, &check
                    )
                }
                if products == .rows || products == .panels {
                    problem.compareManyVectors(
                        kernels, format, isInterleaved: products == .panels, count: count, &check)
                }
                if products == .split {
                    for isInterleaved in format.pointee.integers == nil ? [false] : [false, true] {
                        problem.compareManyVectors(
                            kernels, format, isInterleaved: isInterleaved, isSplit: true,
                            count: count, &check)
                    }
                }
            }
        }
        return check
    }
}
