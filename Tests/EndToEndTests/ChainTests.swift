// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import Foundation
import Testing

enum Host {
    /// What `ckpt check` says of asynchronous write-protection.
    static func lacksTracker(_ run: Run) -> Bool {
        (try? run.ckpt("check").output.split(separator: "\n").contains { $0.contains("userfaultfd") && !$0.contains("yes") }) ?? false
    }
}

/// Restarts from chains: a real image, divided over several files.
@Suite struct ChainTests {
    /// Takes a checkpoint of a fixture, kills it, and divides the image; `length` files besides it.
    private func chain(_ run: Run, length: Int, seed: UInt64) throws -> (whole: [UInt8], parents: [String]) {
        try run.start()
        try run.checkpoint(.save)
        try run.kill()
        let whole = Array(try #require(FileManager.default.contents(atPath: run.image)))
        let identifiers = (0 ..< UInt64(length)).map { 0x1111_0000_0000 + $0 }
        let images = try Split.chain(whole, parents: identifiers, seed: seed)
        try FileManager.default.createDirectory(atPath: run.image + ".d", withIntermediateDirectories: true)
        var parents: [String] = []
        for (identifier, image) in zip(identifiers, images) {
            parents.append(run.image + ".d/" + String(identifier, radix: 16))
            try write(image, to: parents.last!)
        }
        setOwner(run.image + ".d", 65534)
        try write(images.last!, to: run.image)
        return (whole, parents)
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        setOwner(path, 65534)
        setMode(path, 0o600)
    }

    private func expectTheSame(_ run: Run, _ what: String) throws {
        let reference = try Reference.of(run.fixture, as: run.user)
        let ending = try run.release()
        #expect(run.facts == reference.facts && ending == reference.ending, "\(what): \(run.story)")
        if run.facts == reference.facts { run.finish() }
    }

    static let fixtures = ["mapping", "stack", "heap", "registers", "vdso", "thread_many", "condition", "library", "file_deleted", "pipe", "SwiftTasks", "SwiftStatic"]
        .map { Fixture($0) }

    @Test(arguments: fixtures, [1, 2, 7]) func `a program restarts from a chain as from one image`(fixture: Fixture, length: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            _ = try chain(run, length: length, seed: seed)
            let verified = try run.ckpt("verify", run.image)
            #expect(verified.ending == .exited(0) && verified.output.contains("in a chain of \(length + 1) files"), "seed \(seed): \(verified)")
            try run.restart(length == 2 ? ["--load", "lazy"] : [])
            try run.waitUntilAlive()
            try expectTheSame(run, "seed \(seed)")
        }
    }

    @Test(arguments: [Fixture("heap"), Fixture("SwiftTasks"), Fixture("file_deleted")])
    func `a folded chain restarts alone, and gdb opens the chain`(fixture: Fixture) throws {
        let seed = UInt64.random(in: 0 ... .max)
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            let (whole, parents) = try chain(run, length: 3, seed: seed)
            try write(whole, to: run.path("whole.img"))
            let same = try run.ckpt("diff", run.path("whole.img"), run.image)
            #expect(same.ending == .exited(0) && same.output == "0 pages changed, 0 came, 0 went\n", "seed \(seed): \(same)")
            let inspected = try run.ckpt("inspect", "--json", run.image)
            #expect(parents.allSatisfy { inspected.output.contains($0) }, "\(inspected)")
            let debugged = try run.ckpt("debug", run.image, "--", "-batch", "-nx", "-ex", "bt")
            #expect(debugged.ending == .exited(0) && debugged.output.contains("#1 "), "seed \(seed): \(debugged)")
            let folded = try run.ckpt("fold", run.image, "-o", run.path("folded.img"))
            #expect(folded.ending == .exited(0), "seed \(seed): \(folded)")
            let refused = try run.ckpt("fold", run.image, "-o", parents[0])
            #expect(refused.ending == .exited(64) && refused.errors.contains(": usage: ") && refused.errors.filter { $0 == "\n" }.count == 1, "\(refused)")
            for parent in parents { removeFile(parent) }
            try run.restart(image: run.path("folded.img"))
            try run.waitUntilAlive()
            try expectTheSame(run, "seed \(seed)")
        }
    }

    @Test func `a restarted program finds its tracker armed`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            let id = try #require(processTree(below: run.child?.id ?? 0).last { text(of: "/proc/\($0)/maps").contains("[heap]") })
            let numbers = fileNames("/proc/\(id)/fd").compactMap { Int($0) }.filter {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/fd/\($0)")) == "anon_inode:[userfaultfd]"
            }
            if numbers.isEmpty && Host.lacksTracker(run) { return run.finish() }
            #expect(numbers.count == 1 && numbers[0] >= 24, "\(numbers)")
            // Which of the populated pages of the heap the kernel holds protected: bit 57.
            let heap = try #require(text(of: "/proc/\(id)/maps").split(separator: "\n").first { $0.hasSuffix("[heap]") })
            let ends = heap.prefix { $0 != " " }.split(separator: "-").compactMap { UInt64($0, radix: 16) }
            let map = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/\(id)/pagemap"))
            try map.seek(toOffset: ends[0] / 4096 * 8)
            let entries = Array(try map.read(upToCount: Int((ends[1] - ends[0]) / 4096 * 8)) ?? Data())
            let words = (0 ..< entries.count / 8).map { Forge.number(entries, at: $0 * 8, UInt64.self) }
            let present = words.filter { $0 >> 63 == 1 }
            #expect(present.count > 0 && present.filter { $0 >> 57 & 1 == 1 }.count > present.count / 2, "\(present.count)")
            try expectTheSame(run, "armed")
        }
    }

    @Test func `an older complete checkpoint restarts when a parent of the newest is missing or damaged`() throws {
        let fixture = Fixture("stack")
        for spoil in ["missing", "damaged"] {
            let run = try Run(fixture, as: .nobody)
            try run.explain {
                let (whole, parents) = try chain(run, length: 2, seed: 5)
                // The whole image has the identifier of the newest; here it is an older one.
                var forge = try Forge(whole)
                forge.setChain(identifier: 0x2222_0000_0000, parent: 0, depth: 0, later: 1)
                try write(forge.bytes, to: run.image + ".d/222200000000")
                if spoil == "missing" { removeFile(parents[1]) } else { try write(Array(text(of: "/proc/version").utf8), to: parents[1]) }
                let refused = try run.tryRestart(run.image)
                #expect(refused.ending == .exited(125) && refused.errors.hasPrefix("ckpt-restart: \(run.image): \(spoil): the parent \(parents[1]): "), "\(refused)")
                #expect(refused.errors.filter { $0 == "\n" }.count == 1, "\(refused)")
                for at in ["1", "222200000000"] {
                    try run.restart(["--at", at])
                    try run.waitUntilAlive()
                    if at == "1" { try run.kill() }
                }
                try expectTheSame(run, spoil)
            }
        }
    }

    @Test func `a page of a parent with a flipped bit is found before the program runs`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            let (_, parents) = try chain(run, length: 1, seed: 3)
            // A program that restarts in spite of it ends at once.
            try run.write("", to: "release")
            let good = Array(try #require(FileManager.default.contents(atPath: parents[0])))
            let forge = try Forge(good)
            var found = 0
            for record in try forge.records(CKPT_NOTE_RUNS, ckpt_run.self) where record.kind == CKPT_RUN_HERE.rawValue {
                var bytes = good
                bytes[Int(record.file_offset) + 100] ^= 4
                try write(bytes, to: parents[0])
                let answer = try run.tryRestart(run.image)
                // What is used of the parent is checked whole; a run of which nothing is used is not read.
                if answer.ending == .exited(125) {
                    #expect(answer.errors.hasPrefix("ckpt-restart: \(run.image): damaged: the parent \(parents[0]): "), "\(answer)")
                    found += 1
                }
                let verified = try run.ckpt("verify", run.image)
                #expect(verified.ending == .exited(65) && verified.errors.contains(parents[0]), "\(verified)")
                if found >= 3 { break }
            }
            #expect(found >= 3)
            run.finish()
        }
    }
}
