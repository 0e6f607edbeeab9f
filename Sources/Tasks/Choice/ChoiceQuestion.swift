/// One line of a multiple-choice file, in any of the forms that are known.
struct ChoiceQuestion: Decodable, Sendable {
    /// A form, recognised by its fields, with the texts of lm-eval's task.
    enum Form: String, Sendable {
        /// `query`, `choices`, `gold`: ARC.
        case query
        /// `context_options`, `continuation`, `gold`: WinoGrande, where the contexts differ and the ending is shared.
        case contexts
        /// `ctx` (or `ctx_a` and `ctx_b`), `endings`, `activity_label`, `label`: HellaSwag as published.
        case endings
        /// `goal`, `sol1`, `sol2` and `label`, here or in a file of labels: PIQA as published.
        case solutions

        /// The metric that lm-eval's tables show for such a task.
        var mainMetric: String { self == .contexts ? "accuracy" : "accuracy-norm" }
    }

    var form: Form
    var choices: [(context: String, continuation: String)]
    /// `nil` where the label stands in another file.
    var gold: Int?

    private enum Field: String, CodingKey {
        case query, choices, gold
        case contexts = "context_options"
        case continuation, ctx
        case ctxA = "ctx_a"
        case ctxB = "ctx_b"
        case endings, label
        case activity = "activity_label"
        case goal, sol1, sol2
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        func text(_ field: Field) throws -> String {
            let text = try fields.decode(String.self, forKey: field)
            if text.isBlank { throw LineFault("the field '\(field.rawValue)' is empty") }
            return text
        }
        func texts(_ field: Field) throws -> [String] {
            let texts = try fields.decode([String].self, forKey: field)
            if texts.count < 2 {
                throw LineFault(
                    "the field '\(field.rawValue)' holds \(texts.count) choices, not two or more")
            }
            if let blank = texts.firstIndex(where: \.isBlank) {
                throw LineFault("the field '\(field.rawValue)[\(blank)]' is empty")
            }
            return texts
        }
        if fields.contains(.contexts) {
            form = .contexts
            let continuation = " " + (try text(.continuation))
            choices = try texts(.contexts).map { ($0, continuation) }
            gold = try Self.index(.gold, in: fields)
        } else if fields.contains(.endings) {
            form = .endings
            let scene: String
            if fields.contains(.ctxA), fields.contains(.ctxB) {
                let second = try fields.decode(String.self, forKey: .ctxB)
                scene = try text(.ctxA) + " " + WikiHowText.capitalized(second)
            } else {
                scene = try text(.ctx)
            }
            let context = WikiHowText.clean(try text(.activity) + ": " + scene)
            choices = try texts(.endings).map { (context, " " + WikiHowText.clean($0)) }
            gold = try Self.index(.label, in: fields)
        } else if fields.contains(.goal) {
            form = .solutions
            let context = "Question: \(try text(.goal))\nAnswer:"
            choices = [(context, " " + (try text(.sol1))), (context, " " + (try text(.sol2)))]
            gold = fields.contains(.label) ? try Self.index(.label, in: fields) : nil
        } else if fields.contains(.query) {
            form = .query
            let context = try text(.query) + "\nAnswer:"
            choices = try texts(.choices).map { (context, " " + $0) }
            gold = try Self.index(.gold, in: fields)
        } else {
            throw LineFault(
                "it is no multiple-choice question: it has none of the fields 'query', 'context_options', "
                    + "'endings' and 'goal'")
        }
        if let gold, !choices.indices.contains(gold) {
            throw LineFault(
                "the right choice is number \(gold), of \(choices.count) that count from 0")
        }
    }

    /// An index as a number, or as the text of one.
    private static func index(
        _ field: Field, in fields: KeyedDecodingContainer<Field>
    ) throws -> Int {
        if let text = try? fields.decode(String.self, forKey: field) {
            guard let index = Int(text) else {
                throw LineFault("the field '\(field.rawValue)' is '\(text)', not a whole number")
            }
            return index
        }
        return try fields.decode(Int.self, forKey: field)
    }
}

/// The clean-up of HellaSwag's texts in lm-eval (`tasks/hellaswag/utils.py`): those from WikiHow hold marks of headings.
enum WikiHowText {
    static func clean(_ text: String) -> String {
        var scalars = Scalars(text)[...]
        while scalars.first?.isPythonSpace == true { scalars.removeFirst() }
        while scalars.last?.isPythonSpace == true { scalars.removeLast() }
        let titled = replace(Scalars(" [title]"), by: Scalars(". "), in: Array(scalars))
        return replace(Scalars("  "), by: Scalars(" "), in: withoutBrackets(titled)).text
    }

    /// `str.capitalize()`: the first letter in upper case, all others in lower case.
    static func capitalized(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return "" }
        var rest = text.unicodeScalars
        rest.removeFirst()
        return first.properties.titlecaseMapping + String(rest).lowercased()
    }

    /// Takes out what `\[.*?\]` matches, which no line break interrupts.
    private static func withoutBrackets(_ text: Scalars) -> Scalars {
        var kept: Scalars = []
        var index = 0
        while index < text.count {
            if text[index] == "[",
                let end = text[index...].firstIndex(where: { $0 == "]" || $0 == "\n" }),
                text[end] == "]"
            {
                index = end + 1
            } else {
                kept.append(text[index])
                index += 1
            }
        }
        return kept
    }

    private static func replace(_ part: Scalars, by other: Scalars, in text: Scalars) -> Scalars {
        var result: Scalars = []
        var index = 0
        while index < text.count {
            if text[index...].starts(with: part) {
                result += other
                index += part.count
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }
}
