/// A piece of the page, written as XML that HTML parsers read alike: every attribute quoted, every element closed.
///
/// Text becomes markup only through ``escaped(_:)``, so that names from files stay names.
struct Markup: Sendable, ExpressibleByStringInterpolation {
    private(set) var xml: String

    init(_ text: String) { xml = Self.escaped(text) }
    init(stringLiteral text: String) { self.init(text) }

    /// Style sheets and scripts, which this program wrote itself.
    init(trusted xml: String) { self.xml = xml }

    init(_ pieces: [Markup]) { xml = pieces.map(\.xml).joined() }

    /// Elements that may stand without a closing tag: HTML's void ones, and SVG's shapes.
    private static let empty: Set<String> = [
        "meta", "br", "rect", "path", "line", "circle", "polyline", "use",
    ]

    static func element(
        _ name: String, _ attributes: [(String, String)] = [], _ children: [Markup] = []
    ) -> Markup {
        var xml = "<" + name
        for (key, value) in attributes { xml += " \(key)=\"\(escaped(value))\"" }
        if children.isEmpty, empty.contains(name) { return Markup(trusted: xml + "/>") }
        xml += ">"
        for child in children { xml += child.xml }
        return Markup(trusted: xml + "</\(name)>")
    }

    /// Text for element content and for quoted attributes. What XML cannot hold at all, such as control
    /// characters, becomes U+FFFD.
    static func escaped(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            // As a reference, so that attributes keep the line break.
            case "\n": result += "&#10;"
            case "\t": result += "&#9;"
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}",
                // Marks that turn the direction of what follows would reach beyond the name.
                "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}":
                result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// Short for ``Markup/element(_:_:_:)``.
func tag(
    _ name: String, _ attributes: [(String, String)] = [], _ children: [Markup] = []
) -> Markup {
    .element(name, attributes, children)
}
