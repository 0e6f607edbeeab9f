import Foundation

/// How a cache is drawn wherever it stands: a colour for its family of formats, a shade, a marker and dashes
/// for the one.
struct SeriesStyle: Sendable, Hashable {
    var family: Family
    /// Which of its family, from 0.
    var rank: Int
    var isControl: Bool

    enum Family: String, Sendable, CaseIterable {
        case grey, blue, orange, green, purple, brown, pink

        init(cache name: String, isReference: Bool) {
            let name = name.lowercased()
            if isReference || name == "float16" {
                self = .grey
            } else if name.hasPrefix("innerq") {
                self = .blue
            } else if name.hasPrefix("kvquant") {
                self = .orange
            } else if name.hasPrefix("turboquant") {
                self = .green
            } else if name.hasPrefix("kivi") {
                self = .purple
            } else if name.hasPrefix("q8") || name.hasPrefix("q4") {
                self = .brown
            } else {
                self = .pink
            }
        }
    }

    static let shades = 4

    /// Name of its colour in the style sheet.
    var colour: String { "\(family.rawValue)-\(rank % Self.shades)" }

    /// SVG's `stroke-dasharray`, empty for a whole line.
    var dashes: String { ["", "6 3", "2 2.5", "9 3 2 3"][rank % 4] }

    /// One a cache: members of a family differ in shade, marker and dashes.
    static func make(_ caches: [CacheSummary]) -> [SeriesStyle] {
        var counts: [Family: Int] = [:]
        return caches.map { cache in
            let family = Family(cache: cache.cache, isReference: cache.isReference)
            // A control takes no shade from those that are compared.
            let rank = cache.isControl ? 0 : counts[family, default: 0]
            if !cache.isControl { counts[family, default: 0] += 1 }
            return SeriesStyle(family: family, rank: rank, isControl: cache.isControl)
        }
    }

    /// The marker's outline around a point.
    func marker(_ at: Point, radius: Double = 5) -> String {
        func polygon(_ corners: Int, _ turn: Double, _ scale: Double, inner: Double? = nil)
            -> String
        {
            let count = inner == nil ? corners : 2 * corners
            let points = (0..<count).map { index in
                let angle = (Double(index) / Double(count) + turn) * 2 * .pi
                let reach = radius * (index % 2 == 1 ? inner ?? scale : scale)
                return
                    "\(coordinate(at.x + sin(angle) * reach)) \(coordinate(at.y - cos(angle) * reach))"
            }
            return "M" + points.joined(separator: "L") + "Z"
        }
        if isControl {
            let r = radius * 0.85
            return
                "M\(coordinate(at.x - r)) \(coordinate(at.y - r))L\(coordinate(at.x + r)) \(coordinate(at.y + r))"
                + "M\(coordinate(at.x - r)) \(coordinate(at.y + r))L\(coordinate(at.x + r)) \(coordinate(at.y - r))"
        }
        switch rank % 8 {
        case 0: return polygon(24, 0, 0.95)
        case 1: return polygon(4, 0.125, 1.2)
        case 2: return polygon(3, 0, 1.25)
        case 3: return polygon(4, 0, 1.25)
        case 4: return polygon(3, 0.5, 1.25)
        case 5: return polygon(5, 0, 1.35, inner: 0.6)
        case 6: return polygon(6, 0, 1.1)
        default: return polygon(4, 0, 1.4, inner: 0.55)
        }
    }
}
