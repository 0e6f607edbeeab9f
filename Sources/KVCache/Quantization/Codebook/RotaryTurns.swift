import Foundation

/// The angles by which RoPE turns the tokens of sealed tiles, for all layers that share RoPE and sink.
///
/// The angle of a token is split into that of its tile's first token and that of its place in the tile,
///
///     cos(first + j) = cos first · cos j − sin first · sin j,   sin(first + j) = sin first · cos j + cos first · sin j
///
/// so that one table of 32 places serves every tile, and a tile has a table of its first token only. Both are computed in
/// double precision and rounded to float32; sums of products are float32, unfused where keys are turned back.
package final class RotaryTurns {
    package let rotary: RotaryShape
    private let sink: Int
    package let pairs: Int
    /// `[pair][2][32]`: cosines and sines of 0 … 31 positions.
    package let places: [Float]
    /// `[tile][2][pair]`: cosines and sines of the first tokens.
    private var firsts: UnsafeMutablePointer<Float>
    private var capacity = 0
    private var tiles = 0

    package init(_ rotary: RotaryShape, sink: Int) {
        self.rotary = rotary
        self.sink = sink
        pairs = rotary.frequencies.count
        firsts = .allocate(capacity: 1)
        var places: [Float] = []
        for frequency in rotary.frequencies {
            let angles = (0..<TileLayout.tokens).map { Double($0) * frequency }
            places += angles.map { Float(cos($0)) }
            places += angles.map { Float(sin($0)) }
        }
        self.places = places
    }

    deinit { firsts.deallocate() }

    /// Makes the tables of tiles `0 ..< count`. Not while others read.
    package func reserve(tiles count: Int) {
        guard count > tiles else { return }
        if count > capacity {
            capacity = max(count, 2 * capacity)
            let larger = UnsafeMutablePointer<Float>.allocate(capacity: capacity * 2 * pairs)
            larger.update(from: firsts, count: tiles * 2 * pairs)
            firsts.deallocate()
            firsts = larger
        }
        for tile in tiles..<count {
            let table = firsts + tile * 2 * pairs
            for (pair, frequency) in rotary.frequencies.enumerated() {
                let angle = Double(sink + TileLayout.tokens * tile) * frequency
                table[pair] = Float(cos(angle))
                table[pairs + pair] = Float(sin(angle))
            }
        }
        tiles = count
    }

    /// `[2][pair]` of a tile that was reserved.
    package func first(ofTile tile: Int) -> UnsafePointer<Float> {
        UnsafePointer(firsts + tile * 2 * pairs)
    }

    /// Rows of a pair.
    @inline(__always)
    package func rows(_ pair: Int) -> (x: Int, y: Int) {
        rotary.pairing == .halfSplit ? (pair, pair + pairs) : (2 * pair, 2 * pair + 1)
    }

    /// Turns a head's tile `[channel][32 tokens]` back to what it was before RoPE, and rounds it to float16.
    package func turnBack(_ keys: UnsafeMutablePointer<Float>, tile: Int) {
        let first = first(ofTile: tile)
        places.withUnsafeBufferPointer { places in
            for pair in 0..<pairs {
                let (row, other) = rows(pair)
                let x = keys + row * TileLayout.tokens
                let y = keys + other * TileLayout.tokens
                let (cosFirst, sinFirst) = (first[pair], first[pairs + pair])
                let cosines = places.baseAddress! + pair * 2 * TileLayout.tokens
                let sines = cosines + TileLayout.tokens
                for token in 0..<TileLayout.tokens {
                    let c = cosFirst * cosines[token] - sinFirst * sines[token]
                    let s = sinFirst * cosines[token] + cosFirst * sines[token]
                    let (a, b) = (x[token], y[token])
                    x[token] = ScalePrecision.float16.round(a * c + b * s)
                    y[token] = ScalePrecision.float16.round(b * c - a * s)
                }
            }
        }
    }
}
