import CUDABackend
import CUDADriver
import Dispatch
import Foundation
import Synchronization
import Testing

/// NVRTC of this machine, if there is one.
private let compiler = try? RuntimeCompiler()

/// Whether all variants shall be compiled, which takes long, and not only a choice of them.
private let compilesAll =
    ProcessInfo.processInfo.environment["INNERQ_ALL_KERNELS"].map { $0 != "0" && !$0.isEmpty }
    ?? false

@Suite("Kernels compile", .enabled(if: compiler != nil, "NVRTC is not on this machine"))
struct KernelCompilationTests {
    @Test(
        "Without an error, a spilled register or an array in memory",
        arguments: ["sm_80", "sm_90", "sm_90a"])
    func compiles(architecture: String) throws {
        let compiler = try RuntimeCompiler()
        let kernels = KernelCompiler(
            compiler, architecture: architecture,
            driver: compiler.version, folder: nil)
        let variants =
            compilesAll
            ? KernelVariant.all(for: architecture)
            : KernelVariant.representative(for: architecture)
        let entries = Dictionary(grouping: variants, by: \.unit)
        let units = entries.keys.sorted { $0.description < $1.description }
        let done = Mutex(0)
        // The compiler may run several times at once, and takes a whole processor each time.
        DispatchQueue.concurrentPerform(iterations: units.count) { index in
            let unit = units[index]
            let number = done.withLock {
                $0 += 1
                return $0
            }
            print("\(architecture) \(number)/\(units.count): \(unit)")
            do {
                let found = try Cubin(try kernels.cubin(unit)).kernels
                for entry in Set(entries[unit, default: []].map(\.entry)) {
                    guard let kernel = found.first(where: { $0.name == entry }) else {
                        Issue.record("\(unit) has no kernel \(entry), only \(found.map(\.name))")
                        continue
                    }
                    #expect(
                        kernel.stackBytes == 0,
                        "\(entry) of \(unit) for \(architecture): \(kernel.registers) registers and \(kernel.stackBytes) bytes in memory"
                    )
                    #expect(kernel.registers > 0 && kernel.registers <= 255)
                }
            } catch {
                Issue.record("\(unit) for \(architecture): \(error)")
            }
        }
    }
}
