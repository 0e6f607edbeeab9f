/// Results as one page that needs nothing else: no network, no files beside it.
///
/// The page is HTML and well-formed XML at once, and the same for the same results. Whatever comes from a file,
/// names above all, is escaped, and the page's own content policy forbids to load anything. Colours follow the
/// system's theme or the page's button; without scripts, all but that button and the cards at the pointer is
/// there.
public struct ReportPage: Sendable {
    public let html: String

    /// - Throws: ``ResultError/nothingToShow(_:)`` without a model, or where a model has no run or no cache.
    public init(_ models: [ModelSummary]) throws(ResultError) {
        guard !models.isEmpty else {
            throw .nothingToShow(
                "there is no run in these results; give files that innerq compare wrote")
        }
        for model in models {
            guard let run = model.runs.first else {
                throw .nothingToShow("a model of these results has no run; give the whole file")
            }
            guard !model.caches.isEmpty else {
                throw .nothingToShow(
                    "the results of \(run.model.name) name no cache; let innerq compare finish one at least"
                )
            }
        }
        let sections = models.enumerated().map { ModelSection($1, prefix: "m\($0 + 1)") }
        let title =
            models.count == 1
            ? "What a cache costs: \(models[0].model.name)"
            : "What a cache costs: \(models.count) models"
        html = "<!DOCTYPE html>\n" + Self.document(title, sections).xml + "\n"
    }

    private static func document(_ title: String, _ sections: [ModelSection]) -> Markup {
        tag(
            "html", [("xmlns", "http://www.w3.org/1999/xhtml"), ("lang", "en")],
            [head(title), tag("body", [], body(title, sections))])
    }

    private static func head(_ title: String) -> Markup {
        tag(
            "head", [],
            [
                tag("meta", [("charset", "utf-8")]),
                tag(
                    "meta",
                    [
                        ("http-equiv", "Content-Security-Policy"),
                        (
                            "content",
                            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
                        ),
                    ]),
                tag(
                    "meta",
                    [("name", "viewport"), ("content", "width=device-width, initial-scale=1")]),
                tag("meta", [("name", "color-scheme"), ("content", "light dark")]),
                tag("title", [], [Markup(title)]),
                tag("style", [], [Markup(trusted: "\n" + PageStyle.sheet + "\n")]),
            ])
    }

    private static func body(_ title: String, _ sections: [ModelSection]) -> [Markup] {
        var heading = [tag("h1", [], ["What a key–value cache costs"])]
        heading.append(
            tag(
                "button",
                [("class", "theme"), ("id", "theme"), ("type", "button"), ("hidden", "hidden")],
                ["Dark theme"]))
        var content = [
            tag("a", [("class", "skip"), ("href", "#main")], ["Skip to the results"]),
            tag("header", [("class", "page")], heading),
        ]
        var main: [Markup] = []
        if sections.count > 1 {
            let links = sections.map { section in
                tag(
                    "li", [],
                    [tag("a", [("href", "#" + section.prefix)], [Markup(section.model.model.name)])]
                )
            }
            main.append(tag("nav", [("aria-label", "Models")], [tag("ul", [], links)]))
        }
        main += sections.map(\.markup)
        content.append(tag("main", [("id", "main")], main))
        content.append(tag("footer", [], PageNotes.markup))
        content.append(tag("div", [("id", "card"), ("aria-hidden", "true"), ("hidden", "hidden")]))
        content.append(tag("script", [], [Markup(trusted: "\n" + PageScript.source + "\n")]))
        return content
    }
}
