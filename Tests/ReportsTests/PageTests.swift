import Foundation
import Reports
import Testing

@Suite("The report page")
struct PageTests {
    private static let sample = Result { try ReportPage(SampleRun.summaries()).html }

    /// The coordinates and lengths of a drawing: whatever is no number breaks it.
    private static let numeric: Set<String> = [
        "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height", "viewBox", "d",
    ]

    @Test("It is well-formed, and every figure has a caption, a drawing and a table")
    func wellFormed() throws {
        let page = PageParser(try Self.sample.get())
        #expect(page.fault == nil)
        let figures = page.all("figure")
        #expect(figures.count == 6)
        for name in ["figcaption", "svg", "table"] {
            let owners = page.all(name).count { $0.path.contains("figure") }
            #expect(owners >= figures.count, "\(name)")
        }
        #expect(page.all("caption").count == page.all("table").count)
        for cell in page.all("th") { #expect(cell.attributes["scope"] != nil) }
        for drawing in page.all("svg") where drawing.attributes["aria-hidden"] == nil {
            #expect(drawing.attributes["role"] == "img")
            let named = drawing.attributes["aria-labelledby"]?.split(separator: " ") ?? []
            #expect(named.count == 2)
            for id in named {
                #expect(page.elements.contains { $0.attributes["id"] == String(id) })
            }
        }
        let identifiers = page.elements.compactMap { $0.attributes["id"] }
        #expect(Set(identifiers).count == identifiers.count)
    }

    @Test(
        "It asks for nothing: no address but that of SVG's namespace, and a policy that forbids the rest"
    )
    func selfContained() throws {
        let html = try Self.sample.get()
        let addresses = html.components(separatedBy: "http").dropFirst().map {
            String($0.prefix(30))
        }
        for address in addresses where !address.hasPrefix("-equiv") {
            #expect(
                address.hasPrefix("://www.w3.org/2000/svg")
                    || address.hasPrefix("://www.w3.org/1999/xhtml"))
        }
        let policy = PageParser(html).all("meta").first {
            $0.attributes["http-equiv"] == "Content-Security-Policy"
        }
        #expect(
            policy?.attributes["content"]
                == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
        )
        for word in ["@import", "url(", " src=", "<link", "innerHTML", "eval("] {
            #expect(!html.contains(word), "\(word)")
        }
    }

    @Test("The same results give the same page, byte for byte")
    func deterministic() throws {
        #expect(try ReportPage(SampleRun.summaries()).html == Self.sample.get())
        let plots = (0..<2).map { _ in
            ReportPage.plotSVG(of: SampleRun.summaries()[0], theme: .light)
        }
        #expect(plots[0] == plots[1])
    }

    @Test("Hostile names stay names")
    func escaping() throws {
        let hostile =
            #"</title></script><script>alert("1")</script><img src=x onerror='alert(2)'>&amp;&#0; \#u{1}\#u{202E}]]>"#
        var caches = SampleRun.caches
        caches[3].name = hostile
        caches[3].keys = hostile
        var model = SampleRun.model(hostile, fingerprint: hostile)
        model.layers = 2
        var records = SampleRun.records(model: model, caches: Array(caches.prefix(5)))
        if case .run(var run) = records[0] {
            run.settings = [hostile: hostile]
            run.date = hostile
            run.machine = MachineRecord(processor: hostile, threads: 1, kernels: hostile)
            run.command = hostile
            records[0] = .run(run)
        }
        records += caches.prefix(5).map { cache in
            .sample(
                SampleRecord(
                    cache: cache.name, task: hostile, id: "1", tags: [:], scores: [hostile: 1],
                    mainMetric: hostile, answer: hostile, promptTokens: 1, answerTokens: 1,
                    sealedTokens: 0, seconds: 0))
        }
        let models = ModelSummary.make(of: [records])
        let page = PageParser(try ReportPage(models).html)
        #expect(page.fault == nil)
        #expect(page.all("script").count == 1)
        #expect(page.all("img").isEmpty)
        #expect(page.elements.allSatisfy { $0.attributes["onerror"] == nil })
        // What XML cannot hold, and what turns the direction of text, is replaced; the rest is there as it was.
        let shown = hostile.replacingOccurrences(of: "\u{1}", with: "\u{FFFD}")
            .replacingOccurrences(of: "\u{202E}", with: "\u{FFFD}")
        #expect(page.all("h2").contains { $0.text == shown })
        #expect(page.all("th").contains { $0.text == shown })
        #expect(page.all("code").contains { $0.text == shown })
        for theme in ReportPage.PlotTheme.allCases {
            #expect(PageParser(ReportPage.plotSVG(of: models[0], theme: theme)).fault == nil)
        }
    }

    /// Every figure of the run, replaced by what is no number, is 0, or is beyond all bounds.
    private func damaged(_ value: Double) -> [ModelSummary] {
        let records = SampleRun.records(caches: Array(SampleRun.caches.prefix(4))).map {
            record -> ResultRecord in
            switch record {
            case .memory(var record) where record.cache != "float16":
                record.bitsPerElement = value
                record.bytes = 0
                return .memory(record)
            case .text(var record) where record.cache != "float16":
                record.difference = Moments([value, value, 1])
                record.divergence = Moments([value, value])
                record.loss = Moments([value, 1])
                record.bitsPerElement = value
                return .text(record)
            case .layer(var record):
                (record.keys, record.values, record.output) = (value, value, value)
                return .layer(record)
            case .speed(var record):
                record.decode = [value, 1, value]
                record.prefill = [value]
                return .speed(record)
            case .sample(var record) where record.task != "passkey":
                record.scores = [record.mainMetric: value]
                return .sample(record)
            default: return record
            }
        }
        return ModelSummary.make(of: [records])
    }

    @Test(
        "Figures that are no numbers do not break the drawings",
        arguments: [Double.nan, .infinity, -.infinity, 0, -1, 1e300, 2.3e-308])
    func nonFinite(_ value: Double) throws {
        let models = damaged(value)
        for text in [try ReportPage(models).html, ReportPage.plotSVG(of: models[0], theme: .dark)] {
            let page = PageParser(text)
            #expect(page.fault == nil)
            var checked = 0
            for element in page.elements where element.path.contains("svg") || element.name == "svg"
            {
                for (name, data) in element.attributes where Self.numeric.contains(name) {
                    checked += 1
                    let words = data.lowercased()
                    #expect(
                        !words.contains("nan") && !words.contains("inf") && !words.contains("e"),
                        "\(element)")
                }
            }
            #expect(checked > 20)
        }
    }

    @Test("Figures without data are left out, and so are their links")
    func leftOut() throws {
        let memory = [
            SmallRun.reference, SmallRun.cache("a"),
            ResultRecord.memory(
                MemoryRecord(cache: "a", context: 4096, bytes: 77, bitsPerElement: 4)),
        ]
        let page = PageParser(try ReportPage([SmallRun.summary(memory)]).html)
        #expect(page.fault == nil)
        #expect(page.all("figure").count == 1)
        #expect(page.all("h3").map(\.text) == ["Verdicts", "Memory against context"])
        #expect(
            page.all("a").compactMap { $0.attributes["href"] } == [
                "#main", "#m1-verdicts", "#m1-memory",
            ])
        // Caches without any figure still stand in the list of verdicts.
        let bare = PageParser(try ReportPage([SmallRun.summary([SmallRun.cache("a")])]).html)
        #expect(bare.fault == nil && bare.all("figure").isEmpty)
        #expect(bare.all("strong").map(\.text) == ["a"])
        #expect(
            ReportPage.plotSVG(of: try SmallRun.summary([SmallRun.cache("a")]), theme: .light)
                .contains("No quality was measured."))
    }

    @Test("Without a model, or without a cache, it says what to do")
    func nothing() throws {
        #expect(throws: ResultError.self) { try ReportPage([]) }
        let error = #expect(throws: ResultError.self) {
            try ReportPage(ModelSummary.make(of: [[SmallRun.run]]))
        }
        #expect(error?.description.contains("name no cache") == true)
    }

    @Test("Numbers of the page are those of the results")
    func numbers() throws {
        let small = try SmallRun.summary([
            SmallRun.reference, SmallRun.cache("a"), SmallRun.text("float16", loss: [1, 3, 2, 2]),
            SmallRun.text(
                "a", loss: [1.1, 3, 2.1, 2], difference: [0.1, 0, 0.1, 0],
                divergence: [0.25, 0, 0.5, 0.25], agreements: 3),
        ])
        let text = Set(PageParser(try ReportPage([small]).html).all("td").map(\.text))
        // e² = 7.389 ± e²/√6; e^0.05 − 1 = 5.127 % ± 100 e^0.05 √(0.01/12).
        for words in ["7.389 ± 3.017", "+5.13 % ± 3.03", "0.250", "75.0 % ± 21.7", "0.18"] {
            #expect(text.contains(words), "\(words)")
        }
        let page = PageParser(try Self.sample.get())
        let cells = Set(page.all("td").map(\.text))
        let models = SampleRun.summaries()
        for cache in models[0].caches {
            for record in cache.memory { #expect(cells.contains(grouped(record.bytes))) }
        }
        // Cells of the grids carry what they stand for.
        let cell = try #require(models[0].caches[1].passkey.first)
        #expect(page.all("text").contains { $0.text == "\(cell.found)/\(cell.asked)" })
        #expect(
            page.all("title").contains { $0.text.hasPrefix("q8\n2,048 tokens, passkey at 0 %\n") })
    }

    private func grouped(_ value: Int) -> String {
        var digits = Array("\(value)".reversed())
        for index in stride(from: 3, to: digits.count, by: 3).reversed() {
            digits.insert(",", at: index)
        }
        return String(digits.reversed())
    }

    @Test(
        "The plot of a README has a ground of its own and plain colours",
        arguments: ReportPage.PlotTheme.allCases)
    func mainPlot(_ theme: ReportPage.PlotTheme) throws {
        let text = ReportPage.plotSVG(of: SampleRun.summaries()[0], theme: theme)
        let plot = PageParser(text)
        #expect(plot.fault == nil)
        #expect(!text.contains("var("))
        #expect(plot.all("rect").first?.attributes["class"] == "ground")
        let texts = plot.all("text").map(\.text)
        for cache in SampleRun.caches {
            #expect(texts.contains { $0.hasPrefix(cache.name) }, "\(cache.name)")
        }
    }
}
