import InnerQ

var failed = false
var all = KernelVerification.run()
if CommandLine.arguments.count > 1 {
    all += try VectorVerification.run(folder: CommandLine.arguments[1])
}
for c in all {
    print(c.passed ? "ok  " : "FAIL", c.name, c.elements, c.worstError, c.failures, c.note ?? "")
}
