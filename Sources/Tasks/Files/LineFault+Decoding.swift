extension LineFault {
    /// Says in words why a line could not be decoded, naming the field.
    init(decoding error: DecodingError) {
        switch error {
        case .keyNotFound(let key, let context):
            self.init("the field '\(Self.name(context.codingPath + [key]))' is missing")
        case .valueNotFound(_, let context):
            self.init("the field '\(Self.name(context.codingPath))' is null")
        case .typeMismatch(let type, let context) where context.codingPath.isEmpty:
            self.init("it is not a JSON \(Self.word(for: type))")
        case .typeMismatch(let type, let context):
            self.init(
                "the field '\(Self.name(context.codingPath))' is not \(Self.phrase(for: type))")
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            self.init("it is not JSON")
        case .dataCorrupted(let context):
            self.init(
                "the field '\(Self.name(context.codingPath))' cannot be used: "
                    + context.debugDescription.trimmingSuffix("."))
        @unknown default:
            self.init("it cannot be read")
        }
    }

    /// `choices[2].text` for the way to a field.
    private static func name(_ path: [any CodingKey]) -> String {
        var name = ""
        for key in path {
            if let index = key.intValue {
                name += "[\(index)]"
            } else {
                name += (name.isEmpty ? "" : ".") + key.stringValue
            }
        }
        return name
    }

    private static func word(for type: any Any.Type) -> String {
        "\(type)".hasPrefix("Array") ? "list" : "object"
    }

    private static func phrase(for type: any Any.Type) -> String {
        switch type {
        case is String.Type: "text"
        case is Bool.Type: "true or false"
        case is Int.Type, is UInt.Type: "a whole number"
        case is Double.Type, is Float.Type: "a number"
        default: word(for: type) == "list" ? "a list" : "an object"
        }
    }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
    }
}
