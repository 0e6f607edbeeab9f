internal import CPUKernels
internal import Foundation
internal import ModelFiles

/// Derivatives of the loops in `Elementwise`, row by row.
enum ElementwiseGradient {
    /// Of y = w ∘ x · ρ, ρ = 1/√(mean(x²) + ε), with respect to x:
    ///
    ///     dx = ρ · (w ∘ dy) − x · ρ³/n · Σ w ∘ dy ∘ x
    ///
    /// - Parameters:
    ///   - output: `count` floats; may be `outputGradient`, and not `x`.
    ///   - accumulate: adds to `output` instead of replacing it.
    static func rmsNorm(
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>,
        _ outputGradient: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
        count: Int, epsilon: Float, accumulate: Bool
    ) {
        var squares = 0.0
        var products = 0.0
        for index in 0..<count {
            let value = Double(x[index])
            squares += value * value
            products += Double(weight[index]) * Double(outputGradient[index]) * value
        }
        let factor = 1 / (squares / Double(count) + Double(epsilon)).squareRoot()
        let own = Float(factor)
        let common = Float(products / Double(count) * factor * factor * factor)
        if accumulate {
            for index in 0..<count {
                output[index] += own * weight[index] * outputGradient[index] - common * x[index]
            }
        } else {
            for index in 0..<count {
                output[index] = own * weight[index] * outputGradient[index] - common * x[index]
            }
        }
    }

    /// Of z = act(gate) ∘ up with respect to gate and up, which are overwritten.
    static func gated(
        _ gate: UnsafeMutablePointer<Float>, _ up: UnsafeMutablePointer<Float>,
        _ gradient: UnsafePointer<Float>, count: Int, activation: ModelActivation
    ) {
        switch activation {
        case .silu:
            for index in 0..<count {
                let x = gate[index]
                let sigmoid = 1 / (1 + expf(-x))
                let derivative = sigmoid * (1 + x * (1 - sigmoid))
                gate[index] = gradient[index] * up[index] * derivative
                up[index] = gradient[index] * x * sigmoid
            }
        case .geluTanh:
            let slope: Float = 0.797_884_560_802_865_4  // √(2/π)
            let cubic: Float = 0.044_715
            for index in 0..<count {
                let x = gate[index]
                let tangent = tanhf(slope * (x + cubic * x * x * x))
                let half = 0.5 * (1 + tangent)
                let derivative =
                    half + 0.5 * x * (1 - tangent * tangent) * slope * (1 + 3 * cubic * x * x)
                gate[index] = gradient[index] * up[index] * derivative
                up[index] = gradient[index] * x * half
            }
        }
    }
}

/// RoPE of whole rows of heads, and back.
struct RowTurn {
    let headSize: Int
    let pairing: RotaryConfiguration.Pairing

    /// - Parameter angles: `[cosine per pair][sine per pair]`.
    func turn(
        _ source: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, heads: Int,
        angles: UnsafePointer<Float>
    ) {
        let pairs = headSize / 2
        for head in 0..<heads {
            let (x, y) = (source + head * headSize, output + head * headSize)
            switch pairing {
            case .halfSplit: iq_rope_half_split(x, y, angles, angles + pairs, pairs)
            case .interleaved: iq_rope_interleaved(x, y, angles, angles + pairs, pairs)
            }
        }
    }

    /// The inverse, which is the transpose and so turns gradients back, in place.
    func turnBack(
        _ rows: UnsafeMutablePointer<Float>, heads: Int, angles: UnsafePointer<Float>
    ) {
        let pairs = headSize / 2
        for head in 0..<heads {
            let x = rows + head * headSize
            for pair in 0..<pairs {
                let (first, second) =
                    pairing == .halfSplit ? (pair, pair + pairs) : (2 * pair, 2 * pair + 1)
                let (a, b) = (x[first], x[second])
                let (cosine, sine) = (angles[pair], angles[pairs + pair])
                x[first] = a * cosine + b * sine
                x[second] = b * cosine - a * sine
            }
        }
    }
}
