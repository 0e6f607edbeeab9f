import Foundation
import InnerQ
import KVCache
import Testing

@Suite struct VerificationTests {
    static let vectors = Bundle.module.path(forResource: "Fixtures/vectors", ofType: nil) ?? ""

    @Test func quantizersEqualTheGoldenVectorsToTheLastBit() throws {
        let checks = try VectorVerification.run(folder: Self.vectors)
        #expect(checks.count == 2 * 2 * 16 + AttentionKernels.all.count)
        for check in checks { #expect(check.passed, "\(check)") }
        for check in checks where check.tolerance == 0 { #expect(check.worstError == 0) }
    }

    @Test func everyAttentionKernelEqualsItsOracle() {
        let checks = KernelVerification.run()
        #expect(checks.count >= 23)
        for check in checks { #expect(check.passed, "\(check)") }
    }

    @Test func aWrongVectorFileFails() throws {
        // The same file with one input changed must be noticed.
        let folder = FileManager.default.temporaryDirectory.path + "/vectors-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let name = "/quantizers-onesided-h1-t64-d96.safetensors"
        var data = try Data(contentsOf: URL(fileURLWithPath: Self.vectors + name))
        // The header's length, the header, then tensors: flip a high bit of the last float.
        data[data.count - 1] ^= 0x40
        data[data.count - 30_000] ^= 0x01
        try data.write(to: URL(fileURLWithPath: folder + name))
        #expect(try VectorVerification.run(folder: folder).contains { !$0.passed })
    }

    @Test func anEmptyFolderIsAnError() {
        let folder = FileManager.default.temporaryDirectory.path + "/none-\(UUID().uuidString)"
        #expect(throws: (any Error).self) { try VectorVerification.run(folder: folder) }
    }

    @Test func fullRangeLevelsBeatBothOfficialSetsAtTheSameBits() {
        for mode in [QuantizationMode.symmetric, .hybrid] {
            for bits in [2, 3] {
                for distribution in QuantizerError.Distribution.allCases {
                    func rmse(_ levels: LevelSet) -> Double {
                        QuantizerError.measure(
                            GroupedFormat(bits: bits, axis: .channel, mode: mode, levels: levels),
                            distribution
                        ).rmse
                    }
                    #expect(rmse(.fullRange) < rmse(.official), "\(mode) \(bits) \(distribution)")
                    // One-sided hybrid groups are asymmetric in both sets, and equal but for a few.
                    #expect(
                        rmse(.fullRange) <= rmse(.kernel) * 1.0001,
                        "\(mode) \(bits) \(distribution)")
                }
            }
        }
    }

    @Test func measuredErrorsOfTheOfficialSetsAreTheKnownOnes() {
        func rmse(_ bits: Int, _ mode: QuantizationMode, _ levels: LevelSet) -> Double {
            QuantizerError.measure(
                GroupedFormat(bits: bits, axis: .channel, mode: mode, levels: levels), .normal
            ).rmse
        }
        // Known values: root mean square errors on N(0,1), groups of 32.
        #expect(abs(rmse(2, .symmetric, .official) - 0.660) < 0.01)
        #expect(abs(rmse(3, .symmetric, .official) - 0.227) < 0.01)
        #expect(abs(rmse(2, .symmetric, .kernel) - 0.392) < 0.01)
        #expect(abs(rmse(3, .symmetric, .kernel) - 0.190) < 0.01)
        #expect(abs(rmse(2, .asymmetric, .official) - 0.393) < 0.01)
        #expect(abs(rmse(3, .asymmetric, .official) - 0.168) < 0.01)
        #expect(abs(rmse(2, .hybrid, .kernel) - 0.370) < 0.01)
    }

    @Test(arguments: [(1, 0.3634), (2, 0.1175), (3, 0.0345), (4, 0.0095)])
    func distortionOfRotatedFormatsIsThePublishedOne(bits: Int, published: Double) throws {
        let format = TensorFormat.rotated(RotatedFormat(bits: bits))
        let error = try #require(VectorError.measure(format, headSize: 128, .normal))
        #expect(abs(error.distortion / published - 1) < 0.03, "\(error.distortion)")
        // The error of a vector points anywhere, so products have the same.
        #expect(abs(error.productError / error.distortion - 1) < 0.1, "\(error.productError)")
        #expect(abs(error.gain - (1 - error.distortion)) < 0.002, "\(error.gain)")
    }

    @Test func residualsOfRotatedFormatsKeepTheSizeOfProducts() throws {
        for bits in 2...4 {
            let format = TensorFormat.rotated(RotatedFormat(bits: bits, hasResidual: true))
            let error = try #require(VectorError.measure(format, headSize: 128, .normal))
            #expect(abs(error.gain - 1) < 0.003, "\(bits): \(error.gain)")
        }
    }
}
