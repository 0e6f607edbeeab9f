/// A cubin, read for what it says of its kernels: an ELF file of 64 bits in which each kernel has a section of its own.
///
///     .text.<kernel>         instructions; sh_info & 0xffffff is the kernel's symbol
///     .nv.shared.<kernel>    static shared memory: only its size counts
///     .nv.info               records about all kernels:
///
///                            byte 0   form: 1 nothing follows, 2 byte, 3 half, 4 as many bytes as bytes 2–3 say
///                            byte 1   attribute
///                            byte 2–3 value, or the number of bytes that follow
///                            bytes    for the attributes below: symbol (32 bits), value (32 bits)
///
/// NVIDIA does not document this. It was read from cubins of ptxas 12 and 13 for sm_80 to sm_90a, and is compared with the
/// compiler's own report in the tests.
package struct Cubin: Sendable {
    package struct Kernel: Sendable, Hashable {
        package let name: String
        package let registers: Int
        /// Memory of a thread beside its registers, bytes: spilled registers and arrays indexed at run time.
        package let stackBytes: Int
        package let staticSharedBytes: Int
        package let codeBytes: Int
    }

    package let kernels: [Kernel]

    /// Attributes of .nv.info.
    private enum Attribute {
        static let frameSize: UInt8 = 0x11
        static let minimumStackSize: UInt8 = 0x12
        static let maximumStackSize: UInt8 = 0x23
        static let registerCount: UInt8 = 0x2f
    }

    /// - Throws: ``CUDAError/badCubin(reason:)``; no bytes whatever make it crash.
    package init(_ bytes: [UInt8]) throws(CUDAError) {
        let file = try ELFReader(bytes)
        let info =
            try file.sections.first { $0.name == ".nv.info" }
            .map { (section) throws(CUDAError) in try Self.records(file, section) } ?? [:]
        let sizes = Dictionary(
            file.sections.map { ($0.name, $0.size) }, uniquingKeysWith: { first, _ in first })
        // From Hopper on, each block has a part of shared memory that is the system's.
        let reserved = sizes[".nv.shared.reserved.0"] == nil ? 0 : Self.reservedSharedBytes

        kernels = file.sections.compactMap { section in
            guard section.name.hasPrefix(".text.") else { return nil }
            let name = String(section.name.dropFirst(".text.".count))
            let symbol = section.info & 0xff_ffff
            let values = info[symbol] ?? [:]
            let shared = sizes[".nv.shared.\(name)"] ?? 0
            return Kernel(
                name: name,
                registers: Int(values[Attribute.registerCount] ?? section.info >> 24),
                stackBytes: Int(
                    max(
                        values[Attribute.frameSize] ?? 0,
                        values[Attribute.minimumStackSize] ?? 0,
                        values[Attribute.maximumStackSize] ?? 0)),
                staticSharedBytes: max(shared - reserved, 0),
                codeBytes: section.size)
        }
    }

    private static let reservedSharedBytes = 1024

    /// Values by symbol and attribute.
    private static func records(
        _ file: ELFReader, _ section: ELFReader.Section
    ) throws(CUDAError) -> [UInt32: [UInt8: UInt32]] {
        var values: [UInt32: [UInt8: UInt32]] = [:]
        var offset = section.offset
        let end = section.offset + section.size
        while offset < end {
            guard end - offset >= 4 else { throw .badCubin(reason: "a record of .nv.info is cut") }
            let form = try file.byte(at: offset)
            let attribute = try file.byte(at: offset + 1)
            let length = form == 4 ? Int(try file.half(at: offset + 2)) : 0
            guard length <= end - offset - 4 else {
                throw .badCubin(reason: "a record of .nv.info is longer than the section")
            }
            if form == 4, length == 8 {
                let symbol = try file.word(at: offset + 4)
                values[symbol, default: [:]][attribute] = try file.word(at: offset + 8)
            }
            offset += 4 + length
        }
        return values
    }
}
