// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// Writing an image on a bad day: the program goes on, the old image is good, nothing partial is left, and it is said.
@Suite struct WritingTests {
    private func expectTheSame(_ run: Run) throws {
        let ending = try run.release(), reference = try Reference.of(run.fixture, as: .nobody)
        #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
        if run.facts == reference.facts { run.finish() }
    }

    @Test func `a missing directory is named, and the program goes on`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        run.environment["CKPT_IMAGE"] = "missing/program.img"
        try run.explain {
            try run.start()
            let answer = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(answer.ending == .exited(74) && answer.errors.contains("missing/program.img") && answer.errors.contains("directory"), "\(answer)")
            #expect(answer.errors.filter { $0 == "\n" }.count == 1 && answer.output == "", "\(answer)")
            try expectNoLeftOvers(run)
            try expectTheSame(run)
        }
    }

    @Test func `an unwritable directory is named, the old image is good, and the program goes on`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        try run.explain {
            try FileManager.default.createDirectory(atPath: run.path("images"), withIntermediateDirectories: true)
            setOwner(run.path("images"), geteuid() == 0 ? 65534 : geteuid())
            run.environment["CKPT_IMAGE"] = "images/condition.img"
            try run.start()
            let first = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(first.ending == .exited(0), "\(first)")
            let before = FileManager.default.contents(atPath: run.path("images/condition.img"))
            setMode(run.path("images"), 0o555)
            let answer = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(answer.ending == .exited(77) && answer.errors.filter { $0 == "\n" }.count == 1, "\(answer)")
            setMode(run.path("images"), 0o755)
            #expect(before != nil && FileManager.default.contents(atPath: run.path("images/condition.img")) == before)
            try expectNoLeftOvers(run, in: run.path("images"))
            let again = try run.ckpt("save", "\(run.child?.id ?? 0)")
            #expect(again.ending == .exited(0), "\(again)")
            try run.kill()
            try run.restart(image: run.path("images/condition.img"))
            try run.waitUntilAlive()
            try expectTheSame(run)
        }
    }

    @Test func `a full disk is named, the old image is good, and the program goes on`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        try run.explain {
            try FileManager.default.createDirectory(atPath: run.path("small"), withIntermediateDirectories: true)
            run.environment["CKPT_IMAGE"] = "small/condition.img"
            run.environment["CKPT_GENERATIONS"] = "0"
            // As root of the tests too: the helper gives the mount a namespace of its own.
            try run.start(Workshop.shared.program("another_host"), ["--small", run.path("small"), "--", Workshop.shared.program("condition")])
            try run.waitUntilAlive()
            guard let child = run.child else { return }
            let small = "/proc/\(child.id)/root" + run.path("small")
            let first = try run.ckpt("save", "\(child.id)")
            #expect(first.ending == .exited(0), "\(first)")
            let before = FileManager.default.contents(atPath: small + "/condition.img")
            // The rest of it is filled; what the next image needs is not there.
            _ = try run.tool("dd", ["if=/dev/zero", "of=\(small)/filler", "bs=64k"])
            let answer = try run.ckpt("save", "\(child.id)")
            #expect(answer.ending == .exited(74) && answer.errors.contains("No space left"), "\(answer)")
            #expect(answer.errors.filter { $0 == "\n" }.count == 1 && answer.output == "", "\(answer)")
            #expect(before != nil && FileManager.default.contents(atPath: small + "/condition.img") == before)
            try expectNoLeftOvers(run, in: small)
            child.signal(SIGUSR1) // fails too, and nobody asked
            removeFile(small + "/filler")
            let again = try run.ckpt("save", "\(child.id)")
            #expect(again.ending == .exited(0), "\(again)")
            let verified = try run.ckpt("verify", small + "/condition.img")
            #expect(verified.ending == .exited(0), "\(verified)")
            try expectTheSame(run)
        }
    }

    @Test func `SIGKILL of the program while an image is written leaves a good image`() throws {
        var random = SplitMix(seed: UInt64.random(in: 0 ... .max))
        let fixture = Fixture("heap")
        for turn in 0 ..< 15 {
            let run = try Run(fixture, as: .nobody)
            try run.explain {
                try run.start()
                try run.checkpoint(.save)
                run.child?.signal(SIGUSR1)
                usleep(UInt32(random.next(below: 60_000)))
                try run.kill()
                try awaitFact("the scribe is gone") { scribes(of: run).isEmpty ? true : nil }
                try expectNoLeftOvers(run)
                let verified = try run.ckpt("verify", run.image)
                #expect(verified.ending == .exited(0), "turn \(turn): \(verified)")
                try run.restart()
                try run.waitUntilAlive()
                try expectTheSame(run)
            }
        }
    }

    @Test func `SIGKILL of the scribe while an image is written leaves a good image, and the program goes on`() throws {
        var random = SplitMix(seed: UInt64.random(in: 0 ... .max))
        let fixture = Fixture("heap")
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            var killed = 0
            for turn in 0 ..< 30 {
                run.child?.signal(SIGUSR1)
                let until = ContinuousClock.now + .milliseconds(20)
                var found: [pid_t] = []
                while found.isEmpty && ContinuousClock.now < until { found = scribes(below: run.child?.id ?? 0) }
                usleep(UInt32(random.next(below: 40_000)))
                for id in found where kill(id, named: "ckpt-scribe") { killed += 1 }
                try awaitFact("the scribe is gone") { scribes(below: run.child?.id ?? 0).isEmpty ? true : nil }
                let verified = try run.ckpt("verify", run.image)
                #expect(verified.ending == .exited(0), "turn \(turn): \(verified)")
                if turn % 5 == 4 { try run.checkpoint(.save) }
            }
            #expect(killed > 0)
            try expectNoLeftOvers(run)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            try run.checkpoint(.save)
            try expectTheSame(run)
        }
    }
}
