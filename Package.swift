// swift-tools-version: 6.2
import PackageDescription

// Rooms, ground floor first; arrows only go down. docs/architecture.md says what each holds.
let swift: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "InnerQ",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "InnerQ", targets: ["InnerQ"]),
        .executable(name: "innerq", targets: ["innerq"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    ],
    targets: [
        .target(
            name: "CPUKernels",
            cSettings: [
                .headerSearchPath("."), .headerSearchPath("attention"),
                .headerSearchPath("weights"),
            ]),
        .target(name: "Threading", swiftSettings: swift),
        .target(
            name: "KVCache",
            dependencies: [
                "CPUKernels", "Threading", .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: swift),
        .target(name: "CUDADriver", swiftSettings: swift),
        // Kernels are text here: they are compiled for the GPU that is found, when it is found.
        .target(name: "CUDAKernels", exclude: ["kernels"]),
        .target(
            name: "CUDABackend",
            dependencies: [
                "CUDADriver", "CUDAKernels", "KVCache", "Threading",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: swift),
        .target(
            name: "ModelFiles",
            dependencies: [.product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: swift),
        .target(
            name: "Transformer",
            dependencies: ["CPUKernels", "Threading", "KVCache", "ModelFiles"],
            swiftSettings: swift),
        .target(
            name: "Calibration",
            dependencies: [
                "Transformer", "KVCache", "CPUKernels", "Threading",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: swift),
        .target(
            name: "Generation",
            dependencies: ["Transformer", "KVCache", "ModelFiles", "Threading"],
            swiftSettings: swift),
        // Questions and their scoring, results and their page: no model, so that both build and test in seconds.
        .target(name: "Tasks", swiftSettings: swift),
        .target(name: "Reports", swiftSettings: swift),
        .target(
            name: "Evaluation",
            dependencies: [
                "Tasks", "Reports", "Generation", "Transformer", "KVCache", "ModelFiles",
                "Threading", "CPUKernels", .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: swift),
        .target(
            name: "InnerQ",
            dependencies: [
                "Calibration", "Evaluation", "Tasks", "Reports", "Generation", "Transformer",
                "KVCache", "ModelFiles", "Threading",
                "CPUKernels", "CUDADriver", "CUDABackend",
            ],
            swiftSettings: swift),
        .executableTarget(
            name: "innerq",
            dependencies: [
                "InnerQ", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/innerq-cli",
            swiftSettings: swift),
        .testTarget(
            name: "CPUKernelsTests", dependencies: ["CPUKernels", "KVCache", "Transformer"],
            resources: [.copy("Fixtures")], swiftSettings: swift),
        .testTarget(name: "ThreadingTests", dependencies: ["Threading"], swiftSettings: swift),
        // A CUDA driver for machines without one, for tests.
        .target(
            name: "CUDAStandIn", dependencies: ["CUDADriver"], path: "Tests/CUDAStandIn",
            swiftSettings: swift),
        .testTarget(
            name: "CUDADriverTests", dependencies: ["CUDADriver", "CUDAStandIn"],
            swiftSettings: swift),
        .testTarget(
            name: "CUDABackendTests",
            dependencies: [
                "CUDABackend", "CUDADriver", "CUDAStandIn", "CUDAKernels", "KVCache", "Threading",
            ],
            swiftSettings: swift),
        .testTarget(
            name: "KVCacheTests",
            dependencies: [
                "KVCache", "ModelFiles", .product(name: "Crypto", package: "swift-crypto"),
            ],
            resources: [.copy("Fixtures")], swiftSettings: swift),
        .testTarget(
            name: "ModelFilesTests", dependencies: ["ModelFiles"],
            resources: [.copy("Fixtures")], swiftSettings: swift),
        .testTarget(
            name: "TransformerTests",
            dependencies: ["Transformer", "ModelFiles", "KVCache", "CPUKernels", "Threading"],
            resources: [.copy("Fixtures")], swiftSettings: swift),
        .testTarget(
            name: "CalibrationTests",
            dependencies: ["Calibration", "Transformer", "KVCache", "ModelFiles", "Threading"],
            swiftSettings: swift),
        .testTarget(
            name: "GenerationTests",
            dependencies: ["Generation", "Transformer", "ModelFiles", "ModelFixtures"],
            swiftSettings: swift),
        // Small random models and where real ones lie, for tests.
        .target(
            name: "ModelFixtures", dependencies: ["Generation", "ModelFiles", "Threading"],
            path: "Tests/ModelFixtures", swiftSettings: swift),
        .testTarget(
            name: "TasksTests", dependencies: ["Tasks"], resources: [.copy("Fixtures")],
            swiftSettings: swift),
        .testTarget(name: "ReportsTests", dependencies: ["Reports"], swiftSettings: swift),
        .testTarget(
            name: "EvaluationTests",
            dependencies: [
                "Evaluation", "Tasks", "Reports", "Generation", "Transformer", "KVCache",
                "ModelFiles", "ModelFixtures", "Threading",
            ],
            swiftSettings: swift),
        .testTarget(
            name: "InnerQTests", dependencies: ["InnerQ", "KVCache", "ModelFixtures"],
            resources: [.copy("Fixtures")], swiftSettings: swift),
    ]
)
