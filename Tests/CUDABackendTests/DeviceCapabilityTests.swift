import CUDABackend
import KVCache
import Testing

/// What the GPU refuses, and what it names instead.
@Suite struct DeviceCapabilityTests {
    private func shape(_ headSize: Int, ratio: Int = 4) -> CacheShape {
        CacheShape(layers: [
            LayerShape(queryHeads: 2 * ratio, kvHeads: 2, headSize: headSize),
            LayerShape(queryHeads: 2 * ratio, kvHeads: 2, headSize: headSize),
        ])
    }

    private func refusal(_ policy: CachePolicy, _ shape: CacheShape) -> CUDABackendError? {
        do {
            try DeviceCapability.check(policy: policy, shape: shape)
            return nil
        } catch { return error }
    }

    @Test(arguments: CachePolicy.presets) func everyPresetRunsOnEverySize(_ policy: CachePolicy) {
        #expect(DeviceCapability.supports(policy))
        for d in DeviceCapability.headSizes {
            for ratio in 1...16 { #expect(refusal(policy, shape(d, ratio: ratio)) == nil) }
        }
    }

    @Test func otherShapesNameTheNearest() {
        #expect(
            refusal(.innerQBase, shape(80))
                == .unsupportedHeadSize(80, layer: 0, nearest: 64))
        #expect(
            refusal(.innerQBase, shape(160))
                == .unsupportedHeadSize(160, layer: 0, nearest: 128))
        #expect(
            refusal(.innerQBase, shape(128, ratio: 17))
                == .unsupportedRatio(17, layer: 0, most: 16))
    }

    @Test func otherFormatsNameTheNearest() throws {
        var policy = CachePolicy.innerQBase
        policy.keys = .grouped(GroupedFormat(bits: 2, axis: .channel, mode: .hybrid))
        let hybrid = try #require(refusal(policy, shape(128)))
        #expect("\(hybrid)".contains("2 bits, symmetric, in groups along channels"))
        policy = .kivi2
        policy.keys = .grouped(GroupedFormat(bits: 3, axis: .token, mode: .asymmetric))
        let three = try #require(refusal(policy, shape(128)))
        #expect("\(three)".contains("4 bits, asymmetric, in groups along tokens"))
        #expect(!DeviceCapability.supports(policy))
        policy = .innerQBase
        policy.values = .grouped(GroupedFormat(bits: 3, axis: .token, scaleFit: .leastSquares))
        #expect(refusal(policy, shape(128)) == .unsupportedScaleFit("leastSquares", layer: 0))
    }

    @Test func exceptionsAreChecked() {
        var policy = CachePolicy.innerQBase
        policy.exceptions = [
            LayerException(
                layers: [-1],
                values: .grouped(GroupedFormat(bits: 4, axis: .channel, mode: .hybrid)))
        ]
        guard case .unsupportedFormat(_, layer: 1, _) = refusal(policy, shape(128)) else {
            Issue.record("not refused")
            return
        }
        #expect(!DeviceCapability.supports(policy))
    }
}
