import InnerQ
import Testing

@Suite struct CapabilityTests {
    @Test func everyWeightKernelEqualsItsOracle() {
        let checks = WeightVerification.run()
        // 11 types for each set of kernels; those that are quantized also interleaved, in integers and in float32.
        for kernels in Capabilities.current.kernels where kernels.isAvailable {
            let own = checks.filter { $0.name.hasPrefix("\(kernels.name) ") }
            let quantized = kernels.name.hasPrefix("avx") ? 8 : 0
            #expect(own.count { $0.name.hasSuffix(" integer") } == quantized)
            #expect(own.count { $0.name.hasSuffix(" interleaved") } == quantized)
            let units = own.count { $0.name.hasSuffix(" matrix unit") }
            #expect(units == (kernels.name.hasSuffix("-amx") ? 11 : 0))
            #expect(own.count == 11 + 2 * quantized + units)
        }
        for check in checks {
            #expect(check.passed, "\(check.name): \(check.worstError)")
            #expect(check.elements > 1000)
        }
    }

    @Test func capabilitiesNameOneSetOfKernelsInUse() {
        let capabilities = Capabilities.current
        #expect(capabilities.kernels.filter(\.isUsed).count == 1)
        #expect(capabilities.kernels.first { $0.name == "portable" }?.isAvailable == true)
        #expect(capabilities.presets.count == CachePolicy.presets.count)
        #expect(capabilities.presets.filter { !$0.cuda }.isEmpty)
        #expect(capabilities.cuda.devices.isEmpty == (capabilities.cuda.reason != nil))
    }

    @Test func foldersWithoutVectorsAreRefused() {
        #expect(throws: (any Error).self) { try VectorVerification.run(folder: "/nowhere") }
    }
}
