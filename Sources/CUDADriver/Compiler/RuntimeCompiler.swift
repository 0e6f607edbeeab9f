internal import Foundation

/// NVRTC: compiles CUDA C++ for a GPU while the program runs. May be used from several threads at once.
package final class RuntimeCompiler: Sendable {
    package let version: CUDAVersion
    /// The library's path, or its name where the system's loader found it.
    package let file: String
    private let table: CompilerTable

    /// A header as sources include it: `#include "name"`.
    package struct Header: Sendable, Hashable {
        package let name: String
        package let text: String

        package init(name: String, text: String) {
            self.name = name
            self.text = text
        }
    }

    package struct Output: Sendable {
        /// The kernels' machine code: an ELF file for one architecture.
        package let cubin: [UInt8]
        /// Warnings, and what options ask for.
        package let log: String
    }

    /// Finds NVRTC; ``CompilerSearch`` says where.
    ///
    /// - Parameter driver: the driver that will load the kernels, if there is one.
    /// - Throws: ``CUDAError/noCompiler(searched:)``, ``CUDAError/badCompiler(file:reason:)``.
    package convenience init(driver: CUDAVersion? = nil) throws(CUDAError) {
        try self.init(searching: .system, driver: driver)
    }

    package convenience init(searching search: CompilerSearch, driver: CUDAVersion?)
        throws(CUDAError)
    {
        let candidates = search.candidates(driver: driver)
        for candidate in candidates {
            let library: DynamicLibrary
            do throws(DynamicLibrary.Failure) {
                for helper in search.helpers(of: candidate) { _ = try? DynamicLibrary(helper) }
                library = try DynamicLibrary(candidate)
            } catch {
                // One that was asked for by name, or is there, should say why it cannot be used.
                guard candidate.contains("/") else { continue }
                throw .badCompiler(file: candidate, reason: error.reason)
            }
            let table: CompilerTable
            do throws(CompilerTable.Missing) {
                table = try CompilerTable { library.symbol($0) }
            } catch {
                throw .badCompiler(file: candidate, reason: "it has no \(error.symbol)")
            }
            try self.init(table: table, file: candidate)
            return
        }
        throw .noCompiler(searched: candidates)
    }

    package init(table: CompilerTable, file: String) throws(CUDAError) {
        var major: Int32 = 0
        var minor: Int32 = 0
        guard table.nvrtcVersion(&major, &minor) == 0 else {
            throw .badCompiler(file: file, reason: "it does not tell its version")
        }
        version = CUDAVersion(major: Int(major), minor: Int(minor))
        guard version >= CUDAVersion(major: 12, minor: 1) else {
            throw .badCompiler(file: file, reason: "it is of CUDA \(version), and 12.1 is needed")
        }
        self.table = table
        self.file = file
    }

    /// Compiles a source.
    ///
    /// - Parameters:
    ///   - name: what messages call it.
    ///   - options: NVRTC's; one of them must name a real architecture (`--gpu-architecture=sm_90a`).
    /// - Throws: ``CUDAError/compilationFailed(source:name:log:)``, with the compiler's messages.
    package func compile(
        _ source: String, name: String, headers: [Header] = [], options: [String]
    ) throws(CUDAError) -> Output {
        var program: CompilerTable.Program = 0
        let texts = CStrings(headers.map(\.text))
        let names = CStrings(headers.map(\.name))
        try check(
            table.nvrtcCreateProgram(
                &program, source, name, Int32(headers.count), texts.pointers, names.pointers),
            name, log: "nvrtcCreateProgram")
        defer { _ = table.nvrtcDestroyProgram(&program) }

        let arguments = CStrings(options)
        let status = table.nvrtcCompileProgram(
            program, Int32(options.count), arguments.pointers)
        let log = log(of: program)
        try check(status, name, log: log)

        var size = 0
        try check(table.nvrtcGetCUBINSize(program, &size), name, log: log)
        guard size > 0 else {
            throw .compilationFailed(
                source: name, name: "no machine code",
                log: "the options name no real architecture: \(options.joined(separator: " "))")
        }
        var copied: CompilerTable.Status = 0
        let cubin = [UInt8](unsafeUninitializedCapacity: size) { bytes, initialized in
            copied = bytes.withMemoryRebound(to: CChar.self) {
                table.nvrtcGetCUBIN(program, $0.baseAddress!)
            }
            initialized = copied == 0 ? size : 0
        }
        try check(copied, name, log: log)
        return Output(cubin: cubin, log: log)
    }

    private func log(of program: CompilerTable.Program) -> String {
        var size = 0
        guard table.nvrtcGetProgramLogSize(program, &size) == 0, size > 1 else { return "" }
        // With a zero at its end, and one more in case that was forgotten.
        var text = [CChar](repeating: 0, count: size + 1)
        guard table.nvrtcGetProgramLog(program, &text) == 0 else { return "" }
        let end = text.firstIndex(of: 0) ?? size
        return String(decoding: text[..<end].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private func check(
        _ status: CompilerTable.Status, _ source: String, log: String
    ) throws(CUDAError) {
        guard status != 0 else { return }
        let name = table.nvrtcGetErrorString(status).map { String(cString: $0) }
        throw .compilationFailed(source: source, name: name ?? "NVRTC error \(status)", log: log)
    }
}

/// An array of C strings that lives as long as this does.
private final class CStrings {
    private let strings: [UnsafeMutablePointer<CChar>?]
    private let array: UnsafeMutablePointer<UnsafePointer<CChar>?>

    init(_ texts: [String]) {
        strings = texts.map { strdup($0) }
        array = .allocate(capacity: max(strings.count, 1))
        for (index, string) in strings.enumerated() {
            (array + index).initialize(to: UnsafePointer(string))
        }
    }

    deinit {
        for string in strings { free(string) }
        array.deallocate()
    }

    var pointers: CompilerTable.Strings { UnsafePointer(array) }
}
