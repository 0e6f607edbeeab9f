extension ChatTemplate {
    /// Recognizes the template of a model file.
    ///
    /// - Parameters:
    ///   - jinja: the template's source (`tokenizer.chat_template`, `chat_template`). Without one
    ///     the vocabulary decides, which a base model's may do too.
    ///   - tokenizer: gives the texts of the beginning and end of sequence.
    /// - Returns: `nil` for a template of another family than ``Family``'s, and for a file that
    ///   shows no sign of one.
    public static func detect(jinja: String?, tokenizer: Tokenizer?) -> ChatTemplate? {
        guard let jinja else { return tokenizer.flatMap(detect(vocabularyOf:)) }
        guard let family = family(of: jinja) else { return nil }
        let scan = JinjaScan(jinja)
        let beginning =
            jinja.contains("bos_token") ? text(tokenizer?.beginningOfSequence, tokenizer) : ""
        var template = ChatTemplate(
            family, beginning: beginning,
            end: text(tokenizer?.endOfSequence, tokenizer) ?? "</s>")
        switch family {
        case .chatML:
            if let beginning { template.beginning = beginning }
            template.defaultSystem = defaultSystem(scan)
            template.trimsContent = scan.expressions.contains {
                $0.literal(containing: "<|im_start|>") != nil && $0.codes.contains(where: isTrimmed)
            }
        case .llama2:
            break
        case .llama3:
            template.systemPreamble = preamble(scan)
        case .mistral:
            template.readMistral(scan)
        case .gemma:
            if jinja.contains("System role not supported") { template.systemPlacement = .refused }
        }
        return template
    }

    private static func text(_ id: Int32?, _ tokenizer: Tokenizer?) -> String? {
        id.flatMap { tokenizer?.bytes(of: $0) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The family whose signs the source bears.
    private static func family(of jinja: String) -> Family? {
        if jinja.contains("<|im_start|>") { return .chatML }
        if jinja.contains("<|start_header_id|>") { return .llama3 }
        if jinja.contains("<start_of_turn>") { return .gemma }
        if jinja.contains("<<SYS>>") { return .llama2 }
        // Later Mistral templates have a turn for the system, which is yet another family.
        if jinja.contains("[INST]"), !jinja.contains("[SYSTEM_PROMPT]") { return .mistral }
        return nil
    }

    private static func detect(vocabularyOf tokenizer: Tokenizer) -> ChatTemplate? {
        func has(_ piece: String) -> Bool {
            tokenizer.id(ofPiece: piece).map(tokenizer.isSpecial) ?? false
        }
        let family: Family
        if has("<|im_start|>"), has("<|im_end|>") {
            family = .chatML
        } else if has("<|start_header_id|>"), has("<|eot_id|>") {
            family = .llama3
        } else if has("<start_of_turn>"), has("<end_of_turn>") {
            family = .gemma
        } else if has("[INST]"), has("[/INST]") {
            family = .mistral
        } else {
            return nil
        }
        return ChatTemplate(
            family, beginning: text(tokenizer.beginningOfSequence, tokenizer),
            end: text(tokenizer.endOfSequence, tokenizer) ?? "</s>")
    }

    /// Whether a term is content with `| trim` or `.strip()`.
    private static func isTrimmed(_ code: String) -> Bool {
        code.contains("content") && (code.hasSuffix("|trim") || code.hasSuffix(".strip()"))
    }

    /// The system prompt that a ChatML template writes by itself: a string, or text between tags,
    /// that holds a whole system turn.
    private static func defaultSystem(_ scan: JinjaScan) -> String? {
        let opening = "<|im_start|>system\n"
        for string in scan.strings {
            guard let start = string.range(ofText: opening) else { continue }
            let rest = string[start.upperBound...]
            guard let end = rest.range(ofText: "<|im_end|>") else { continue }
            return String(rest[..<end.lowerBound])
        }
        return nil
    }

    /// Llama 3.1's lines before the system prompt, with the template's own date.
    private static func preamble(_ scan: JinjaScan) -> String? {
        guard
            let knowledge = scan.strings.first(where: { $0.hasPrefix("Cutting Knowledge Date:") }),
            scan.strings.contains(where: { $0.hasPrefix("Today Date:") })
        else { return nil }
        var date = "26 Jul 2024"
        for statement in scan.statements where statement.contains("date_string =") {
            let parts = statement.split(whereSeparator: { $0 == "\"" || $0 == "'" })
            if parts.count == 2 { date = String(parts[1]) }
        }
        return "\(knowledge)Today Date: \(date)\n\n"
    }

    /// Takes Mistral's blanks from the expressions that write the turns.
    private mutating func readMistral(_ scan: JinjaScan) {
        systemPlacement = .refused
        trimsContent = false
        for expression in scan.expressions {
            let writesContent = expression.codes.contains { $0.contains("content") }
            guard writesContent else { continue }
            if let before = expression.literal(containing: "[INST]"),
                let after = expression.literal(containing: "[/INST]")
            {
                if expression.codes.contains(where: { $0.contains("system_message") }) {
                    systemPlacement =
                        expression.statement.contains("loop.last") ? .lastUser : .firstUser
                } else {
                    mistral.beforeUser = before
                    mistral.afterUser = after
                }
            } else if expression.codes.contains("eos_token") {
                trimsContent = expression.codes.contains(where: Self.isTrimmed)
                var isAfter = false
                mistral.beforeAssistant = ""
                mistral.afterAssistant = ""
                for term in expression.terms {
                    switch term {
                    case .literal(let string):
                        if isAfter {
                            mistral.afterAssistant += string
                        } else {
                            mistral.beforeAssistant += string
                        }
                    case .code(let code):
                        isAfter = isAfter || code.contains("content")
                    }
                }
            }
        }
    }
}

extension StringProtocol {
    /// Where a string first occurs, scalar by scalar: no character may hide it by combining.
    func range(ofText text: String) -> Range<Index>? {
        let scalars = unicodeScalars
        let wanted = Array(text.unicodeScalars)
        var start = scalars.startIndex
        while start < scalars.endIndex {
            var index = start
            var matched = 0
            while matched < wanted.count, index < scalars.endIndex,
                scalars[index] == wanted[matched]
            {
                index = scalars.index(after: index)
                matched += 1
            }
            if matched == wanted.count { return start..<index }
            start = scalars.index(after: start)
        }
        return nil
    }
}

extension Tokenizer {
    /// The chat template that the file contains, if it is of a known family.
    public var chatTemplate: ChatTemplate? {
        ChatTemplate.detect(jinja: chatTemplateSource, tokenizer: self)
    }
}
