// SPDX-License-Identifier: Apache-2.0
import Testing

/// The arrows of ARCHITECTURE.md.
struct ImportTests {
    static let ours: Set<String> = [
        "CheckpointKit", "CheckpointImage", "CheckpointCompression", "CLZ4", "CZstd", "CheckpointRestart", "CheckpointMigration", "CheckpointPreload",
        "CCheckpointABI", "CCheckpointEngine", "CRestorer", "CCheckpointProcess", "CCheckpointProbe",
    ]
    static let arrows: [String: Set<String>] = [
        "ckpt": ["CheckpointKit", "CheckpointRestart", "CheckpointCompression", "CheckpointImage", "CCheckpointABI", "CCheckpointProcess", "CCheckpointProbe"],
        "ckpt-restart": ["CheckpointRestart", "CheckpointImage", "CCheckpointABI"],
        "CheckpointRestart": ["CheckpointCompression", "CheckpointImage", "CRestorer", "CCheckpointABI"],
        "CheckpointKit": ["CheckpointImage", "CCheckpointEngine", "CCheckpointProcess", "CCheckpointABI"],
        "CheckpointImage": ["CCheckpointABI"],
        "CheckpointCompression": ["CheckpointImage", "CLZ4", "CZstd"],
        "CCheckpointEngine": [], "CCheckpointProcess": [], "CCheckpointProbe": [], "CRestorer": [], "CLZ4": [], "CZstd": [],
    ]

    /// The modules that a Swift file imports.
    static func imports(of path: String) throws -> Set<String> {
        Set(try Tree.lines(path).compactMap { line in
            var words = line.split(separator: " ")[...]
            while let first = words.first, ["public", "package", "internal", "private", "fileprivate"].contains(first) || first.hasPrefix("@") {
                words.removeFirst()
            }
            guard words.popFirst() == "import" else { return nil }
            if let kind = words.first, ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"].contains(kind) { words.removeFirst() }
            return words.first.flatMap { $0.split(separator: ".").first }.map(String.init)
        })
    }

    static let targets: [String] = Array(Set(Tree.files(under: "Sources").compactMap { $0.split(separator: "/").dropFirst().first.map(String.init) })).sorted()

    @Test(arguments: targets) func `a target imports only what the arrows allow`(target: String) throws {
        let allowed = try #require(Self.arrows[target], "\(target) has no arrows in this test and in ARCHITECTURE.md")
        for path in Tree.files(under: "Sources/\(target)", endingWith: ".swift") {
            let other = try Self.imports(of: path).intersection(Self.ours).subtracting(allowed)
            #expect(other.isEmpty, "\(path) imports \(other)")
        }
    }

    @Test(arguments: ["CheckpointKit", "CheckpointImage", "CheckpointRestart"])
    func `the library targets do without Foundation`(target: String) throws {
        for path in Tree.files(under: "Sources/\(target)", endingWith: ".swift") {
            let foundation = try Self.imports(of: path).filter { $0.hasPrefix("Foundation") || $0 == "Dispatch" }
            #expect(foundation.isEmpty, "\(path) imports \(foundation)")
        }
    }

    @Test func `signal time and restorer time include nothing but the kernel's headers and include of this package`() throws {
        // What the compiler brings itself, the kernel's interface, and our own headers.
        let allowed = ["<stddef.h>", "<stdint.h>", "<stdbool.h>", "<stdarg.h>", "<limits.h>", "<cpuid.h>", "<immintrin.h>", "<nmmintrin.h>", "<x86intrin.h>"]
        let files = try Tree.files(under: "Sources/CCheckpointEngine", "Sources/CRestorer", endingWith: ".c", ".h", ".S").filter { path in
            try !Tree.lines(path).prefix(8).contains { $0.contains("Plan time") }
        }
        let places = try Tree.places(in: files) { line in
            let words = line.split(separator: " ")
            guard words.count > 1, words[0] == "#include", words[1].hasPrefix("<") else { return false }
            return !allowed.contains(String(words[1])) && !words[1].hasPrefix("<linux/") && !words[1].hasPrefix("<asm/") && !words[1].hasPrefix("<elf.h")
        }
        #expect(places.isEmpty, "\(places)")
    }
}
