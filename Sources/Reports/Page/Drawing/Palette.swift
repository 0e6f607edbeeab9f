/// Colours by name, for both themes. Contrast with the page: text 4.5 : 1 at least, marks 3 : 1.
///
/// Families differ in hue and lightness so that they stay apart without red and green; the steps of the scale
/// are even in lightness (OKLCH, L from 0.965 to 0.30), from the page's own colour away.
enum Palette {
    static let steps = 12
    private static let ramp = [
        "#f9f5da", "#dde5b3", "#b9d89a", "#8dcb8e", "#5abc8c", "#0cab8f", "#05948f", "#057e88",
        "#006980", "#015476", "#123f68", "#1b2c53",
    ]
    /// Of the ramp: black is read best on these, white on the darker ones.
    private static let paleSteps = 7

    static let light: [(String, String)] =
        [
            ("page", "#fdfdfc"), ("card", "#ffffff"), ("ink", "#1d2126"), ("muted", "#5a616b"),
            ("grid", "#e6e7e9"), ("axis", "#8b9098"), ("edge", "#d5d8dc"), ("code", "#f3f4f5"),
            ("focus", "#0b57d0"), ("link", "#0b57d0"), ("front", "#a9aeb6"),
            ("grade-0", "#d9efe8"), ("grade-0-ink", "#0a4f3b"),
            ("grade-1", "#e2f1d9"), ("grade-1-ink", "#28510f"),
            ("grade-2", "#eef2cf"), ("grade-2-ink", "#474f0c"),
            ("grade-3", "#fceec4"), ("grade-3-ink", "#634700"),
            ("grade-4", "#fce0cb"), ("grade-4-ink", "#763104"),
            ("grade-5", "#f8d3d6"), ("grade-5-ink", "#83101e"),
        ] + shades(light: true) + scale(light: true)

    static let dark: [(String, String)] =
        [
            ("page", "#16181b"), ("card", "#1d2024"), ("ink", "#e6e8eb"), ("muted", "#a4abb5"),
            ("grid", "#2c3036"), ("axis", "#7d848e"), ("edge", "#3a3f46"), ("code", "#22262b"),
            ("focus", "#8ab8ff"), ("link", "#8ab8ff"), ("front", "#6a717b"),
            ("grade-0", "#123d31"), ("grade-0-ink", "#a8e6d1"),
            ("grade-1", "#203c14"), ("grade-1-ink", "#c0e8a6"),
            ("grade-2", "#373c0e"), ("grade-2-ink", "#e0e79a"),
            ("grade-3", "#473605"), ("grade-3-ink", "#fbdc86"),
            ("grade-4", "#512810"), ("grade-4-ink", "#fcc59c"),
            ("grade-5", "#561720"), ("grade-5-ink", "#ffb8bf"),
        ] + shades(light: false) + scale(light: false)

    private static func shades(light: Bool) -> [(String, String)] {
        SeriesStyle.Family.allCases.flatMap { family in
            zip(0..., colours(family, light: light)).map { ("\(family.rawValue)-\($0)", $1) }
        }
    }

    private static func colours(_ family: SeriesStyle.Family, light: Bool) -> [String] {
        switch (family, light) {
        case (.grey, true): ["#4a4d52", "#74777c", "#2b2d31", "#85888d"]
        case (.blue, true): ["#1f5fa8", "#3a86d0", "#173f78", "#5b8fc4"]
        case (.orange, true): ["#b04a08", "#d9730d", "#833505", "#c46a3a"]
        case (.green, true): ["#1c7349", "#2f9862", "#0f4d31", "#5a9440"]
        case (.purple, true): ["#6746a0", "#8d68c8", "#452a75", "#9b74b4"]
        case (.brown, true): ["#77502e", "#a0703f", "#523416", "#8d6a4c"]
        case (.pink, true): ["#ab2c6b", "#d0508f", "#771c49", "#bb6a95"]
        case (.grey, false): ["#c4c7cc", "#9a9da3", "#e8eaed", "#83868c"]
        case (.blue, false): ["#6ab0f3", "#9ccbff", "#4a90dc", "#c9e4ff"]
        case (.orange, false): ["#f2994a", "#ffb570", "#dd7a2a", "#ffdcb8"]
        case (.green, false): ["#5cc08e", "#8bdcb2", "#3aa573", "#c3eed8"]
        case (.purple, false): ["#b79af0", "#d6c6fb", "#9a7be0", "#e8defd"]
        case (.brown, false): ["#c99d70", "#d6bb9a", "#b0804e", "#f0dcc4"]
        case (.pink, false): ["#ee84b5", "#f9b8d5", "#dc659f", "#fcd6e7"]
        }
    }

    /// Step 0 is nearest to the page in both themes.
    private static func scale(light: Bool) -> [(String, String)] {
        (0..<steps).flatMap { step in
            let index = light ? step : steps - 1 - step
            return [
                ("step-\(step)", ramp[index]),
                ("step-\(step)-ink", index < paleSteps ? "#000000" : "#ffffff"),
            ]
        }
    }

    /// Rules that give drawings their colours, by `var(--…)`.
    static let drawingRules: String = {
        var rules = ""
        for family in SeriesStyle.Family.allCases {
            for shade in 0..<SeriesStyle.shades {
                let name = "\(family.rawValue)-\(shade)"
                rules += ".\(name){color:var(--\(name))}\n"
            }
        }
        for step in 0..<steps {
            rules += ".step-\(step) rect,rect.step-\(step){fill:var(--step-\(step))}"
            rules +=
                ".step-\(step){color:var(--step-\(step)-ink)}.step-\(step) text{fill:currentColor}\n"
        }
        return rules + """
            svg text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-size:11px;fill:var(--ink)}
            svg .tick{fill:var(--muted);font-variant-numeric:tabular-nums}
            svg .head{font-size:12px;font-weight:600}
            svg .unit{fill:var(--muted)}
            svg .title{font-size:15px;font-weight:600}
            .grid{stroke:var(--grid);stroke-width:1;fill:none}
            .axis{stroke:var(--axis);stroke-width:1;fill:none}
            .floor{stroke:var(--axis);stroke-width:1;stroke-dasharray:2 3;fill:none}
            .front{stroke:var(--front);stroke-width:1.5;fill:none}
            .line{stroke:currentColor;stroke-width:1.75;fill:none;stroke-linejoin:round}
            .whisker{stroke:currentColor;stroke-width:1.25;fill:none;opacity:.75}
            .mark{fill:currentColor;stroke:var(--card);stroke-width:1}
            .open{fill:var(--card);stroke:currentColor;stroke-width:1.75}
            .cross{fill:none;stroke:currentColor;stroke-width:2.25}
            .ring{fill:none;stroke:var(--ink);stroke-width:1.25}
            .leader{stroke:var(--axis);stroke-width:.75;fill:none}
            .cell rect{stroke:var(--card);stroke-width:.75}
            .dense rect{stroke-width:.2}
            .hit{fill:transparent}
            .ground{fill:var(--card)}
            """
    }()
}
