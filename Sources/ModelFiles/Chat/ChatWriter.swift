/// Writes conversations, keeping apart what the template says and what others say.
struct ChatWriter {
    let template: ChatTemplate
    private(set) var segments: [PromptSegment] = []

    init(template: ChatTemplate) { self.template = template }

    private mutating func control(_ string: String) {
        if string.isEmpty { return }
        if case .control(let last) = segments.last {
            segments[segments.count - 1] = .control(last + string)
        } else {
            segments.append(.control(string))
        }
    }

    private mutating func text(_ string: String) {
        if !string.isEmpty { segments.append(.text(string)) }
    }

    /// Writes a whole conversation.
    mutating func begin(_ messages: [ChatMessage]) throws(ChatTemplateError) {
        guard let first = messages.first else { throw .empty }
        control(template.family == .llama2 ? "" : template.beginning)
        switch template.family {
        case .chatML:
            if first.role != .system, let system = template.defaultSystem {
                control("<|im_start|>system\n\(system)<|im_end|>\n")
            }
            for message in messages { turn(message) }
        case .llama3:
            guard let preamble = template.systemPreamble else {
                for message in messages { turn(message) }
                return
            }
            control("<|start_header_id|>system<|end_header_id|>\n\n" + preamble)
            if first.role == .system { text(trimmed(first.content)) }
            control("<|eot_id|>")
            for message in first.role == .system ? messages.dropFirst() : messages[...] {
                turn(message)
            }
        case .llama2, .mistral, .gemma:
            var system: String?
            if first.role == .system {
                guard template.systemPlacement != .refused else {
                    throw .noSystemRole(family: template.family)
                }
                system = first.content
            }
            let offset = system == nil ? 0 : 1
            try alternate(Array(messages.dropFirst(offset)), system: system, offset: offset)
        }
    }

    /// Writes messages after a reply that is closed.
    mutating func resume(_ messages: [ChatMessage]) throws(ChatTemplateError) {
        switch template.family {
        case .chatML, .llama3: for message in messages { turn(message) }
        case .llama2, .mistral, .gemma: try alternate(messages, system: nil, offset: 0)
        }
    }

    private func trimmed(_ content: String) -> String {
        template.trimsContent ? content.strippedLikePython() : content
    }

    // MARK: - Families with a turn for every role

    private mutating func turn(_ message: ChatMessage) {
        if template.family == .chatML {
            control("<|im_start|>\(message.role.rawValue)\n")
            text(trimmed(message.content))
            control("<|im_end|>\n")
        } else {
            control("<|start_header_id|>\(message.role.rawValue)<|end_header_id|>\n\n")
            text(trimmed(message.content))
            control("<|eot_id|>")
        }
    }

    // MARK: - Families of user and assistant in turn

    private mutating func alternate(
        _ messages: [ChatMessage], system: String?, offset: Int
    ) throws(ChatTemplateError) {
        for (index, message) in messages.enumerated() {
            guard message.role == (index % 2 == 0 ? .user : .assistant) else {
                throw .rolesMustAlternate(index: index + offset, family: template.family)
            }
        }
        let place = template.systemPlacement == .lastUser ? messages.count - 1 : 0
        for (index, message) in messages.enumerated() {
            let system = index == place ? system : nil
            switch template.family {
            case .llama2: llama2(message, system: system)
            case .mistral: mistral(message, system: system)
            default: gemma(message, system: system)
            }
        }
    }

    private mutating func llama2(_ message: ChatMessage, system: String?) {
        if message.role == .assistant {
            control(" ")
            text(trimmed(message.content))
            closeReply(isEnded: false)
            return
        }
        control(template.beginning + "[INST] ")
        if let system {
            // The template trims both together, which leaves the blanks between them.
            control("<<SYS>>\n")
            text(system)
            let content = message.content.strippedLikePython(leading: false)
            control(content.isEmpty ? "\n<</SYS>>" : "\n<</SYS>>\n\n")
            text(content)
        } else {
            text(trimmed(message.content))
        }
        control(" [/INST]")
    }

    private mutating func mistral(_ message: ChatMessage, system: String?) {
        let style = template.mistral
        if message.role == .assistant {
            control(style.beforeAssistant)
            text(trimmed(message.content))
            closeReply(isEnded: false)
            return
        }
        control(style.beforeUser)
        if let system {
            text(system)
            control("\n\n")
        }
        text(message.content)
        control(style.afterUser)
    }

    private mutating func gemma(_ message: ChatMessage, system: String?) {
        control("<start_of_turn>\(message.role == .assistant ? "model" : "user")\n")
        if let system {
            text(system)
            control("\n\n")
        }
        text(trimmed(message.content))
        control("<end_of_turn>\n")
    }

    // MARK: - Replies

    /// Opens the assistant's turn.
    mutating func openReply() {
        switch template.family {
        case .chatML: control("<|im_start|>assistant\n")
        case .llama3: control("<|start_header_id|>assistant<|end_header_id|>\n\n")
        case .gemma: control("<start_of_turn>model\n")
        case .llama2, .mistral: break
        }
    }

    /// Closes it; `isEnded` when the token that ends a reply has been written already.
    mutating func closeReply(isEnded: Bool) {
        switch template.family {
        case .chatML: control(isEnded ? "\n" : "<|im_end|>\n")
        case .llama3: control(isEnded ? "" : "<|eot_id|>")
        case .gemma: control(isEnded ? "\n" : "<end_of_turn>\n")
        case .llama2: control(isEnded ? "" : " " + template.end)
        case .mistral: control((isEnded ? "" : template.end) + template.mistral.afterAssistant)
        }
    }
}

extension String {
    /// What Python's `str.strip()` leaves, which is what Jinja's `trim` calls.
    func strippedLikePython(leading: Bool = true) -> String {
        let scalars = unicodeScalars
        var start = scalars.startIndex
        var end = scalars.endIndex
        while leading, start < end, scalars[start].isSpaceInPython {
            start = scalars.index(after: start)
        }
        while start < end {
            let last = scalars.index(before: end)
            guard scalars[last].isSpaceInPython else { break }
            end = last
        }
        return String(scalars[start..<end])
    }
}

extension Unicode.Scalar {
    /// `str.isspace()`: White_Space and the four information separators.
    fileprivate var isSpaceInPython: Bool {
        (0x1C...0x1F).contains(value) || properties.isWhitespace
    }
}
