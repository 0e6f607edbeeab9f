import Foundation
import InnerQ
// exp MODEL TOKENS context prefill offsets policy.json...
let a = CommandLine.arguments
let ids = try Data(contentsOf: URL(fileURLWithPath: a[2])).withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
let model = try TransformerModel(checkpoint: .open(path: a[1]), workers: WorkerPool(threads: Int(ProcessInfo.processInfo.environment["T"] ?? "1")!))
let offsets = a[5].split(separator: ",").map { Int($0)! }
var base: [Float]?
for name in a[6...] {
    let policy = try CachePolicy.named(String(name))
    let r = try model.perplexity(of: ids, policy: policy, options: PerplexityOptions(context: Int(a[3])!, prefill: Int(a[4])!, offsets: offsets))
    var paired = ""
    if let base {
        let d = zip(r.negativeLogLikelihoods, base).map { Double($0 - $1) }
        let m = d.reduce(0, +) / Double(d.count)
        let v = d.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(d.count - 1)
        paired = String(format: "%+.2f%% ± %.2f", (exp(m) - 1) * 100, (v / Double(d.count)).squareRoot() * 100)
    } else { base = r.negativeLogLikelihoods }
    print(policy.name, String(format: "%.4f ± %.3f  n=%d  %.2f bits %.1fs", r.perplexity, r.standardError, r.scoredTokens, r.bitsPerElement, r.seconds), paired)
}
