// swift-tools-version: 6.2
import PackageDescription

// Inner loops by themselves: what they cost in instructions, and whether variants agree. A package of its own, so that it
// builds in seconds and the library knows nothing of it. The kernels are the library's own folder, by a link.
let package = Package(
    name: "Benchmarks",
    targets: [
        .target(
            name: "CPUKernels",
            cSettings: [
                .headerSearchPath("."), .headerSearchPath("attention"),
                .headerSearchPath("weights"),
            ]),
        .executableTarget(name: "kernel-loops", dependencies: ["CPUKernels"]),
    ]
)
