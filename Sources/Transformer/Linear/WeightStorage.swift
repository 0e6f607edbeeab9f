/// Where a model's quantized weights are read from.
public enum WeightStorage: Sendable, Hashable, CaseIterable {
    /// Copied to memory when the model is loaded, eight rows side by side: decoding is a third to a half faster than from
    /// the file, whose pages are given back meanwhile, so that the model takes the same memory as before. It cannot be dropped
    /// under pressure, though, and loading takes as long as reading the file.
    ///
    /// Processors without AVX2, and types that are not quantized, are served from the file.
    case interleaved
    /// In the mapped file: loading is instant, and all processes that run the model share its pages.
    case mapped
}
