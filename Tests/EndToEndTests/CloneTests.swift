// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Several programs from one image, and what must not be in an image.
@Suite struct CloneTests {
    /// One process of several that share the directory of a run; its streams are its own.
    private func start(_ run: Run, _ name: String, _ program: String, _ arguments: [String]) throws -> Child {
        let words = run.user.prefix + [try Workshop.shared.program(program)] + arguments
        return try Child(Command(program: words[0], arguments: Array(words.dropFirst()), directory: run.directory,
            environment: run.environment, output: .file(run.path("out.\(name)")), error: .file(run.path("err.\(name)"))))
    }

    private func image(_ run: Run) throws {
        try run.start()
        try run.checkpoint(.save)
        try run.kill()
    }

    @Test(arguments: [Flavour.Identity.auto, .new])
    func `one image restarted three times at once is three programs, which know of one another`(identity: Flavour.Identity) throws {
        let run = try Run(Fixture("clone"), as: .nobody)
        try run.explain {
            try image(run)
            let names = ["one", "two", "three"]
            for name in names {
                try FileManager.default.createDirectory(atPath: run.path(name), withIntermediateDirectories: true)
                setOwner(run.path(name), geteuid() == 0 ? 65534 : geteuid())
            }
            let children = try names.map { try start(run, $0, "ckpt-restart", ["--identity", "\(identity)", "--cwd", run.path($0), run.image]) }
            var here: [Int] = []
            for (name, child) in zip(names, children) {
                let line = try awaitFact("\(name) says what it knows") {
                    if let ending = child.poll() { throw Broken("\(name) \(ending): \(text(of: run.path("err.\(name)")))") }
                    return text(of: run.path("out.\(name)")).split(separator: "\n").first { $0.hasPrefix("restart 1, ") }
                }
                let numbers = line.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
                #expect(numbers.count == 3 && numbers[1] == numbers[2] + 1, "\(line)")
                here.append(numbers.count == 3 ? numbers[1] : 0)
            }
            #expect(here.sorted() == [1, 2, 3], "\(here)")
            // Each has images of its own: the first one that saves takes the place of what it came from.
            for child in children {
                let saved = try run.ckpt("save", "\(child.id)")
                #expect(saved.ending == .exited(0), "\(saved)")
            }
            let images = fileNames(run.directory).filter { $0.hasPrefix("clone.") && $0.hasSuffix(".img") }
            #expect(images.count == 3 && images.contains("clone.img"), "\(fileNames(run.directory))")
            for name in images {
                let verified = try run.ckpt("verify", run.path(name))
                #expect(verified.ending == .exited(0), "\(verified)")
            }
            try run.write("", to: "release")
            for (name, child) in zip(names, children) {
                #expect(try child.wait() == .exited(0), "\(name): \(text(of: run.path("err.\(name)")))")
                #expect(text(of: run.path("out.\(name)")).hasSuffix("number: 42\n") && text(of: run.path(name + "/own")) == "42\n", "\(name)")
                removeFile(run.path(name + "/own"))
            }
            // And each image goes on, in the directory of the one that saved it: there nothing else runs.
            for (index, name) in images.enumerated() {
                removeFile(run.path("release"))
                let child = try start(run, "again.\(index)", "ckpt-restart", [run.path(name)])
                _ = try awaitFact("\(name) says what it knows") { text(of: run.path("out.again.\(index)")) == "restart 2, here 1, siblings 0\n" ? true : nil }
                try run.write("", to: "release")
                #expect(try child.wait() == .exited(0), "\(text(of: run.path("err.again.\(index)")))")
            }
            #expect(names.allSatisfy { text(of: run.path($0 + "/own")) == "42\n" })
            run.finish()
        }
    }

    @Test func `a restart that nothing else runs from is counted, and where no record can be written nothing is claimed`() throws {
        let run = try Run(Fixture("clone"), as: .nobody)
        try run.explain {
            try image(run)
            for number in 1 ... 3 {
                try run.restart()
                try run.waitUntilAlive()
                _ = try awaitFact("it says what it knows") { run.output.contains("restart 1, here \(number), siblings 0\n") ? true : nil }
                try run.kill()
            }
            // Read-only, as an image on a medium that cannot be written.
            setMode(run.image + ".d", 0o500)
            setMode(run.image + ".d/restarts", 0o400)
            try run.restart()
            try run.waitUntilAlive()
            _ = try awaitFact("it says what it knows") { run.output.contains("restart 1, here -1, siblings -1\n") ? true : nil }
            setMode(run.image + ".d", 0o700)
            run.finish()
        }
    }

    @Test func `two programs from one image do not draw the same random numbers from the vdso`() throws {
        for arguments in [["tell"], ["tell", "private"]] {
            let run = try Run(Fixture("mapping_droppable"), as: .nobody)
            try run.explain {
                try run.start(Workshop.shared.program("mapping_droppable"), arguments)
                try run.waitUntilAlive()
                try run.checkpoint(.save)
                try run.kill()
                try run.write("", to: "release")
                var drawn: [String] = []
                for _ in 0 ..< 2 {
                    try run.restart()
                    #expect(try run.child?.wait() == .exited(0), "\(run.story)")
                    drawn += run.output.split(separator: "\n").map(String.init).filter { $0.count == 16 && $0.allSatisfy(\.isHexDigit) }
                }
                guard !run.output.contains("no vDSO getrandom") else { return run.finish() }
                // In plain memory they do, as long as the kernel has not drawn a new seed: which shows that this test can fail.
                if arguments.count == 1 {
                    #expect(drawn.count == 2 && drawn[0] != drawn[1], "\(drawn)")
                    let inspected = try run.ckpt("inspect", "--json", run.image)
                    #expect(inspected.ending == .exited(0), "\(inspected)")
                } else { #expect(drawn.count == 2, "\(drawn)") }
                run.finish()
            }
        }
    }

    /// Every file below a directory that holds these bytes.
    private func files(below directory: String, holding wanted: Data) -> [String] {
        let files = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return files.filter { FileManager.default.contents(atPath: directory + "/" + $0)?.range(of: wanted) != nil }
    }

    private static let ways = [("uffd", "none"), ("mprotect", "none"), ("none", "none"), ("uffd", "lz4"), ("mprotect", "zstd"), ("none", "lz4"), ("uffd", "zstd"),
        ("mprotect", "lz4"), ("none", "zstd")]

    @Test(arguments: Workshop.isFull ? ways : Array(ways.prefix(5)))
    func `excluded bytes are in no file`(tracker: String, compression: String) throws {
        let secret = Data("dbs9 Nobody else".utf8)
        // Where they are not excluded the same search finds them.
        for excludes in tracker == "uffd" ? [true, false] : [true] {
            let run = try Run(Fixture("secret"), as: .nobody)
            run.environment["CKPT_TRACKER"] = tracker
            run.environment["CKPT_COMPRESS"] = compression
            run.environment["CKPT_CHAIN"] = "2"
            run.environment["CKPT_GENERATIONS"] = "4"
            try run.explain {
                try run.start(Workshop.shared.program("secret"), excludes ? [] : ["open"])
                try run.waitUntilAlive()
                for _ in 0 ..< 5 { try run.checkpoint(.save) }
                try run.kill()
                try run.restart()
                try run.waitUntilAlive()
                for _ in 0 ..< 2 { try run.checkpoint(.save) }
                // What is compressed cannot be searched: each is unfolded.
                for (index, name) in ([run.image] + fileNames(run.image + ".d").map { run.image + ".d/" + $0 }).enumerated() where !name.hasSuffix("restarts") {
                    let folded = try run.ckpt("fold", name, "-o", run.path("folded.\(index)"))
                    #expect(folded.ending == .exited(0), "\(folded)")
                }
                let found = files(below: run.directory, holding: secret)
                if excludes { #expect(found.isEmpty, "\(found)") } else { #expect(found.contains { $0.hasPrefix("folded") }, "\(found)") }
                #expect(try run.release() == .exited(0) && run.output.hasSuffix("ended\n"), "\(run.story)")
                run.finish()
            }
        }
    }
}
