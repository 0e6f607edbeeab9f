/// The section table of an ELF file of 64 bits, little-endian. Every offset is checked.
struct ELFReader {
    struct Section {
        let name: String
        /// Where its bytes are; a section without bytes in the file (such as shared memory) has offset 0 here.
        let offset: Int
        let size: Int
        let info: UInt32
    }

    let bytes: [UInt8]
    private(set) var sections: [Section] = []

    private static let noBits: UInt32 = 8

    init(_ bytes: [UInt8]) throws(CUDAError) {
        self.bytes = bytes
        guard bytes.count >= 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]) else {
            throw .badCubin(reason: "it is no ELF file of 64 bits")
        }
        let table = try offset(at: 0x28)
        let entry = Int(try half(at: 0x3a))
        let count = Int(try half(at: 0x3c))
        let names = Int(try half(at: 0x3e))
        guard entry == 64, names < count, table <= bytes.count,
            count <= (bytes.count - table) / entry
        else { throw .badCubin(reason: "its section table is not in the file") }

        let nameStart = try offset(at: table + names * entry + 0x18)
        let nameSize = try offset(at: table + names * entry + 0x20)
        guard nameStart <= bytes.count, nameSize <= bytes.count - nameStart else {
            throw .badCubin(reason: "its section names are not in the file")
        }
        for index in 0..<count {
            let header = table + index * entry
            let name = Int(try word(at: header))
            let hasBytes = try word(at: header + 4) != Self.noBits
            let start = hasBytes ? try offset(at: header + 0x18) : 0
            let size = try offset(at: header + 0x20)
            guard !hasBytes || (start <= bytes.count && size <= bytes.count - start) else {
                throw .badCubin(reason: "section \(index) is not in the file")
            }
            guard name < nameSize || nameSize == 0 else {
                throw .badCubin(reason: "the name of section \(index) is not in the file")
            }
            let text = bytes[(nameStart + min(name, nameSize))..<(nameStart + nameSize)]
            sections.append(
                Section(
                    name: String(decoding: text.prefix { $0 != 0 }, as: UTF8.self),
                    offset: start, size: size, info: try word(at: header + 0x2c)))
        }
    }

    func byte(at offset: Int) throws(CUDAError) -> UInt8 {
        guard offset >= 0, offset < bytes.count else {
            throw .badCubin(reason: "byte \(offset) of \(bytes.count)")
        }
        return bytes[offset]
    }

    func half(at offset: Int) throws(CUDAError) -> UInt16 {
        UInt16(try byte(at: offset)) | UInt16(try byte(at: offset + 1)) << 8
    }

    func word(at offset: Int) throws(CUDAError) -> UInt32 {
        UInt32(try half(at: offset)) | UInt32(try half(at: offset + 2)) << 16
    }

    /// A number of 64 bits that is an offset or size: less than 2⁴⁸, so that sums do not overflow.
    private func offset(at offset: Int) throws(CUDAError) -> Int {
        let value = UInt64(try word(at: offset)) | UInt64(try word(at: offset + 4)) << 32
        guard value < 1 << 48 else { throw .badCubin(reason: "an offset of \(value)") }
        return Int(value)
    }
}
