// SPDX-License-Identifier: Apache-2.0
import Testing

/// Every kind of kernel object has one name and five places.
struct KindTests {
    /// What is captured in a file of its own; `process` and `descriptor` are the frames that hold the kinds, `unforked` is a way to
    /// copy some mappings.
    static let kinds: [String] = Tree.files(under: "Sources/CCheckpointEngine", endingWith: ".c").compactMap { path in
        guard let name = path.split(separator: "/").last, name.hasPrefix("capture_") else { return nil }
        return String(name.dropFirst("capture_".count).dropLast(".c".count))
    }.filter { !["process", "descriptor", "unforked"].contains($0) }

    @Test func `the kinds of this version are captured`() {
        let missing = Set([
            "file", "pipe", "eventfd", "epoll", "timerfd", "signalfd", "timer", "thread", "signal", "mapping", "scheduling", "limit", "attribute",
        ]).subtracting(Self.kinds)
        #expect(missing.isEmpty, "no capture_<kind>.c for \(missing)")
    }

    @Test(arguments: kinds) func `a kind has its five places`(kind: String) throws {
        let header = try Tree.text("include/ckpt/image.h")
        #expect(header.contains("struct ckpt_\(kind) {") || header.contains("struct ckpt_\(kind)_") || header.contains("CKPT_DESCRIPTOR_\(kind.uppercased())"),
                "image.h does not describe \(kind)")
        let restored = "Sources/CheckpointRestart/\(kind.prefix(1).uppercased())\(kind.dropFirst()).swift"
        #expect(Tree.exists(restored), "there is no \(restored)")
        #expect(!Tree.files.filter { $0.hasPrefix("Tests/Fixtures/\(kind)") }.isEmpty, "no fixture shows \(kind)")
        #expect(try Tree.lines("README.md").contains { $0.hasPrefix("| `\(kind)` |") }, "the README's table has no row for \(kind)")
    }
}
