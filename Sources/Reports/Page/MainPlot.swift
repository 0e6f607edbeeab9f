import Foundation

/// The page's first figure as a file of its own.
extension ReportPage {
    public enum PlotTheme: String, Sendable, CaseIterable {
        case light, dark
    }

    /// Quality against size of one model as an SVG file, for a README: with a background of its own, so that it
    /// can be read on any page, and with plain colours, which every program that shows SVG knows.
    ///
    /// Shows the divergence from float16, or the increase of perplexity where no divergence was measured.
    public static func plotSVG(of model: ModelSummary, theme: PlotTheme) -> String {
        let styles = SeriesStyle.make(model.caches)
        let chart = QualityFigure.divergence(model, styles) ?? QualityFigure.increase(model, styles)
        let margin = 20.0
        let top = 34.0
        let name = model.runs.first?.model.name ?? ""
        let title = TextSize.fit("Key–value caches of \(name)", 15, width: Panel.width)
        let panel = chart?.panel()
        let height = panel?.height ?? 30
        let body =
            panel?.content ?? [Shape.text("No quality was measured.", at: Point(x: 0, y: 16))]
        let content = [
            tag("style", [], [Markup(trusted: rules(theme))]),
            Shape.rect(
                Box(
                    left: 0, top: 0, right: Panel.width + 2 * margin,
                    bottom: height + top + 2 * margin - 6),
                "ground"),
            Shape.text(title, at: Point(x: margin, y: margin + 13), .start, "title"),
            tag(
                "g",
                [("transform", "translate(\(coordinate(margin)) \(coordinate(margin + top)))")],
                body),
        ]
        let drawing = Shape.drawing(
            id: "plot", title: title, description: panel?.description ?? "No quality was measured.",
            width: Panel.width + 2 * margin, height: height + top + 2 * margin - 6, content)
        return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + drawing.xml + "\n"
    }

    /// The page's rules with the theme's colours in place of variables.
    private static func rules(_ theme: PlotTheme) -> String {
        var rules = Palette.drawingRules
        for (name, value) in theme == .light ? Palette.light : Palette.dark {
            rules = rules.replacingOccurrences(of: "var(--\(name))", with: value)
        }
        return rules
    }
}
