import CUDABackend
import Foundation
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
        let sizes =
            policy.hasLookup ? DeviceCapability.lookupHeadSizes : DeviceCapability.headSizes
        for d in sizes {
            for ratio in 1...16 {
                let shape = shape(d, ratio: ratio).withRotary(for: policy)
                #expect(refusal(policy, shape) == nil)
            }
        }
    }

    @Test func lookupFormatsNeedTheirSizesAndRotary() throws {
        let quantized = try #require(CachePolicy.preset(named: "kvquant-nuq3-1%"))
        #expect(
            refusal(quantized, shape(128)) == .policy(.needsRotary(policy: "kvquant-nuq3-1%")))
        let turned = try #require(CachePolicy.preset(named: "turboquant-4-3"))
        let size = try #require(refusal(turned, shape(96)))
        #expect("\(size)".contains("head size 96 (64 and 128 only)"))
        #expect("\(size)".contains("4 bits, symmetric"))
        let residual = try #require(CachePolicy.preset(named: "turboquant-3-2-ip"))
        #expect(!DeviceCapability.supports(residual))
        let refused = try #require(refusal(residual, shape(128)))
        #expect("\(refused)".contains("keys with the residual"))
        #expect("\(refused)".contains("3 bits, rotated, without a residual"))
        let wide = CacheShape(layers: [
            LayerShape(queryHeads: 128, kvHeads: 128, headSize: 128).withRotary(for: quantized)
        ])
        let channels = try #require(refusal(quantized, wide))
        #expect("\(channels)".contains("16384 channels (8192 at most)"))
        #expect(refusal(turned, wide) == nil)
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

    /// Every text names what was asked and what to do.
    @Test func textsSayWhatToDo() {
        let gigabyte = 1 << 30
        for (error, parts) in [
            (
                .unsupportedHeadSize(80, layer: 3, nearest: 64),
                ["layer 3", "80", "64", "--device cpu"]
            ),
            (.unsupportedRatio(32, layer: 0, most: 16), ["32 query heads", "16", "--device cpu"]),
            (
                .unsupportedFormat("keys of 3 bits", layer: 1, nearest: "4 bits"),
                ["layer 1", "keys of 3 bits", "nearest", "4 bits", "--device cpu"]
            ),
            (
                .unsupportedScaleFit("unbiased", layer: 2),
                ["'unbiased'", "extreme", "--device cpu"]
            ),
            (
                .outOfMemory(asked: gigabyte, free: 1000, longestContext: 8191),
                ["1073741824", "1000 are free", "8191 tokens would fit", "Shorten"]
            ),
            (
                .outOfMemory(asked: 5, free: 1, longestContext: nil),
                ["5 bytes", "not even an empty cache"]
            ),
            (.contextTooLong(tokens: 9, reserved: 8), ["9 tokens", "made for 8"]),
            (.tooManySequences(65, most: 64), ["65", "64"]),
            (.policy(.needsCalibration(policy: "nuq")), ["'nuq' needs a calibration"]),
            (.shapeTooLarge(1 << 40, most: 1 << 31), ["1099511627776", "--device cpu"]),
        ] as [(CUDABackendError, [String])] {
            for part in parts { #expect("\(error)".contains(part), "\(error)") }
            #expect(error.localizedDescription == "\(error)")
        }
    }
}
