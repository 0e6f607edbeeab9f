/// A JSON text (RFC 8259) read into memory, with strings kept as bytes.
///
/// Foundation's reader makes dictionaries keyed on `String`, which compares by canonical
/// equivalence: two pieces that differ only in normalization would become one. Here an object is
/// the list of its members in the file's order, and all strings lie end to end in ``pool``.
struct JSONTree {
    /// Where a string's UTF-8 lies in the pool.
    struct Text: Equatable {
        var start: Int
        var count: Int
    }

    enum Node {
        case null
        case bool(Bool)
        case number(Double)
        case string(Text)
        case array([Node])
        case object([(key: Text, value: Node)])
    }

    private(set) var root = Node.null
    private(set) var pool: [UInt8] = []

    func bytes(_ text: Text) -> ArraySlice<UInt8> { pool[text.start..<text.start + text.count] }

    func string(_ text: Text) -> String { String(decoding: bytes(text), as: UTF8.self) }

    /// The member of an object; of members with equal names the last, as most readers have it.
    func member(_ node: Node, _ key: String) -> Node? {
        guard case .object(let members) = node else { return nil }
        let found = members.last {
            $0.key.count == key.utf8.count && bytes($0.key).elementsEqual(key.utf8)
        }
        if case .null = found?.value { return nil }
        return found?.value
    }

    func string(_ node: Node?) -> String? {
        if case .string(let text) = node { string(text) } else { nil }
    }

    func bool(_ node: Node?) -> Bool? {
        if case .bool(let value) = node { value } else { nil }
    }

    /// A number that is whole and fits 32 bits.
    func id(_ node: Node?) -> Int32? {
        if case .number(let value) = node { Int32(exactly: value) } else { nil }
    }

    /// - Parameter file: the file's name, for errors.
    init(_ bytes: some Sequence<UInt8>, file: String) throws(TokenizerError) {
        let input = Array(bytes)
        guard input.count <= JSONParser.sizeLimit else {
            throw .tooLarge(
                what: "the size of \(file)", found: input.count, limit: JSONParser.sizeLimit)
        }
        var parser = JSONParser(input: input, file: file)
        root = try parser.parseDocument()
        pool = parser.pool
    }
}

/// A recursive descent over bytes. Strings must be UTF-8 without lone surrogates.
private struct JSONParser {
    static let sizeLimit = 1 << 30
    static let depthLimit = 64

    let input: [UInt8]
    let file: String
    var pool: [UInt8] = []
    private var index = 0

    init(input: [UInt8], file: String) {
        self.input = input
        self.file = file
    }

    mutating func parseDocument() throws(TokenizerError) -> JSONTree.Node {
        if input.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
        let node = try parseValue(depth: 0)
        skipBlanks()
        if index < input.count { throw failure("text after the end") }
        return node
    }

    private func failure(_ reason: String) -> TokenizerError {
        .malformedJSON(file: file, offset: min(index, input.count), reason: reason)
    }

    private mutating func skipBlanks() {
        while index < input.count {
            switch input[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    private mutating func parseValue(depth: Int) throws(TokenizerError) -> JSONTree.Node {
        if depth > Self.depthLimit { throw failure("nested more than \(Self.depthLimit) deep") }
        skipBlanks()
        guard index < input.count else { throw failure("the file ends early") }
        switch input[index] {
        case UInt8(ascii: "{"): return try parseObject(depth: depth)
        case UInt8(ascii: "["): return try parseArray(depth: depth)
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: return try parseNumber()
        }
    }

    private mutating func parseWord(
        _ word: StaticString, _ node: JSONTree.Node
    ) throws(TokenizerError) -> JSONTree.Node {
        let count = word.utf8CodeUnitCount
        guard input.count - index >= count,
            input[index..<index + count].elementsEqual(
                UnsafeBufferPointer(start: word.utf8Start, count: count))
        else { throw failure("unexpected text") }
        index += count
        return node
    }

    private mutating func parseNumber() throws(TokenizerError) -> JSONTree.Node {
        let start = index
        while index < input.count {
            switch input[index] {
            case 0x30...0x39, 0x2B, 0x2D, 0x2E, 0x45, 0x65: index += 1
            default:
                return try number(start)
            }
        }
        return try number(start)
    }

    private func number(_ start: Int) throws(TokenizerError) -> JSONTree.Node {
        // The ids of a vocabulary; everything else is rare.
        if index - start > 0, index - start < 10,
            input[start..<index].allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
        {
            return .number(
                Double(input[start..<index].reduce(0) { $0 * 10 + Int($1) - 0x30 }))
        }
        let text = String(decoding: input[start..<index], as: UTF8.self)
        guard index - start < 400, let value = Double(text), value.isFinite else {
            throw .malformedJSON(file: file, offset: start, reason: "not a JSON value")
        }
        return .number(value)
    }

    private mutating func parseArray(depth: Int) throws(TokenizerError) -> JSONTree.Node {
        index += 1
        var nodes: [JSONTree.Node] = []
        if try closes(UInt8(ascii: "]")) { return .array(nodes) }
        while true {
            nodes.append(try parseValue(depth: depth + 1))
            if try !continues(UInt8(ascii: "]")) { return .array(nodes) }
        }
    }

    private mutating func parseObject(depth: Int) throws(TokenizerError) -> JSONTree.Node {
        index += 1
        var members: [(key: JSONTree.Text, value: JSONTree.Node)] = []
        if try closes(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipBlanks()
            guard index < input.count, input[index] == UInt8(ascii: "\"") else {
                throw failure("a member's name is missing")
            }
            let key = try parseString()
            skipBlanks()
            guard index < input.count, input[index] == UInt8(ascii: ":") else {
                throw failure("a colon is missing")
            }
            index += 1
            members.append((key, try parseValue(depth: depth + 1)))
            if try !continues(UInt8(ascii: "}")) { return .object(members) }
        }
    }

    /// Whether an array or object is empty.
    private mutating func closes(_ end: UInt8) throws(TokenizerError) -> Bool {
        skipBlanks()
        guard index < input.count else { throw failure("the file ends early") }
        guard input[index] == end else { return false }
        index += 1
        return true
    }

    /// Whether a comma follows rather than the end.
    private mutating func continues(_ end: UInt8) throws(TokenizerError) -> Bool {
        if try closes(end) { return false }
        guard input[index] == UInt8(ascii: ",") else { throw failure("a comma is missing") }
        index += 1
        return true
    }

    private mutating func parseString() throws(TokenizerError) -> JSONTree.Text {
        index += 1
        let start = pool.count
        while index < input.count {
            let byte = input[index]
            if byte == UInt8(ascii: "\"") {
                index += 1
                return JSONTree.Text(start: start, count: pool.count - start)
            }
            if byte == UInt8(ascii: "\\") {
                try parseEscape()
                continue
            }
            if byte < 0x20 { throw failure("a control character in a string") }
            if byte < 0x80 {
                pool.append(byte)
                index += 1
                continue
            }
            let step = input.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { readScalar($0, index, buffer.count) } ?? (invalidScalar, 1)
            }
            if step.0 == invalidScalar { throw failure("a string that is not UTF-8") }
            pool.append(contentsOf: input[index..<index + step.1])
            index += step.1
        }
        throw failure("a string without its end")
    }

    private mutating func parseEscape() throws(TokenizerError) {
        guard index + 1 < input.count else { throw failure("a string without its end") }
        let letter = input[index + 1]
        index += 2
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): pool.append(letter)
        case UInt8(ascii: "b"): pool.append(0x08)
        case UInt8(ascii: "f"): pool.append(0x0C)
        case UInt8(ascii: "n"): pool.append(0x0A)
        case UInt8(ascii: "r"): pool.append(0x0D)
        case UInt8(ascii: "t"): pool.append(0x09)
        case UInt8(ascii: "u"):
            var value = try parseHex()
            if value & 0xFC00 == 0xD800 {
                guard index + 1 < input.count, input[index] == UInt8(ascii: "\\"),
                    input[index + 1] == UInt8(ascii: "u")
                else { throw failure("half of a surrogate pair") }
                index += 2
                let low = try parseHex()
                guard low & 0xFC00 == 0xDC00 else { throw failure("half of a surrogate pair") }
                value = 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let scalar = Unicode.Scalar(value) else {
                throw failure("half of a surrogate pair")
            }
            pool.append(contentsOf: UTF8.encode(scalar)!)
        default:
            throw failure("an unknown escape")
        }
    }

    private mutating func parseHex() throws(TokenizerError) -> UInt32 {
        guard index + 4 <= input.count else { throw failure("a string without its end") }
        var value: UInt32 = 0
        for byte in input[index..<index + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("not a hexadecimal digit")
            }
            value = value << 4 | UInt32(digit)
        }
        index += 4
        return value
    }
}
