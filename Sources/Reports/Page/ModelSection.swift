import Foundation

/// All that is known of one model: what was measured and how, the verdicts, the figures.
struct ModelSection {
    let model: ModelSummary
    /// Of its links, such as `m1`.
    let prefix: String
    private let styles: [SeriesStyle]
    private let figures: [Figure]

    init(_ model: ModelSummary, prefix: String) {
        self.model = model
        self.prefix = prefix
        styles = SeriesStyle.make(model.caches)
        figures = [
            QualityFigure.make(model, styles), MemoryFigure.make(model, styles),
            SpeedFigure.make(model, styles), LayerFigure.make(model), PasskeyFigure.make(model),
            TaskFigure.make(model, styles),
        ].compactMap { $0 }
    }

    /// Names and places of its parts.
    var links: [(title: String, target: String)] {
        [("Verdicts", "\(prefix)-verdicts")]
            + figures.map { ($0.heading, "\(prefix)-\($0.name)") }
            + (TextTable.make(model) == nil ? [] : [("Figures on text", "\(prefix)-text")])
    }

    var markup: Markup {
        var content = [
            tag("h2", [("id", "\(prefix)-h")], [Markup(model.model.name)]), facts,
        ]
        content += model.runs.map(run)
        content.append(
            tag(
                "nav", [("aria-label", "Contents: \(model.model.name)")],
                [
                    tag(
                        "ul", [],
                        links.map {
                            tag(
                                "li", [],
                                [tag("a", [("href", "#" + $0.target)], [Markup($0.title)])])
                        })
                ]))
        content.append(verdicts)
        content += figures.map { $0.section(prefix: prefix) }
        if let table = TextTable.make(model) {
            content.append(
                tag(
                    "section", [("id", "\(prefix)-text"), ("aria-labelledby", "\(prefix)-text-h")],
                    [
                        tag("h3", [("id", "\(prefix)-text-h")], ["Figures on text"]),
                        table.scrolling(id: "\(prefix)-text-table"),
                    ]))
        }
        return tag(
            "section", [("class", "model"), ("id", prefix), ("aria-labelledby", "\(prefix)-h")],
            content)
    }

    private var facts: Markup {
        let model = model.model
        let facts = [
            ("Layers", Numbers.count(model.layers)),
            ("Query heads", Numbers.count(model.queryHeads)),
            ("Key–value heads", Numbers.count(model.kvHeads)),
            ("Head size", Numbers.count(model.headSize)),
            ("Context length", Numbers.count(model.contextLength) + " tokens"),
            ("Weights", Numbers.bytes(model.weightBytes)),
            ("Fingerprint", String(model.fingerprint.prefix(12))),
        ]
        return tag(
            "dl", [("class", "facts")],
            facts.map {
                tag("div", [], [tag("dt", [], [Markup($0)]), tag("dd", [], [Markup($1)])])
            })
    }

    private func run(_ run: RunRecord) -> Markup {
        let machine = run.machine
        let settings = run.settings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        var content = [
            tag(
                "p", [],
                [
                    Markup(
                        "Measured \(Self.date(run.date)) on \(machine.processor), \(Numbers.count(machine.threads)) \(machine.threads == 1 ? "thread" : "threads"), \(machine.kernels) kernels."
                    )
                ])
        ]
        if !settings.isEmpty {
            content.append(
                tag(
                    "p", [("class", "muted")],
                    [Markup("Settings: " + settings.joined(separator: ", ") + ".")]))
        }
        content.append(tag("pre", [("tabindex", "0")], [tag("code", [], [Markup(run.command)])]))
        return tag("div", [("class", "run")], content)
    }

    /// `2026-11-21 14:05` of ISO 8601; as it is where it is something else.
    private static func date(_ text: String) -> String {
        let bytes = Array(text.utf8)
        guard bytes.count >= 16, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] == 0x54,
            bytes[13] == 0x3A
        else { return text }
        let zone = text.hasSuffix("Z") ? " UTC" : ""
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5))\(zone)"
    }

    private var verdicts: Markup {
        let items = zip(model.caches, styles).map { cache, style in
            tag("li", [], [swatch(style), names(cache)] + sentences(cache))
        }
        return tag(
            "section",
            [("id", "\(prefix)-verdicts"), ("aria-labelledby", "\(prefix)-verdicts-h")],
            [
                tag("h3", [("id", "\(prefix)-verdicts-h")], ["Verdicts"]),
                tag("ul", [("class", "verdicts")], items),
            ])
    }

    /// The cache's marker, as in the figures.
    private func swatch(_ style: SeriesStyle) -> Markup {
        tag(
            "svg",
            [
                ("xmlns", "http://www.w3.org/2000/svg"), ("viewBox", "0 0 18 18"),
                ("class", style.colour), ("aria-hidden", "true"),
            ], [Shape.marker(style, at: Point(x: 9, y: 9), radius: 6)])
    }

    private func names(_ cache: CacheSummary) -> Markup {
        var content = [tag("strong", [], [Markup(cache.cache)])]
        if let grade = cache.grade {
            content.append(
                tag("span", [("class", "badge g\(grade.rawValue)")], [Markup(grade.words)]))
        }
        func badge(_ words: String, _ style: String) {
            content.append(tag("span", [("class", "badge \(style)")], [Markup(words)]))
        }
        if cache.isReference { badge("reference", "plain") }
        if cache.isControl { badge("control, broken on purpose", "plain") }
        if cache.isPareto { badge("Pareto set", "front-badge") }
        return tag("div", [("class", "names")], content)
    }

    /// Numbers stay with their signs and units at the ends of lines.
    private static func unbroken(_ text: String) -> String {
        var result = text
        for (loose, joined) in [
            (" %", "\u{A0}%"), (" ± ", "\u{A0}±\u{A0}"), (" × ", "\u{A0}×\u{A0}"),
        ] {
            result = result.replacingOccurrences(of: loose, with: joined)
        }
        return result
    }

    private func sentences(_ cache: CacheSummary) -> [Markup] {
        var content: [Markup] = []
        if !cache.verdict.isEmpty {
            let sentence = cache.verdict.prefix(1).uppercased() + cache.verdict.dropFirst()
            content.append(tag("div", [("class", "verdict")], [Markup(Self.unbroken(sentence))]))
        }
        let same = cache.keys == cache.values
        let stored =
            same
            ? "Keys and values: \(cache.keys)." : "Keys: \(cache.keys). Values: \(cache.values)."
        if !(cache.keys + cache.values).isEmpty {
            content.append(
                tag(
                    "div", [("class", "stored")],
                    [
                        Markup(
                            Self.unbroken(
                                "\(stored) \(Numbers.fixed(cache.sealedBits, 2)) bits a sealed element."
                            ))
                    ]))
        }
        return content
    }
}
