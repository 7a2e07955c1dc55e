// swift-tools-version: 6.3
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("InternalImportsByDefault"),
]
let cIncludes: [CSetting] = [.headerSearchPath("../../include"), .headerSearchPath(".")]

let package = Package(
    name: "CheckpointKit",
    products: [
        .library(name: "CheckpointKit", targets: ["CheckpointKit"]),
        .library(name: "checkpointkit", type: .dynamic, targets: ["CheckpointKit"]),
        .executable(name: "ckpt", targets: ["ckpt"]),
        .executable(name: "ckpt-restart", targets: ["ckpt-restart"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        // The flat structs of include/ckpt: what crosses a border between the worlds.
        .systemLibrary(name: "CCheckpointABI", path: "include"),
        // Signal time.
        .target(name: "CCheckpointEngine", cSettings: cIncludes),
        // Restorer time.
        .target(name: "CRestorer", cSettings: cIncludes),
        // Plan time.
        .target(name: "CheckpointImage", dependencies: [
            "CCheckpointABI",
            .product(name: "SystemPackage", package: "swift-system"),
        ], swiftSettings: strict),
        .target(name: "CCheckpointProcess", cSettings: cIncludes),
        .target(name: "CheckpointKit", dependencies: [
            "CCheckpointABI", "CCheckpointEngine", "CCheckpointProcess", "CheckpointImage",
        ], swiftSettings: strict),
        .target(name: "CheckpointRestart", dependencies: [
            "CCheckpointABI", "CRestorer", "CheckpointImage",
            .product(name: "SystemPackage", package: "swift-system"),
        ], swiftSettings: strict),
        // Tries what this kernel can do, for `ckpt check`.
        .target(name: "CCheckpointProbe"),
        .executableTarget(name: "ckpt", dependencies: [
            "CCheckpointABI", "CCheckpointProcess", "CCheckpointProbe", "CheckpointKit", "CheckpointImage",
            .product(name: "SystemPackage", package: "swift-system"),
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ], swiftSettings: strict, linkerSettings: [
            // The runtime is inside: an installed ckpt needs libc only.
            .unsafeFlags(["-static-stdlib"]), .linkedLibrary("_FoundationCShims"), .linkedLibrary("_FoundationCollections"),
        ]),
        .executableTarget(name: "ckpt-restart", dependencies: [
            "CheckpointRestart",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ], swiftSettings: strict, linkerSettings: [
            .unsafeFlags(["-static-executable"]),
            .linkedLibrary("_FoundationCShims"), .linkedLibrary("_FoundationCollections"),
        ]),
        .testTarget(name: "CheckpointRestartTests", dependencies: [
            "CCheckpointABI", "CRestorer", "CheckpointRestart", .product(name: "SystemPackage", package: "swift-system"),
        ], swiftSettings: strict),
        .testTarget(name: "ConventionTests", dependencies: ["CCheckpointABI"], swiftSettings: strict),
        .testTarget(name: "CheckpointImageTests", dependencies: [
            "CCheckpointABI", "CheckpointImage",
            .product(name: "SystemPackage", package: "swift-system"),
        ], swiftSettings: strict),
        // The engine's private side, for tests in process.
        .target(name: "CEngineView", dependencies: ["CCheckpointEngine"], path: "Tests/CEngineView", cSettings: [.headerSearchPath("../../include")]),
        .testTarget(name: "CheckpointKitTests", dependencies: ["CCheckpointABI", "CEngineView", "CheckpointKit"], swiftSettings: strict),
        // Examples.
        .executableTarget(name: "Neighbours", dependencies: ["CheckpointKit"], path: "Examples/Neighbours", swiftSettings: strict),
        .executableTarget(name: "HelloCheckpoint", dependencies: ["CheckpointKit"], path: "Examples/HelloCheckpoint", swiftSettings: strict),
        .executableTarget(name: "Jacobi", dependencies: ["CheckpointKit"], path: "Examples/Jacobi", swiftSettings: strict),
        .executableTarget(name: "checkpoint-bench", path: "Benchmarks/Driver", swiftSettings: strict),
        // Fixtures in Swift: one kernel feature each, which print what they see.
        .target(name: "FixtureSupport", path: "Tests/Fixtures/Support", swiftSettings: strict),
        .executableTarget(name: "SwiftTasks", dependencies: ["CheckpointKit", "FixtureSupport"], path: "Tests/Fixtures/SwiftTasks", swiftSettings: strict),
        .executableTarget(name: "SwiftDispatch", dependencies: ["CheckpointKit", "FixtureSupport"], path: "Tests/Fixtures/SwiftDispatch", swiftSettings: strict),
        .executableTarget(name: "SwiftFoundation", dependencies: ["CheckpointKit", "FixtureSupport"], path: "Tests/Fixtures/SwiftFoundation", swiftSettings: strict),
        .executableTarget(name: "SwiftLocks", dependencies: ["CheckpointKit", "FixtureSupport"], path: "Tests/Fixtures/SwiftLocks", swiftSettings: strict),
        .executableTarget(name: "SwiftCheckpoint", dependencies: ["CheckpointKit", "FixtureSupport"], path: "Tests/Fixtures/SwiftCheckpoint", swiftSettings: strict),
        .executableTarget(name: "SwiftStatic", dependencies: ["CheckpointKit", "FixtureSupport"], path: "Tests/Fixtures/SwiftStatic", swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-static-executable"])]),
        // Tests: a fixture is started, checkpointed, killed, restarted.
        // No test target depends on a static executable: its linker flags would be those of the test program too.
        .target(name: "CLaunch", path: "Tests/CLaunch"),
        .testTarget(name: "EndToEndTests", dependencies: ["CCheckpointABI", "CLaunch"], swiftSettings: strict),
    ]
)
