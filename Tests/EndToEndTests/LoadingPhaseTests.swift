// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// What comes from outside while a program's memory is loaded: signals, and the end of whoever loads it. One after the other:
/// an `OpenPhase` fills the queue of the user whose the others are too.
@Suite(.serialized) struct LoadingPhaseTests {
    /// ckpt-restart becomes the program, or is above it, with or without an init between them.
    static let ways: [Flavour] = [Flavour(identity: .new)] + Flavour.User.available.map { Flavour(user: $0, identity: .auto) }
    enum Victim: String, Sendable, CaseIterable { case loader, helper }

    /// An image of the program, which has been killed.
    private func saved(_ fixture: Fixture, as user: Flavour.User = .nobody) throws -> Run {
        let run = try Run(fixture, as: user)
        return try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            return run
        }
    }

    private func expectTheSame(_ run: Run, _ difference: (String) -> String = { $0 }) throws {
        let reference = try Reference.of(run.fixture, as: run.user), facts = difference(reference.facts)
        let ending = try run.release(seconds: 300)
        #expect(run.facts == facts && ending == reference.ending, "\(run.story)\nexpected: \(facts)")
        if run.facts == facts { run.finish() }
    }

    private func restartedAgain(_ run: Run) throws {
        removeFile(run.path("release"))
        let verified = try run.ckpt("verify", run.image)
        #expect(verified.ending == .exited(0), "\(verified)")
        try run.restart(["--load", "lazy"])
        try run.waitUntilAlive(seconds: 300)
        try expectTheSame(run)
    }

    private func errorLines(_ run: Run) -> [Substring] { run.errors.split(separator: "\n").filter { !$0.contains(": note: ") } }

    /// It has ended before it did anything, and says why; false: it has gone on to its end, and all was right.
    private func hasEndedBefore(_ run: Run, _ ending: Ending, _ reference: Reference) -> Bool {
        if ending == reference.ending && run.facts == reference.facts { return false }
        let lines = errorLines(run)
        #expect([.exited(125), .exited(126)].contains(ending) && run.output.isEmpty, "\(run.story)\nleft alone it \(reference.ending): \(reference.facts)")
        #expect(lines.count == 1 && lines[0].hasPrefix("ckpt-restart: \(run.image): "), "\(run.story)")
        if ending == .exited(126) { #expect(text(of: run.path("status")).contains("\"status\":126"), "\(run.story)") }
        return true
    }

    /// Restarts again and again, and does this to each at another moment of the phase.
    private func restart(_ run: Run, _ way: Flavour, _ work: (LoadingPhase) throws -> Void) throws {
        let turns = (Workshop.isFull ? 108 : 12) / (Self.ways.count * Victim.allCases.count)
        var length: Duration?
        // Left alone. The shortest, so that most moments lie in the phase.
        for _ in 1 ... 2 {
            let phase = try LoadingPhase(of: run, identity: way.identity), found = try phase?.length()
            if run.exists("release") { _ = try run.child?.wait(seconds: 300) } else { try run.waitUntilAlive(seconds: 300) }
            try run.kill()
            length = [length, found].compactMap { $0 }.min()
        }
        guard let length else { throw Broken("no loader was seen") }
        for turn in 0 ..< turns {
            guard let phase = try LoadingPhase(of: run, identity: way.identity) else {
                try run.kill()
                continue
            }
            phase.wait(length * turn / turns)
            try work(phase)
            try phase.awaitNothingLeft()
        }
    }

    @Test(arguments: ways, Victim.allCases)
    func `when the loader is killed the program goes on exactly, or ends before it did anything`(way: Flavour, victim: Victim) throws {
        let run = try saved(Fixture("loading", "128"), as: way.user), reference = try Reference.of(run.fixture, as: way.user)
        try run.explain {
            // It does its third act at once.
            try run.write("", to: "release")
            var killed = 0
            try restart(run, way) { phase in
                if victim == .helper && phase.killHelper() || phase.signalLoader(SIGKILL) { killed += 1 }
                if let ending = try run.child?.wait(seconds: 300) { _ = hasEndedBefore(run, ending, reference) }
            }
            #expect(killed > 0, "\(run.story)")
            try restartedAgain(run)
        }
    }

    @Test(arguments: Victim.allCases)
    func `a loader that is killed while threads are held leaves a program that ends before it did anything`(victim: Victim) throws {
        let run = try saved(Fixture("loading")), reference = try Reference.of(run.fixture, as: .nobody)
        try run.explain {
            try run.write("", to: "release")
            let open = try OpenPhase(of: run)
            #expect(victim == .helper && open.phase.killHelper() || open.phase.signalLoader(SIGKILL))
            let ending = try #require(try run.child?.wait(seconds: 300))
            #expect(hasEndedBefore(run, ending, reference) && ending == .exited(126), "\(run.story)")
            open.end()
            try open.phase.awaitNothingLeft()
            try restartedAgain(run)
        }
    }

    @Test(arguments: ways)
    func `when the program is killed meanwhile nothing is left of it, and the image is good`(way: Flavour) throws {
        let run = try saved(Fixture("loading", "128"), as: way.user)
        try run.explain {
            var killed = 0
            try restart(run, way) { phase in
                if kill(phase.program, SIGKILL) == 0 { killed += 1 }
                let ending = try run.child?.wait(seconds: 300)
                #expect(ending == .killed(by: SIGKILL), "\(run.story)")
                #expect(run.output.isEmpty && errorLines(run).isEmpty, "\(run.story)")
            }
            #expect(killed > 0, "\(run.story)")
            try restartedAgain(run)
        }
    }

    @Test(arguments: Flavour.Identity.allCases, ["leader", "thread"])
    func `a program whose first system call is execve executes as when left alone`(identity: Flavour.Identity, who: String) throws {
        let run = try saved(Fixture("executes", who)), reference = try Reference.of(run.fixture, as: .nobody)
        try run.explain {
            for _ in 1 ... (Workshop.isFull ? 20 : 1) {
                try run.restart(["--load", "lazy", "--env", "GO=1", "--identity", identity.rawValue, "--status-file", run.path("status")])
                let ending = try run.child?.wait(seconds: 300)
                #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)\nleft alone it \(reference.ending): \(reference.facts)")
                #expect(text(of: run.path("status")).contains("\"load\":\"lazy\""))
            }
            run.finish()
        }
    }

    @Test func `a signal that comes meanwhile comes afterwards, once`() throws {
        let run = try saved(Fixture("loading"))
        try run.explain {
            let open = try OpenPhase(of: run)
            run.child?.signal(SIGUSR2)
            #expect(open.pending == [SIGUSR2])
            try open.seeItCompute()
            #expect(open.pending == [SIGUSR2] && !run.exists("alive"), "\(open.pending) \(run.story)")
            open.end()
            try run.waitUntilAlive(seconds: 300)
            try expectTheSame(run) { $0.replacing("USR2 has come 0 times", with: "USR2 has come 1 times") }
        }
    }

    @Test func `a signal that ends the program ends it afterwards`() throws {
        let run = try saved(Fixture("loading"))
        try run.explain {
            let open = try OpenPhase(of: run)
            run.child?.signal(SIGTERM)
            try open.seeItCompute()
            #expect(open.pending == [SIGTERM] && run.child?.poll() == nil, "\(open.pending) \(run.story)")
            open.end()
            #expect(try run.child?.wait(seconds: 300) == .killed(by: SIGTERM), "\(run.story)")
            try open.phase.awaitNothingLeft()
            run.finish()
        }
    }

    @Test func `a checkpoint that is asked for meanwhile is taken afterwards, and is right`() throws {
        let run = try saved(Fixture("loading")), before = run.imageMark()
        try run.explain {
            let open = try OpenPhase(of: run)
            run.child?.signal(SIGUSR1)
            try open.seeItCompute()
            #expect(open.pending == [SIGUSR1] && run.imageMark() == before, "\(open.pending) \(run.story)")
            open.end()
            try awaitFact("the image is there") { run.imageMark() != before ? true : nil }
            try run.kill()
            try run.restart(["--load", "lazy"])
            try run.waitUntilAlive(seconds: 300)
            try expectTheSame(run)
        }
    }

    @Test func `while the loader is stopped the program computes and waits at its first system call`() throws {
        let run = try saved(Fixture("loading"))
        try run.explain {
            let open = try OpenPhase(of: run)
            #expect(try open.phase.stopLoader())
            // From here on only the loader keeps it.
            open.end()
            try open.seeItCompute()
            #expect(!run.exists("alive") && run.output.isEmpty, "\(run.story)")
            #expect(open.phase.signalLoader(SIGCONT))
            try run.waitUntilAlive(seconds: 300)
            try expectTheSame(run)
        }
    }

    @Test(arguments: ways) func `a loader that is stopped for a moment, at any time, changes nothing`(way: Flavour) throws {
        let run = try saved(Fixture("loading", "128"), as: way.user), reference = try Reference.of(run.fixture, as: way.user)
        try run.explain {
            try run.write("", to: "release")
            var stopped = 0
            try restart(run, way) { phase in
                if try phase.stopLoader() {
                    stopped += 1
                    #expect(phase.signalLoader(SIGCONT))
                }
                let ending = try run.child?.wait(seconds: 300)
                #expect(ending == reference.ending && run.facts == reference.facts, "\(run.story)\nleft alone it \(reference.ending): \(reference.facts)")
            }
            #expect(stopped > 0, "\(run.story)")
            run.finish()
        }
    }
}
