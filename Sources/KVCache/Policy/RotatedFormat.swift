/// TurboQuant's formats (arXiv 2504.19874): each vector of a head is turned by a fixed random rotation, after which its
/// channels are nearly normal, and each channel is rounded to the Lloyd–Max level of a normal distribution. One float16
/// norm a vector.
///
///     γ = ‖x‖,  y = Π x / γ,  code_j = nearest level to y_j · √d          x̂ = γ / √d · Πᵀ level[code]
///
/// Queries are turned once for all keys, and the sum of values is turned back once, so that nothing is turned by token.
public struct RotatedFormat: Sendable, Hashable {
    /// Bits an element, the residual's included: 1 to 4, with a residual 2 to 4.
    public var bits: Int
    /// The inner-product variant: one bit less for the levels, and the signs of `S (x − x̂)` with a Gaussian matrix S, plus
    /// the norm of x − x̂ in float16. Products with it are unbiased: `√(π/2) / d · ‖x − x̂‖ · Sᵀ sign` is added.
    public var hasResidual: Bool
    /// What Π and S are made from. K and V of all layers share them.
    public var seed: UInt64

    public init(bits: Int, hasResidual: Bool = false, seed: UInt64 = 0x5EED) {
        self.bits = bits
        self.hasResidual = hasResidual
        self.seed = seed
    }

    /// Bits of a level's code.
    package var levelBits: Int { hasResidual ? bits - 1 : bits }

    /// Bits an element, the float16 norms included.
    public func bitsPerElement(headSize: Int) -> Double {
        Double(bits) + Double(hasResidual ? 32 : 16) / Double(headSize)
    }
}
