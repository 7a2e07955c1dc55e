// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// `ckpt fold` and `ckpt prune`, with each of their system calls going wrong once: the newest checkpoint is there afterwards, whole.
@Suite struct OfflineFaultTests {
    static let faults = ["kill", "short", "enospc", "eio", "eintr"]
    /// `make faults` takes every call, `make test` some.
    private static let stride = Workshop.isFull ? 1 : 61

    /// A chain of a full image and three increments in `chain/`, and beside it the newest checkpoint by itself.
    private func prepare(_ run: Run) throws {
        try run.start()
        for _ in 1 ... 4 { try run.checkpoint(.save) }
        try run.kill()
        let made = try run.ckpt("fold", run.image, "-o", run.path("whole.img"))
        guard made.ending == .exited(0) else { throw Broken("\(made)") }
        try FileManager.default.createDirectory(atPath: run.path("chain"), withIntermediateDirectories: false)
        for suffix in [".img", ".img.d"] {
            try FileManager.default.moveItem(atPath: run.path(run.fixture.program + suffix), toPath: run.path("chain/app" + suffix))
        }
        setOwner(run.path("chain"), 65534)
    }

    private func inject(_ run: Run, _ call: Int, _ fault: String, _ arguments: [String]) throws -> Run.Answer {
        try run.tool(EngineTests.program("inject"), ["\(call)", fault, run.workshop.program("ckpt")] + arguments, seconds: 120)
    }

    /// Tries every call of a command, each time on a fresh copy of the chain.
    private func tryEvery(_ fault: String, in run: Run, _ arguments: (String) -> [String], check: (Int, Run.Answer) throws -> Void) throws {
        let work = run.path("work")
        func again() throws {
            try? FileManager.default.removeItem(atPath: work)
            let copied = try run.tool("/bin/cp", ["-a", run.path("chain"), work])
            guard copied.ending == .exited(0) else { throw Broken("\(copied)") }
        }
        try again()
        let counted = try inject(run, 0, fault, arguments(work))
        let count = try #require(Int(counted.output.trimmingCharacters(in: .whitespacesAndNewlines)), "\(counted)")
        #expect(counted.ending == .exited(0) && count > 50, "\(counted)")
        for call in Swift.stride(from: Int.random(in: 1 ... Self.stride), through: count, by: Self.stride) {
            try again()
            try check(call, try inject(run, call, fault, arguments(work)))
        }
    }

    private func expectTheNewest(_ run: Run, _ image: String, _ what: String) throws {
        let same = try run.ckpt("diff", run.path("whole.img"), image)
        #expect(same.ending == .exited(0) && same.output == "0 pages changed, 0 came, 0 went\n", "\(what): \(same)\(run.directory)")
        let verified = try run.ckpt("verify", image)
        #expect(verified.ending == .exited(0), "\(what): \(verified)\(run.directory)")
    }

    @Test(arguments: faults) func `a fold that fails at any step loses nothing`(fault: String) throws {
        let run = try Run(Fixture("registers"), as: .nobody)
        try run.explain {
            try prepare(run)
            // In place: the folded image takes the name of the chain's newest.
            try tryEvery(fault, in: run, { ["fold", "-q", $0 + "/app.img", "-o", $0 + "/app.img"] }) { call, answer in
                try expectTheNewest(run, run.path("work/app.img"), "\(fault) at call \(call)")
                let left = fileNames(run.path("work")).filter { !$0.hasPrefix("app.img") }
                // A temporary name is there between link and rename only; the next fold, or ckpt prune, removes it.
                #expect(left.isEmpty || fault == "kill" && left == left.filter { $0.hasSuffix(".new") }, "\(fault) at call \(call): \(left)")
                let again = try run.ckpt("fold", "-q", run.path("work/app.img"), "-o", run.path("work/app.img"))
                #expect(again.ending == .exited(0), "\(fault) at call \(call): \(again)")
            }
            run.finish()
        }
    }

    @Test(arguments: faults) func `a prune that fails at any step loses nothing`(fault: String) throws {
        let run = try Run(Fixture("registers"), as: .nobody)
        try run.explain {
            try prepare(run)
            try tryEvery(fault, in: run, { ["prune", "-q", $0 + "/app.img"] }) { call, answer in
                try expectTheNewest(run, run.path("work/app.img"), "\(fault) at call \(call)")
                let again = try run.ckpt("prune", "-q", run.path("work/app.img"))
                #expect(again.ending == .exited(0), "\(fault) at call \(call): \(again)")
                try expectTheNewest(run, run.path("work/app.img"), "\(fault) at call \(call), and again")
            }
            run.finish()
        }
    }
}
