/// A small cubin with one kernel, `one`, as ptxas lays it out.
struct CubinBuilder {
    var registers: UInt32 = 40
    var stackBytes: UInt32 = 0
    var sharedBytes: UInt64 = 256
    /// Whether the system has its part of shared memory, as from Hopper on.
    var reserved = false

    var bytes: [UInt8] {
        var info: [UInt8] = []
        for (attribute, value) in [(0x2f, registers), (0x11, stackBytes), (0x12, stackBytes)] {
            info += [4, UInt8(attribute), 8, 0] + little(UInt32(5)) + little(value)
        }
        info += [1, 0x2a, 0, 0, 3, 0x1b, 0xff, 0]
        var sections: [(name: String, type: UInt32, info: UInt32, size: UInt64, bytes: [UInt8])] = [
            ("", 0, 0, 0, []),
            (".nv.info", 0x7000_0000, 0, UInt64(info.count), info),
            (".text.one", 1, 5, 128, [UInt8](repeating: 0, count: 128)),
            (".nv.shared.one", 8, 2, sharedBytes + (reserved ? 1024 : 0), []),
        ]
        if reserved { sections.append((".nv.shared.reserved.0", 8, 0, 0, [])) }
        var names: [UInt8] = [0]
        var nameOffsets: [Int] = []
        for section in sections.map(\.name) + [".shstrtab"] {
            nameOffsets.append(names.count)
            names += Array(section.utf8) + [0]
        }
        sections.append((".shstrtab", 3, 0, UInt64(names.count), names))

        var body: [UInt8] = []
        var offsets: [Int] = []
        for section in sections {
            offsets.append(64 + body.count)
            body += section.bytes
        }
        var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0x41, 8]
        file += [UInt8](repeating: 0, count: 64 - file.count)
        file.replaceSubrange(0x28..<0x30, with: little(UInt64(64 + body.count)))
        file.replaceSubrange(0x3a..<0x3c, with: little(UInt16(64)))
        file.replaceSubrange(0x3c..<0x3e, with: little(UInt16(sections.count)))
        file.replaceSubrange(0x3e..<0x40, with: little(UInt16(sections.count - 1)))
        file += body
        for (index, section) in sections.enumerated() {
            file += little(UInt32(nameOffsets[index])) + little(section.type)
            file += little(UInt64(0)) + little(UInt64(0)) + little(UInt64(offsets[index]))
            file += little(section.size) + little(UInt32(0)) + little(section.info)
            file += little(UInt64(1)) + little(UInt64(0))
        }
        return file
    }

    private func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
