/// A JSON value from a model's file, read strictly: no duplicate keys, no deep nesting, errors with a byte offset.
///
/// Written for headers and configurations. Memory is at most a small multiple of the text's length.
package enum FileJSON: Sendable {
    case null
    case bool(Bool)
    /// A number without fraction or exponent that fits 64 bits.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([FileJSON])
    /// Members in the file's order; keys differ from each other.
    case object([(key: String, value: FileJSON)])

    /// Parses one value that fills `text` up to surrounding white space.
    ///
    /// - Parameters:
    ///   - offset: of the text's first byte in the file, added to error offsets.
    ///   - path: of the file, for errors.
    package init(
        parsing text: UnsafeRawBufferPointer, offset: Int = 0, path: String
    ) throws(ModelFileError) {
        var parser = JSONParser(text: text, base: offset, path: path)
        self = try parser.parseDocument()
    }

    /// The member of that name; `nil` if this is no object, lacks it, or holds `null` there.
    package subscript(_ key: String) -> FileJSON? {
        guard case .object(let members) = self,
            let value = members.first(where: { $0.key == key })?.value
        else { return nil }
        if case .null = value { return nil }
        return value
    }

    package var integer: Int? { if case .integer(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var array: [FileJSON]? { if case .array(let value) = self { value } else { nil } }
    package var members: [(key: String, value: FileJSON)]? {
        if case .object(let value) = self { value } else { nil }
    }
    package var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}

/// A recursive-descent parser of RFC 8259 over bytes.
private struct JSONParser {
    let text: UnsafeRawBufferPointer
    let base: Int
    let path: String
    var position = 0
    var depth = 0

    /// Real headers and configurations stay below ten.
    static let deepest = 64

    init(text: UnsafeRawBufferPointer, base: Int, path: String) {
        self.text = text
        self.base = base
        self.path = path
    }

    func error(at place: Int? = nil, _ what: String) -> ModelFileError {
        ModelFileError(
            .malformed, path: path, offset: base + (place ?? position),
            "The JSON text is wrong: \(what). The file is damaged; download it again.")
    }

    mutating func parseDocument() throws(ModelFileError) -> FileJSON {
        let value = try parseValue()
        skipBlanks()
        guard position == text.count else { throw error("there is more after its end") }
        return value
    }

    private mutating func skipBlanks() {
        while position < text.count {
            switch text[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// The next byte that is not blank, not consumed.
    private mutating func peek() throws(ModelFileError) -> UInt8 {
        skipBlanks()
        guard position < text.count else { throw error("it ends too early") }
        return text[position]
    }

    private mutating func parseValue() throws(ModelFileError) -> FileJSON {
        switch try peek() {
        case UInt8(ascii: "{"): return try parseObject()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: return try parseNumber()
        }
    }

    private mutating func parseWord(
        _ word: StaticString, _ value: FileJSON
    ) throws(ModelFileError) -> FileJSON {
        let count = word.utf8CodeUnitCount
        guard count <= text.count - position,
            text[position..<position + count].elementsEqual(
                UnsafeBufferPointer(start: word.utf8Start, count: count))
        else { throw error("a word that is not true, false or null") }
        position += count
        return value
    }

    private mutating func parseNumber() throws(ModelFileError) -> FileJSON {
        let start = position
        scan: while position < text.count {
            switch text[position] {
            case 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
                UInt8(ascii: "e"), UInt8(ascii: "E"):
                position += 1
            default: break scan
            }
        }
        guard start < position, text[start] != UInt8(ascii: "+"), position - start <= 400 else {
            throw error(at: start, "a value was expected")
        }
        let digits = String(decoding: text[start..<position], as: UTF8.self)
        if let value = Int(digits) { return .integer(value) }
        guard let value = Double(digits), value.isFinite else {
            throw error(at: start, "a number that cannot be read")
        }
        return .number(value)
    }

    private mutating func enter() throws(ModelFileError) {
        depth += 1
        guard depth <= Self.deepest else { throw error("nesting deeper than \(Self.deepest)") }
        position += 1
    }

    private mutating func parseArray() throws(ModelFileError) -> FileJSON {
        try enter()
        defer { depth -= 1 }
        var items: [FileJSON] = []
        if try peek() == UInt8(ascii: "]") {
            position += 1
            return .array(items)
        }
        while true {
            items.append(try parseValue())
            if try !continues(until: UInt8(ascii: "]")) { return .array(items) }
        }
    }

    private mutating func parseObject() throws(ModelFileError) -> FileJSON {
        try enter()
        defer { depth -= 1 }
        var members: [(key: String, value: FileJSON)] = []
        var seen: Set<String> = []
        if try peek() == UInt8(ascii: "}") {
            position += 1
            return .object(members)
        }
        while true {
            guard try peek() == UInt8(ascii: "\"") else { throw error("a key was expected") }
            let start = position
            let key = try parseString()
            guard seen.insert(key).inserted else {
                throw error(at: start, "the key \"\(key)\" appears twice")
            }
            guard try peek() == UInt8(ascii: ":") else { throw error("a colon was expected") }
            position += 1
            members.append((key, try parseValue()))
            if try !continues(until: UInt8(ascii: "}")) { return .object(members) }
        }
    }

    /// Consumes a comma (true) or the closing byte (false).
    private mutating func continues(until end: UInt8) throws(ModelFileError) -> Bool {
        let byte = try peek()
        guard byte == end || byte == UInt8(ascii: ",") else {
            throw error("a comma was expected")
        }
        position += 1
        return byte != end
    }

    private mutating func parseString() throws(ModelFileError) -> String {
        let start = position
        position += 1
        var bytes: [UInt8] = []
        while true {
            guard position < text.count else { throw error(at: start, "a string without an end") }
            let byte = text[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: bytes, as: UTF8.self) else {
                    throw error(at: start, "a string that is not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): try parseEscape(into: &bytes)
            case 0..<0x20: throw error(at: position - 1, "a control character in a string")
            default: bytes.append(byte)
            }
        }
    }

    private mutating func parseEscape(into bytes: inout [UInt8]) throws(ModelFileError) {
        guard position < text.count else { throw error("it ends too early") }
        let byte = text[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try parseHexadecimal()
            if (0xD800..<0xDC00).contains(unit), text.count - position >= 6,
                text[position] == UInt8(ascii: "\\"), text[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = try parseHexadecimal()
                guard (0xDC00..<0xE000).contains(low) else {
                    throw error("half of a surrogate pair")
                }
                unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(unit) else {
                throw error("half of a surrogate pair")
            }
            bytes.append(contentsOf: UTF8.encode(scalar)!)
        default: throw error(at: position - 1, "an unknown escape")
        }
    }

    private mutating func parseHexadecimal() throws(ModelFileError) -> UInt32 {
        guard text.count - position >= 4 else { throw error("it ends too early") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(text[position])).hexDigitValue else {
                throw error("a wrong \\u escape")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}
