package import CPUKernels

/// The processor's attention kernels.
package struct AttentionKernels: @unchecked Sendable {
    // The table is constant static data of the C target; sharing the pointer is safe.
    package let table: UnsafePointer<iq_attention_kernels>
    package let name: String

    /// The fastest variant that the running processor can execute.
    package static let best = AttentionKernels(iq_kernels())

    /// Every variant that the running processor can execute.
    package static var all: [AttentionKernels] {
        (0..<iq_kernels_count()).compactMap { iq_kernels_at($0).map(AttentionKernels.init) }
    }

    /// What compiled them, such as "Clang 17.0.0".
    package static var compiler: String { String(cString: iq_compiler()) }

    private init(_ kernels: UnsafePointer<iq_kernels>) {
        table = kernels.pointee.attention
        name = String(cString: kernels.pointee.name)
    }
}
