// SPDX-License-Identifier: Apache-2.0
import Testing

struct DocumentTests {
    /// The verbs of the Makefile: lines `name: … ## text`.
    static func verbs() throws -> Set<String> {
        Set(try Tree.lines("Makefile").compactMap { line in
            guard line.contains("## "), let colon = line.firstIndex(of: ":"), line.first?.isLetter == true else { return nil }
            return String(line[..<colon])
        })
    }

    @Test func `every verb that a document names exists`() throws {
        let verbs = try Self.verbs()
        for path in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"] + Tree.files(under: "Documentation", endingWith: ".md") {
            for line in try Tree.lines(path) {
                for piece in line.split(separator: "`").enumerated().filter({ $0.offset % 2 == 1 }).map(\.element) where piece.hasPrefix("make ") {
                    let verb = piece.dropFirst(5).prefix { $0.isLetter || $0 == "-" }
                    #expect(verb.isEmpty || verbs.contains(String(verb)), "\(path) names make \(verb)")
                }
            }
        }
    }

    @Test func `the README's two commands are the demo and what CI runs`() throws {
        let commands = try Tree.lines("README.md").filter { $0.hasPrefix("$ make ") || $0.hasPrefix("    $ make ") || $0.hasPrefix("make ") }
            .compactMap { $0.split(separator: "make ").last?.split(separator: " ").first.map(String.init) }
        #expect(commands.contains("demo") && commands.contains("test"), "\(commands)")
        #expect(try Tree.text(".ci/run").contains("make test"))
    }

    @Test func `the verbs of the Makefile have a line each in make help`() throws {
        let help = try ToolRun("make", ["help"])
        #expect(help.status == 0)
        for verb in try Self.verbs() {
            #expect(help.lines.contains { $0.hasPrefix("make \(verb) ") }, "make help does not name \(verb)")
        }
        let wanted: Set = ["build", "demo", "test", "check", "soak", "bench", "docs", "install", "uninstall", "help"]
        #expect(wanted.subtracting(try Self.verbs()).isEmpty)
    }

    @Test func `the README names every blocked call and what becomes of it`() throws {
        let text = try Tree.text("README.md")
        for call in ["poll", "ppoll", "select", "epoll_wait", "nanosleep", "clock_nanosleep", "sigtimedwait", "sigwaitinfo", "pause", "sigsuspend",
                     "futex", "semop", "msgrcv", "recv"] {
            #expect(text.contains("`\(call)`"), "\(call)")
        }
    }

    @Test func `links between the documents lead somewhere`() throws {
        for path in Tree.files where path.hasSuffix(".md") {
            let folder = path.split(separator: "/").dropLast().joined(separator: "/")
            for link in try Tree.text(path).components(between: "](", and: ")") where !link.contains("://") && !link.hasPrefix("#") {
                let target = String(link.split(separator: "#").first ?? "")
                #expect(Tree.exists(folder.isEmpty ? target : folder + "/" + target), "\(path) links to \(link)")
            }
        }
    }
}

extension String {
    /// What stands between each `start` and the next `end`.
    func components(between start: String, and end: String) -> [Substring] {
        var found: [Substring] = []
        var rest = self[...]
        while let begin = rest.firstRange(of: start) {
            rest = rest[begin.upperBound...]
            guard let close = rest.firstRange(of: end) else { break }
            found.append(rest[..<close.lowerBound])
            rest = rest[close.upperBound...]
        }
        return found
    }
}
