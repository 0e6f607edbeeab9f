/// How codes, of a cache or of weights, are multiplied with few vectors. Float16 windows and formats without integer kernels
/// are float32; so are products of many vectors, but for prompts on processors with AMX.
public enum ProductArithmetic: String, Sendable, Hashable, CaseIterable {
    /// Queries, softmax weights and activations are rounded to integers of 16 bits with a scale for each 32 (weights of 256 a
    /// block: 256), and sums of a group are exact: a product differs from the float32 one by at most
    /// max |x| · Σ |code · scale| / 65,278, x being the multipliers of the group. Of prompts on AMX, each number is the sum of
    /// two bfloat16, and each product is within 2⁻¹⁵ of itself.
    case integer
    /// Everything stays float32. Slower; what ``integer`` is compared with.
    case float
}
