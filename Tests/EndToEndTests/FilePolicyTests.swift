// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// What a restart does about files that are not as they were at the checkpoint.
@Suite struct FilePolicyTests {
    /// The fixture `file` with an image, killed.
    private func stopped(_ fixture: Fixture = Fixture("file")) throws -> Run {
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
        }
        return run
    }

    private func expectTheSame(_ run: Run, _ options: [String] = []) throws {
        try run.explain {
            try run.restart(options)
            try run.waitUntilAlive()
            let ending = try run.release(), reference = try Reference.of(run.fixture, as: .nobody)
            #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)\nexpected: \(reference.facts)")
            if run.facts == reference.facts { run.finish() }
        }
    }

    private func expectRefusal(_ run: Run, _ class: String, about name: String) throws {
        let answer = try run.tryRestart(run.image)
        #expect(answer.ending == .exited(125) && answer.output == "", "\(answer)")
        #expect(answer.errors.hasPrefix("ckpt-restart: \(run.image): \(`class`): ") && answer.errors.contains(run.path(name)), "\(answer)")
        #expect(answer.errors.filter { $0 == "\n" }.count == 1, "\(answer)")
    }

    private func append(_ text: String, to path: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    @Test func `output appears exactly once, and the tail that is cut off is kept`() throws {
        let run = try Run(Fixture("file_tail"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            _ = try run.release()
            let log = text(of: run.path("log")), result = text(of: run.path("result"))
            removeFile(run.path("release"))
            try run.restart()
            try run.waitUntilAlive()
            #expect(text(of: run.path("log")) == "before\n" && text(of: run.path("result")) == "before\n", "\(run.story)")
            #expect(text(of: run.path("log.ckpt-tail")) == log.dropFirst("before\n".count), "\(fileNames(run.directory))")
            _ = try run.release()
            #expect(text(of: run.path("log")) == log && text(of: run.path("result")) == result, "\(run.story)")
            run.finish()
        }
    }

    @Test func `files that have only grown are opened`() throws {
        let run = try stopped()
        try append(" fifth", to: run.path("input"))
        try append("what a later run wrote", to: run.path("log"))
        try append("what a later run wrote", to: run.path("result"))
        try expectTheSame(run)
    }

    @Test func `a file for reading that shrank is refused, and opened with --force`() throws {
        let run = try stopped()
        try run.write("first", to: "input")
        try expectRefusal(run, "changed", about: "input")
        try run.restart(["--force"])
        try run.explain { try run.waitUntilAlive() }
        run.finish()
    }

    @Test func `a file that was overwritten is refused`() throws {
        let run = try stopped()
        try run.write("FIRST second third fourth", to: "input")
        try expectRefusal(run, "changed", about: "input")
        run.finish()
    }

    @Test func `a file that is read and written inside is refused when it was modified`() throws {
        let run = try stopped()
        try append("dddd", to: run.path("table"))
        try expectRefusal(run, "changed", about: "table")
        run.finish()
    }

    @Test func `an output file that shrank is refused`() throws {
        let run = try stopped()
        try run.write("", to: "log")
        try expectRefusal(run, "changed", about: "log")
        run.finish()
    }

    @Test func `a missing file is refused, found by --map-path, or left out by --allow-missing`() throws {
        let run = try stopped()
        try FileManager.default.createDirectory(atPath: run.path("moved"), withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: run.path("input"), toPath: run.path("moved/input"))
        try expectRefusal(run, "missing", about: "input")
        let allowed = try Run(run.fixture, as: .nobody, sharing: run)
        try allowed.restart(["--allow-missing"], image: run.image)
        try allowed.explain {
            try allowed.waitUntilAlive()
            try allowed.kill()
        }
        // The fixture opens it once more by its old path.
        try FileManager.default.createSymbolicLink(atPath: run.path("input"), withDestinationPath: run.path("moved/input"))
        try expectTheSame(run, ["--map-path", "\(run.path("input"))=\(run.path("moved/input"))"])
    }

    @Test func `nothing was changed by a restart that was refused`() throws {
        let run = try stopped()
        try append("what a later run wrote", to: run.path("log"))
        try run.write("first", to: "input")
        try expectRefusal(run, "changed", about: "input")
        #expect(text(of: run.path("log")) == "one what a later run wrote" && !run.exists("log.ckpt-tail"))
        run.finish()
    }
}
