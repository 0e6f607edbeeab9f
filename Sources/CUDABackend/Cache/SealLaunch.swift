import CUDAKernels
import KVCache

/// One of the kernels that seal tiles of a layer, and how it is launched. Each does the tensors whose format it knows, so
/// that keys and values combine freely.
package struct SealLaunch {
    package let variant: KernelVariant
    /// First dimension of the grid; the others are tiles and sequences.
    package let columns: Int
    package let threads: Int
    package let sharedBytes: Int

    /// The kernels of a layer, one to three.
    package static func all(_ layer: DeviceLayout.Layer) -> [SealLaunch] {
        let formats = [layer.policy.keys, layer.policy.values]
        var kernels: [SealLaunch] = []
        if formats.contains(where: { $0.deviceLookup == IQ_NO_LOOKUP }) {
            kernels.append(tiles(layer))
        }
        let codebooks = formats.filter { $0.codebook != nil }
        if !codebooks.isEmpty { kernels.append(codebook(layer, tensors: codebooks.count)) }
        let rotated = formats.filter { $0.rotated != nil }
        if !rotated.isEmpty { kernels.append(self.rotated(layer, tensors: rotated.count)) }
        return kernels
    }

    /// Float16 and groups.
    private static func tiles(_ layer: DeviceLayout.Layer) -> SealLaunch {
        let rule = layer.policy.keyNormalization
        let hasFeedback: Int32 = rule?.feedback == true ? 1 : 0
        return SealLaunch(
            variant: KernelVariant(
                source: "seal.cu", entry: "iq_seal_tiles",
                definitions: layer.formats + [
                    "IQ_NORMALIZED": rule == nil ? 0 : 1, "IQ_FEEDBACK": Int(hasFeedback),
                ]),
            columns: layer.shape.kvHeads * Int(iq_seal_parts(hasFeedback)),
            threads: Int(IQ_SEAL_THREADS),
            sharedBytes: Int(iq_seal_shared_bytes(Int32(layer.shape.headSize), hasFeedback)))
    }

    private static func codebook(_ layer: DeviceLayout.Layer, tensors: Int) -> SealLaunch {
        SealLaunch(
            variant: KernelVariant(
                source: "seal_codebook.cu", entry: "iq_seal_codebook", definitions: layer.formats),
            columns: tensors, threads: Int(IQ_SEAL_CODEBOOK_THREADS),
            sharedBytes: codebookSharedBytes(layer))
    }

    /// The most that keys or values need.
    static func codebookSharedBytes(_ layer: DeviceLayout.Layer) -> Int {
        let (policy, page) = (layer.policy, layer.page)
        let isPreRotary = layer.shape.preRotary(policy) != IQ_POST_ROTARY
        return [
            (policy.keys, page.keySide, isPreRotary), (policy.values, page.valueSide, false),
        ].reduce(0) { most, tensor in
            let (format, side, isTurned) = tensor
            guard let codebook = format.codebook else { return most }
            return max(
                most,
                Int(
                    iq_seal_codebook_shared_bytes(
                        Int32(layer.shape.kvHeads), Int32(layer.shape.headSize),
                        side.capacity > 0 ? 1 : 0, codebook.vector == .token ? 1 : 0,
                        isTurned ? 1 : 0)))
        }
    }

    private static func rotated(_ layer: DeviceLayout.Layer, tensors: Int) -> SealLaunch {
        SealLaunch(
            variant: KernelVariant(
                source: "seal_rotated.cu", entry: "iq_seal_rotated", definitions: layer.formats),
            columns: layer.shape.kvHeads * tensors, threads: Int(IQ_SEAL_THREADS),
            sharedBytes: Int(iq_seal_rotated_shared_bytes(Int32(layer.shape.headSize))))
    }
}

extension DeviceLayout.Layer {
    /// The macros of both formats, head size and RoPE.
    var formats: [String: Int] {
        policy.keys.definitions(.keys) + policy.keys.levels(.keys)
            + policy.values.definitions(.values) + policy.values.levels(.values)
            + [
                "IQ_HEAD_SIZE": shape.headSize,
                "IQ_PRE_ROTARY": Int(shape.preRotary(policy).rawValue),
            ]
    }
}
