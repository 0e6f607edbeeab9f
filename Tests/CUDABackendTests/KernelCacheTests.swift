import CUDABackend
import CUDADriver
import CUDAKernels
import CUDAStandIn
import Foundation
import KVCache
import Testing

/// NVRTC of this machine, if there is one.
private let compiler = try? RuntimeCompiler()

@Suite("Kernels of a GPU", .enabled(if: compiler != nil, "NVRTC is not on this machine"))
struct KernelCacheTests {
    private let variant = KernelVariant(
        source: KernelSource.kernels[0], entry: "first", definitions: ["IQ_HEAD_SIZE": 128])
    private let compiler: RuntimeCompiler

    init() throws { compiler = try RuntimeCompiler() }

    private func run(_ body: (StandIn, KernelFolder) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory
            .appending(path: "innerq-kernels-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try StandIn.run { try body($0, KernelFolder(path: path)) }
    }

    /// Names of the kept files.
    private func files(_ folder: KernelFolder) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
    }

    @Test("A kernel is compiled and loaded once")
    func once() throws {
        try run { standIn, folder in
            let cache = KernelCache(
                try standIn.context(), compiler: compiler, folder: folder)
            for _ in 0..<3 { #expect(try cache.function(variant).name == "first") }
            let other = KernelVariant(
                source: variant.unit.source, entry: "second",
                definitions: variant.unit.definitions)
            _ = try cache.function(other)
            #expect(standIn.calls.filter { $0 == "cuModuleLoadData" }.count == 1)
            #expect(standIn.calls.filter { $0 == "cuModuleGetFunction" }.count == 2)
            #expect(files(folder).count == 1)
        }
    }

    @Test("Another program finds what this one kept, and mends what is damaged")
    func again() throws {
        try run { standIn, folder in
            func open() throws -> KernelCache {
                KernelCache(try standIn.context(), compiler: compiler, folder: folder)
            }
            _ = try open().function(variant)
            let file = URL(fileURLWithPath: "\(folder.path)/\(files(folder)[0])")
            let kept = try Data(contentsOf: file)
            _ = try open().function(variant)
            #expect(files(folder).count == 1)

            try kept.dropLast(10).write(to: file)
            _ = try open().function(variant)
            #expect(try Data(contentsOf: file).count == kept.count)
        }
    }

    @Test("Other macros, another GPU or another driver is another kernel")
    func keys() throws {
        var machines = [StandIn.Machine](repeating: .init(), count: 3)
        machines[1].attributes[.computeCapabilityMajor] = 8
        machines[2].driverVersion = 12090
        let path = FileManager.default.temporaryDirectory
            .appending(path: "innerq-kernels-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let folder = KernelFolder(path: path)
        for machine in machines {
            try StandIn.run(machine) { standIn in
                let cache = KernelCache(
                    try standIn.context(), compiler: compiler, folder: folder)
                _ = try cache.function(variant)
            }
        }
        #expect(files(folder).count == 3)
        try StandIn.run { standIn in
            let cache = KernelCache(try standIn.context(), compiler: compiler, folder: folder)
            _ = try cache.function(
                KernelVariant(
                    source: variant.unit.source, entry: "first",
                    definitions: ["IQ_HEAD_SIZE": 64]))
        }
        #expect(files(folder).count == 4)
    }

    @Test("Without a folder kernels are compiled all the same")
    func noFolder() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            for folder in [nil, KernelFolder(path: "/proc/innerq")] {
                let cache = KernelCache(context, compiler: compiler, folder: folder)
                #expect(try cache.function(variant).name == "first")
            }
        }
    }

    @Test("A source that there is not")
    func unknown() throws {
        try StandIn.run { standIn in
            let cache = KernelCache(try standIn.context(), compiler: compiler, folder: nil)
            #expect {
                try cache.function(KernelVariant(source: "nothing.cu", entry: "f"))
            } throws: {
                "\($0)".contains("nothing.cu") && "\($0)".contains("decode.cu")
            }
        }
    }

    @Test("What kernels are told goes to the driver byte for byte")
    func parameters() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            let kernel = try KernelCache(context, compiler: compiler, folder: nil).function(variant)
            let stream = try CUDAStream(context)
            var append = iq_append()
            append.queries = 0x1122_3344_5566_7788
            append.pairs = 32
            append.sequence.63.count = 77
            standIn.setParameterSize(MemoryLayout<iq_append>.size, of: "first")
            try stream.launch(kernel, grid: LaunchSize(3, 8), block: 128, parameters: append)
            let told = try #require(standIn.launches.first?.parameters(as: iq_append.self))
            #expect(told.queries == 0x1122_3344_5566_7788)
            #expect(told.pairs == 32)
            #expect(told.sequence.63.count == 77)
        }
    }
}

@Suite("The catalogue of kernels")
struct KernelCatalogueTests {
    @Test("It lists what there is, and nothing twice", arguments: ["sm_80", "sm_90", "sm_90a"])
    func lists(architecture: String) {
        let all = KernelVariant.all(for: architecture)
        #expect(Set(all).count == all.count, "a variant is listed twice")
        #expect(Set(all.map(\.unit.source)).isSubset(of: KernelSource.kernels))
        #expect(Set(KernelVariant.representative(for: architecture)).isSubset(of: all))
    }

    @Test("The choice shows each format of keys, each of values and each head size of each kernel")
    func representative() {
        let formats = [(0, 16), (1, 2), (1, 3), (1, 4), (2, 4)]
        var all: [KernelVariant] = []
        for entry in ["seal", "attend"] {
            for size in [64, 96, 128] {
                for keys in formats {
                    for values in formats {
                        all.append(
                            KernelVariant(
                                source: "both.cu", entry: entry,
                                definitions: [
                                    "IQ_HEAD_SIZE": size,
                                    "IQ_KEY_KIND": keys.0, "IQ_KEY_BITS": keys.1,
                                    "IQ_VALUE_KIND": values.0, "IQ_VALUE_BITS": values.1,
                                ]))
                    }
                }
            }
        }
        all.append(KernelVariant(source: "plain.cu", entry: "copy"))

        let chosen = KernelVariant.representative(of: all)
        #expect(chosen.count == 11)
        #expect(Set(chosen).isSubset(of: all))
        for entry in ["seal", "attend"] {
            let definitions = chosen.filter { $0.entry == entry }.map(\.unit.definitions)
            #expect(Set(definitions.map { $0["IQ_HEAD_SIZE"] }) == [64, 96, 128])
            for stem in ["IQ_KEY", "IQ_VALUE"] {
                let shown = definitions.map { [$0["\(stem)_KIND"], $0["\(stem)_BITS"]] }
                #expect(Set(shown) == Set(formats.map { [$0.0, $0.1] }))
            }
        }
        #expect(KernelVariant.representative(of: []).isEmpty)
    }

    @Test("Every preset's decode kernels of usual sizes are among the choice for Hopper")
    func usual() {
        let chosen = KernelVariant.representative(for: "sm_90a")
        for policy in CachePolicy.presets {
            let hasTables = [policy.keys, policy.values].contains {
                $0.codebook != nil || $0.rotated != nil
            }
            for heads in hasTables ? [4] : [1, 4, 8] {
                let turns = policy.keys.codebook?.preRotary == true
                let shape = DecodeShape(
                    policy.layer(0, of: 1), headSize: 128, heads: heads, warps: 8, blocks: 1,
                    sequences: 1, preRotary: turns ? IQ_HALF_SPLIT : IQ_POST_ROTARY)
                #expect(chosen.contains(shape.variant), "\(policy.name), \(heads) heads")
            }
        }
        for architecture in ["sm_80", "sm_90", "sm_90a"] {
            let all = KernelVariant.all(for: architecture)
            let chosen = KernelVariant.representative(for: architecture)
            #expect(chosen.count < all.count / 5)
            #expect(Set(chosen.map(\.entry)) == Set(all.map(\.entry)))
        }
    }
}
