public import CUDADriver
public import Foundation
public import KVCache

/// Why something cannot run on the GPU; each message says what to do instead.
public enum CUDABackendError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    case unsupportedHeadSize(Int, layer: Int, nearest: Int)
    case unsupportedRatio(Int, layer: Int, most: Int)
    /// A format of keys or values that no kernel reads.
    case unsupportedFormat(String, layer: Int, nearest: String)
    case unsupportedScaleFit(String, layer: Int)
    /// Bytes of 128 tokens of all layers.
    case shapeTooLarge(Int, most: Int)
    case tooManySequences(Int, most: Int)
    /// A calibration that does not fit, or a model that does not say how keys are turned.
    case policy(PolicyError)
    case outOfMemory(asked: Int, free: Int, longestContext: Int?)
    case contextTooLong(tokens: Int, reserved: Int)
    /// No room for the keys and values that a prompt's attention reads.
    case promptTooLong(tokens: Int, asked: Int, free: Int)
    /// A cache on the CPU and one on the device are not of the same shape and policy.
    case otherCache(String)
    /// What the driver said.
    case device(CUDAError)

    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .unsupportedHeadSize(let size, let layer, let nearest):
            return
                "layer \(layer) has head size \(size), which no CUDA kernel is made for (64, 96, 128 and 256 are; the nearest is \(nearest)). Run this model with --device cpu."
        case .unsupportedRatio(let ratio, let layer, let most):
            return
                "layer \(layer) has \(ratio) query heads for each KV head; CUDA kernels have from 1 to \(most). Run this model with --device cpu."
        case .unsupportedFormat(let what, let layer, let nearest):
            return
                "layer \(layer): no CUDA kernel reads \(what). The nearest that one does is \(nearest); or use --device cpu."
        case .unsupportedScaleFit(let fit, let layer):
            return
                "layer \(layer): CUDA kernels fit scales to the extreme only, not '\(fit)'. Use scaleFit 'extreme', or --device cpu."
        case .shapeTooLarge(let bytes, let most):
            return
                "128 tokens of this model's cache take \(bytes) bytes, more than the \(most) that CUDA kernels can address at once. Choose a smaller cache format, or --device cpu."
        case .policy(let error): return error.description
        case .tooManySequences(let count, let most):
            return
                "\(count) sequences are more than one launch takes; split them into \(most) at most."
        case .outOfMemory(let asked, let free, let longest):
            let fitting =
                longest.map { "a context of \($0) tokens would fit" }
                ?? "not even an empty cache would fit"
            return
                "the GPU has no room for \(asked) bytes more (\(free) are free); \(fitting). Shorten the context, run fewer sequences, or choose a smaller cache (innerq plan compares them)."
        case .contextTooLong(let tokens, let reserved):
            return
                "the sequence would grow to \(tokens) tokens, and its cache was made for \(reserved). Make it for a longer context."
        case .promptTooLong(let tokens, let asked, let free):
            return
                "attention of a prompt of \(tokens) tokens needs \(asked) bytes more of GPU memory (\(free) are free). Run the prompt in shorter pieces."
        case .otherCache(let what):
            return
                "the two caches differ in \(what); copy only between caches of one model and policy."
        case .device(let error):
            return error.description
        }
    }
}

extension CUDABackendError {
    init(_ error: CUDAError) {
        if case .outOfMemory(_, let asked, let free, _) = error {
            self = .outOfMemory(asked: asked, free: free, longestContext: nil)
        } else {
            self = .device(error)
        }
    }

    /// Runs what throws the driver's errors.
    static func wrap<Result: ~Copyable>(
        _ body: () throws(CUDAError) -> Result
    ) throws(CUDABackendError) -> Result {
        do throws(CUDAError) { return try body() } catch { throw CUDABackendError(error) }
    }
}
