import Foundation

/// The answers that count as right, and the classes of a classification.
///
/// Files hold them as a list, as an object with `answers` and `all_classes`, as one text, or as any of these printed
/// into a text by JSON or by Python.
struct LongBenchGold: Decodable, Equatable {
    var answers: [String]
    var classes: [String]

    init(answers: [String], classes: [String] = []) {
        self.answers = answers
        self.classes = classes
    }

    init(from decoder: any Decoder) throws {
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            self.init(printed: text)
        } else if let list = try? [Answer](from: decoder) {
            self.init(answers: list.map(\.text))
        } else {
            let object = try Object(from: decoder)
            self.init(
                answers: object.answers.map(\.text), classes: object.all_classes?.map(\.text) ?? [])
        }
    }

    /// Text that is not a printed list or object is the answer itself.
    init(printed text: String) {
        let start = text.unicodeScalars.first { !$0.isPythonSpace }
        if start == "[" || start == "{" {
            if let gold = try? JSONDecoder().decode(LongBenchGold.self, from: Data(text.utf8)) {
                self = gold
                return
            }
            if let literal = PythonLiteral(text), let gold = LongBenchGold(literal) {
                self = gold
                return
            }
        }
        self.init(answers: [text])
    }

    private init?(_ literal: PythonLiteral) {
        switch literal {
        case .list(let values):
            guard let answers = Self.texts(values) else { return nil }
            self.init(answers: answers)
        case .dictionary(let fields):
            guard case .list(let values) = fields["answers"], let answers = Self.texts(values)
            else { return nil }
            guard let classes = fields["all_classes"] else {
                self.init(answers: answers)
                return
            }
            if case .list(let values) = classes, let classes = Self.texts(values) {
                self.init(answers: answers, classes: classes)
            } else if classes == .word("None") {
                self.init(answers: answers)
            } else {
                return nil
            }
        default: return nil
        }
    }

    private static func texts(_ values: [PythonLiteral]) -> [String]? {
        let texts = values.compactMap { value -> String? in
            switch value {
            case .text(let text), .word(let text): text
            default: nil
            }
        }
        return texts.count == values.count ? texts : nil
    }

    private struct Object: Decodable {
        var answers: [Answer]
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var all_classes: [Answer]?
    }

    /// Text, or a number, such as a count of paragraphs.
    private struct Answer: Decodable {
        var text: String

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let number = try? value.decode(Int.self) {
                text = "\(number)"
            } else {
                text = try value.decode(String.self)
            }
        }
    }
}
