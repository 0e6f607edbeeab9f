package import CUDADriver
internal import Crypto
internal import Foundation

/// Compiles kernels for one architecture, or finds them in a folder where they were kept.
package struct KernelCompiler: Sendable {
    private let compiler: RuntimeCompiler
    private let architecture: String
    private let driver: CUDAVersion
    private let folder: KernelFolder?

    /// - Parameters:
    ///   - architecture: such as `sm_90a`.
    ///   - driver: what will load the kernels; a new one has them compiled anew.
    ///   - folder: where compiled kernels are kept; `nil` keeps none.
    package init(
        _ compiler: RuntimeCompiler, architecture: String, driver: CUDAVersion,
        folder: KernelFolder?
    ) {
        self.compiler = compiler
        self.architecture = architecture
        self.driver = driver
        self.folder = folder
    }

    /// The kernels of a unit as a cubin.
    ///
    /// - Throws: ``CUDAError/compilationFailed(source:name:log:)``
    package func cubin(_ unit: KernelVariant.Unit) throws(CUDAError) -> [UInt8] {
        guard let text = KernelSource.texts[unit.source] else {
            throw .invalidArgument(
                "there is no kernel source \(unit.source), only"
                    + " \(KernelSource.kernels.joined(separator: ", "))")
        }
        let headers = KernelSource.headers.map {
            RuntimeCompiler.Header(name: $0, text: KernelSource.texts[$0] ?? "")
        }
        let options = options(unit)
        let key = key(unit.source, text, headers, options)
        if let cubin = folder?.cubin(key) { return cubin }
        let output = try compiler.compile(
            text, name: unit.source, headers: headers, options: options)
        folder?.keep(output.cubin, key)
        return output.cubin
    }

    /// Nothing here loosens arithmetic: what may be approximate, kernels say themselves.
    package func options(_ unit: KernelVariant.Unit) -> [String] {
        ["--gpu-architecture=\(architecture)", "-std=c++17", "-default-device", "-lineinfo"]
            + unit.sortedDefinitions.map { "-D\($0.key)=\($0.value)" }
    }

    /// SHA-256, in hexadecimal, of all that a cubin depends on. Each part goes with its length, so that no two lists of
    /// parts run together to the same bytes.
    private func key(
        _ name: String, _ text: String, _ headers: [RuntimeCompiler.Header], _ options: [String]
    ) -> String {
        var parts = ["NVRTC \(compiler.version)", "driver \(driver)", name, text]
        parts += headers.flatMap { [$0.name, $0.text] }
        parts += options
        var hash = SHA256()
        for part in parts {
            hash.update(data: Data("\(part.utf8.count) ".utf8))
            hash.update(data: Data(part.utf8))
        }
        return hash.finalize().map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }
}
