import Foundation

/// Foundation's functions for files that need nothing else of it.
enum Math {
    static func log(_ value: Double) -> Double { Foundation.log(value) }
}
