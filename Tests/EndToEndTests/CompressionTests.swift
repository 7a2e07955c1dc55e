// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// Images that a sink has compressed, and sinks on a bad day: the program goes on, the old image is good, and it is said.
@Suite struct CompressionTests {
    static let fixtures = [
        Fixture("heap"), Fixture("mapping"), Fixture("file_deleted"), Fixture("pipe"), Fixture("thread"), Fixture("stack"),
        Fixture("SwiftTasks", needsItsIds: true), Fixture("SwiftStatic", needsItsIds: true),
    ]

    private func start(_ fixture: Fixture, compress: String, sink: String? = nil) throws -> Run {
        let run = try Run(fixture, as: .nobody)
        run.environment["CKPT_COMPRESS"] = compress
        if let sink { run.environment["CKPT_SINK"] = sink }
        try run.explain { try run.start() }
        return run
    }

    private func expectTheSame(_ run: Run) throws {
        let ending = try run.release(), reference = try Reference.of(run.fixture, as: .nobody)
        #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
        if run.facts == reference.facts { run.finish() }
    }

    /// The checkpoint failed for its sink, in one line of `ckpt save`.
    private func expectFailure(_ run: Run, _ words: String, status: Int32 = 74, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let answer = try run.tool(run.workshop.program("ckpt"), ["save", "\(run.child?.id ?? 0)"], seconds: 120)
        #expect(answer.ending == .exited(status) && answer.errors.contains("sink") && answer.errors.contains(words), "\(answer)", sourceLocation: sourceLocation)
        #expect(answer.errors.filter { $0 == "\n" }.count == 1 && answer.output == "", "\(answer)", sourceLocation: sourceLocation)
    }

    /// The processes that compress for this program, children of its scribes.
    private func sinks(below id: pid_t) -> [pid_t] {
        processTree(below: id).dropFirst().filter { text(of: "/proc/\($0)/cmdline").contains("\0sink\0--compress") }
    }

    @Test(arguments: fixtures, ["lz4", "zstd:1", "zstd"])
    func `a program that is restarted from compressed images ends as if nothing had happened`(fixture: Fixture, compression: String) throws {
        let run = try start(fixture, compress: compression)
        try run.explain {
            for _ in 0..<2 {
                try run.checkpoint(.save)
                try run.kill()
                let inspected = try run.ckpt("inspect", "--json", run.image)
                #expect(inspected.output.contains("\"compression\": \"\(compression.prefix { $0 != ":" })\""), "\(inspected)")
                let verified = try run.ckpt("verify", run.image)
                #expect(verified.ending == .exited(0), "\(verified)")
                try run.restart()
                try run.waitUntilAlive()
            }
            try expectTheSame(run)
        }
    }

    @Test func `a debugger sees the registers of a compressed image`() throws {
        let run = try start(Fixture("stack"), compress: "zstd")
        try run.explain {
            try run.checkpoint(.save)
            let gdb = try run.tool("gdb", ["-q", "-batch", "-nx", "-ex", "info registers rip", run.workshop.program("stack"), run.image])
            #expect(gdb.ending == .exited(0) && gdb.output.contains("0x") && !gdb.errors.contains("not a core"), "\(gdb)")
            try expectTheSame(run)
        }
    }

    @Test func `damage of a compressed image is refused, or nothing reads that byte`() throws {
        let run = try start(Fixture("stack"), compress: "lz4")
        let reference = try Reference.of(run.fixture, as: .nobody)
        try run.explain {
            try run.checkpoint(.save)
            try run.kill()
            try run.write("", to: "release")
            let good = [UInt8](FileManager.default.contents(atPath: run.image) ?? Data())
            var random = SplitMix(seed: UInt64.random(in: 0 ... .max)), refused = 0
            let seed = random.state
            for turn in 0..<40 {
                let offset = Int(random.next(below: UInt64(good.count)))
                var bad = good
                bad[offset] ^= 1 << UInt8(random.next(below: 8))
                try Data(bad).write(to: URL(fileURLWithPath: run.path("stack.img.bad")))
                setOwner(run.path("stack.img.bad"), 65534)
                let answer = try run.tryRestart(run.path("stack.img.bad"))
                if answer.ending == .exited(125) {
                    refused += 1
                    #expect(answer.errors.contains(": damaged: ") && answer.errors.filter { $0 == "\n" }.count == 1, "seed \(seed), turn \(turn): \(answer)")
                } else {
                    #expect(answer.ending == reference.ending, "seed \(seed), turn \(turn), byte \(offset): \(answer)")
                }
            }
            #expect(refused > 20)
            run.finish()
        }
    }

    @Test func `SIGKILL of the sink at any moment fails that checkpoint, the old image is good, and the program goes on`() throws {
        var random = SplitMix(seed: UInt64.random(in: 0 ... .max))
        let run = try start(Fixture("heap"), compress: "zstd:9")
        try run.explain {
            let id = run.child?.id ?? 0
            try run.checkpoint(.save)
            var killed = 0
            for turn in 0..<20 {
                let before = run.imageMark()
                run.child?.signal(SIGUSR1)
                let until = ContinuousClock.now + .milliseconds(100)
                var found: [pid_t] = []
                while found.isEmpty && ContinuousClock.now < until { found = sinks(below: id) }
                usleep(UInt32(random.next(below: 60_000)))
                var isKilled = false
                for sink in found where sinks(below: id).contains(sink) && kill(sink, named: "ckpt") { isKilled = true }
                // The sink gives way to everybody else: on a busy machine it takes its time.
                try awaitFact(seconds: 240, "the scribe is gone") { scribes(below: id).isEmpty ? true : nil }
                if isKilled && run.imageMark() == before { killed += 1 }
                let verified = try run.ckpt("verify", run.image)
                #expect(verified.ending == .exited(0), "turn \(turn): \(verified)")
                try expectNoLeftOvers(run)
            }
            #expect(killed > 0)
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test(arguments: ["exit 0", "exit 1", "exec cat > /dev/null", "head -c 300000 <&3 > /dev/null", "kill -SEGV $$"])
    func `a sink that does not do its work fails the checkpoint at once, and the program goes on`(work: String) throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            try run.write("#!/bin/sh\n\(work)\n", to: "filler")
            setMode(run.path("filler"), 0o755)
            run.environment["CKPT_COMPRESS"] = "lz4"
            run.environment["CKPT_SINK"] = run.path("filler")
            try run.start()
            for _ in 0..<3 { try expectFailure(run, "Broken pipe") }
            #expect(!run.exists("heap.img"))
            try expectNoLeftOvers(run)
            try expectTheSame(run)
        }
    }

    @Test func `a sink that has gone is named, and works again when it is back`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            run.environment["CKPT_COMPRESS"] = "lz4"
            run.environment["CKPT_SINK"] = run.path("filler")
            try FileManager.default.copyItem(atPath: run.workshop.program("ckpt"), toPath: run.path("filler"))
            try run.start()
            try run.checkpoint(.save)
            try FileManager.default.moveItem(atPath: run.path("filler"), toPath: run.path("out.moved"))
            try expectFailure(run, "No such file", status: 69)
            try FileManager.default.moveItem(atPath: run.path("out.moved"), toPath: run.path("filler"))
            try run.checkpoint(.save)
            try expectTheSame(run)
        }
    }

    @Test func `a sink that fills the disk says so, the old image is good, and the program goes on`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        try run.explain {
            try FileManager.default.createDirectory(atPath: run.path("small"), withIntermediateDirectories: true)
            run.environment["CKPT_IMAGE"] = "small/condition.img"
            run.environment["CKPT_COMPRESS"] = "zstd"
            run.environment["CKPT_GENERATIONS"] = "0"
            try run.start(Workshop.shared.program("another_host"), ["--small", run.path("small"), "--", Workshop.shared.program("condition")])
            try run.waitUntilAlive()
            let id = run.child?.id ?? 0, small = "/proc/\(id)/root" + run.path("small")
            try #require(run.ckpt("save", "\(id)").ending == .exited(0))
            let before = FileManager.default.contents(atPath: small + "/condition.img")
            _ = try run.tool("dd", ["if=/dev/zero", "of=\(small)/filler", "bs=64k"])
            try expectFailure(run, "No space left")
            #expect(before != nil && FileManager.default.contents(atPath: small + "/condition.img") == before)
            try expectNoLeftOvers(run, in: small)
            removeFile(small + "/filler")
            let again = try run.ckpt("save", "\(id)")
            #expect(again.ending == .exited(0), "\(again)")
            try expectTheSame(run)
        }
    }

    @Test(.enabled(if: Workshop.isFull, "it takes a minute; CKPT_TEST_FULL=1 runs it"))
    func `a sink that stalls is ended after a minute, and the program goes on`() throws {
        let run = try start(Fixture("heap"), compress: "zstd")
        try run.explain {
            let id = run.child?.id ?? 0
            try run.checkpoint(.save)
            let before = run.imageMark()
            run.child?.signal(SIGUSR1)
            let sink = try awaitFact("there is a sink") { sinks(below: id).first }
            kill(sink, SIGSTOP)
            try awaitFact(seconds: 130, "the scribe is gone") { scribes(below: id).isEmpty ? true : nil }
            #expect(run.imageMark() == before && !processExists(sink))
            try run.checkpoint(.save)
            try expectTheSame(run)
        }
    }
}
