import Foundation
import KVCache
import ModelFiles

/// The frequencies of one kind of RoPE, and the cosines and sines of a run of positions.
struct RotaryFrequencies: Sendable {
    let pairing: RotaryConfiguration.Pairing
    /// Radians per position, one per pair of channels.
    let frequencies: [Double]

    init(_ configuration: RotaryConfiguration, headSize: Int, factors: [Float]?) {
        pairing = configuration.pairing
        frequencies = configuration.frequencies(headSize: headSize, factors: factors)
    }

    /// What a cache must know of it.
    var shape: RotaryShape {
        RotaryShape(
            pairing: pairing == .halfSplit ? .halfSplit : .interleaved, frequencies: frequencies)
    }

    /// Writes the table of one position: `[cosine per pair][sine per pair]`.
    ///
    /// Angles are computed in double precision: in float32, position × frequency would lose 3e-4 radians at
    /// position 8192.
    func fill(position: Int, _ table: UnsafeMutablePointer<Float>) {
        let pairs = frequencies.count
        frequencies.withUnsafeBufferPointer { frequencies in
            for pair in 0..<pairs {
                let angle = Double(position) * frequencies[pair]
                table[pair] = Float(cos(angle))
                table[pairs + pair] = Float(sin(angle))
            }
        }
    }
}
