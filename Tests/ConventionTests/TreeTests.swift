// SPDX-License-Identifier: Apache-2.0
import Testing

struct TreeTests {
    static let swiftFiles = Tree.files(under: "Sources", "Tests", "Examples", "Benchmarks", endingWith: ".swift")
    static let cFiles = Tree.files(under: "Sources", "Tests", "Examples", "Benchmarks", "include", endingWith: ".c", ".h", ".S")

    @Test func `every source file begins with its licence`() throws {
        let without = try (Self.swiftFiles + Self.cFiles + Tree.files(under: "Scripts", ".ci")).filter { path in
            try !Tree.lines(path).prefix(3).contains { $0.contains("SPDX-License-Identifier: Apache-2.0") }
        }
        #expect(without.isEmpty, "\(without)")
    }

    @Test func `no file is longer than a reader holds`() throws {
        let long = try (Self.swiftFiles + Self.cFiles).filter { try Tree.lines($0).count > 401 }
        #expect(long.isEmpty, "400 lines and more: \(long)")
    }

    @Test func `unsafe stands only in files that say so in their name`() throws {
        let places = try Tree.places(in: Self.swiftFiles.filter { !$0.hasSuffix("+Unsafe.swift") && !$0.hasPrefix("Tests/ConventionTests/") }) { line in
            let code = line.split(separator: "//", omittingEmptySubsequences: false).first ?? line
            return code.split(whereSeparator: { !$0.isLetter && $0 != "\"" && $0 != "`" && $0 != "_" }).contains("unsafe")
                && !code.contains("\"") && !code.contains("`")
        }
        #expect(places.isEmpty, "\(places)")
    }

    @Test func `every file with unsafe code says why it is safe`() throws {
        let silent = try Self.swiftFiles.filter { $0.hasSuffix("+Unsafe.swift") }.filter { try !Tree.text($0).contains("// Safety:") }
        #expect(silent.isEmpty, "\(silent)")
    }

    @Test func `tests have sentences as names`() throws {
        let places = try Tree.places(in: Tree.files(under: "Tests", endingWith: ".swift")) { line in
            line.contains("@Test") && line.contains("func ") && !line.contains("func `")
        }
        #expect(places.isEmpty, "\(places)")
    }

    @Test func `no text names a path of one machine`() throws {
        // Put together here, so that this file is not found itself.
        let roots = ["root", "work", "opt/swift", "tmp/w"].map { "/" + $0 + "/" }
        let places = try Tree.places(in: Tree.texts) { line in
            // A path that begins there; /proc/PID/root/… is another thing.
            roots.contains { root in
                line.ranges(of: root).contains { range in
                    guard range.lowerBound > line.startIndex else { return true }
                    let before = line[line.index(before: range.lowerBound)]
                    return !before.isLetter && !before.isNumber && !")}".contains(before)
                }
            }
        }
        #expect(places.isEmpty, "\(places)")
    }

    @Test func `nothing is to be done without an issue's number`() throws {
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
        let places = try Tree.places(in: Tree.texts) { line in
            words.contains { word in
                line.split(whereSeparator: { !$0.isLetter && $0 != "(" && $0 != "#" && !$0.isNumber }).contains {
                    $0.hasPrefix(word) && !$0.hasPrefix(word + "(#") && ($0.count == word.count || $0.dropFirst(word.count).first == "(")
                }
            }
        }
        #expect(places.isEmpty, "\(places)")
    }

    @Test func `files of signal time say what they do and why they are safe there`() throws {
        let silent = try Tree.files(under: "Sources/CCheckpointEngine", endingWith: ".c").filter { path in
            try !Tree.lines(path).prefix(8).contains { $0.contains("Signal time: safe.") || $0.contains("Plan time") }
        }
        #expect(silent.isEmpty, "\(silent)")
    }

    @Test func `scripts are executable and well formed`() throws {
        for script in Tree.files(under: "Scripts", ".ci") {
            let run = try ToolRun("bash", ["-n", script])
            #expect(run.status == 0, "\(script): \(run.output)")
        }
    }
}
