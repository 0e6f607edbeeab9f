import Foundation

/// Functions of the C library, so that only this file imports Foundation for them.
enum Math {
    static func pow(_ base: Float, _ exponent: Float) -> Float {
        Float(Foundation.pow(Double(base), Double(exponent)))
    }

    static func exp(_ value: Double) -> Double { Foundation.exp(value) }

    static func cos(_ value: Double) -> Double { Foundation.cos(value) }
    static func sin(_ value: Double) -> Double { Foundation.sin(value) }
}
