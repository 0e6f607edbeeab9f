import CUDABackend
import CUDADriver
import KVCache

/// Compares the CUDA kernels, and the cache that they work on, with the CPU.
public enum CUDAVerification {
    /// Head sizes and numbers of query heads of a KV head that are checked.
    static let headSizes = DeviceCapability.headSizes
    static let ratios = [1, 2, 3, 4, 8, 16]
    static let kvHeads = 2

    /// Runs all checks.
    ///
    /// - Parameters:
    ///   - isQuick: one head size and few lengths, as for a run under compute-sanitizer.
    ///   - progress: called with the name of each check before it runs.
    /// - Throws: ``CUDAError`` where there is no GPU, or where a kernel went wrong.
    public static func run(
        isQuick: Bool = false, progress: (String) -> Void = { _ in }
    ) throws -> [VerificationCheck] {
        let verifier = try CUDAVerifier(isQuick: isQuick)
        progress("compiling kernels")
        try verifier.prepare()
        var checks: [VerificationCheck] = []
        for policy in verifier.policies {
            progress("cuda cache \(policy.name)")
            checks += try verifier.caches(policy)
        }
        progress("cuda append with RoPE")
        checks += try verifier.rotations()
        for policy in verifier.policies {
            progress("cuda decode \(policy.name)")
            checks += try verifier.decode(policy)
        }
        if !isQuick {
            for policy in CachePolicy.presets {
                progress("cuda decode \(policy.name), long")
                checks.append(try verifier.long(policy))
            }
        }
        for d in verifier.sizes {
            progress("cuda prefill \(d)")
            checks += try verifier.prefill(d)
        }
        for policy in verifier.policies {
            progress("cuda prompt \(policy.name)")
            checks += try verifier.prompts(policy)
        }
        progress("cuda memory")
        checks.append(try verifier.memory(caches: isQuick ? 20 : 1000))
        return checks
    }
}
