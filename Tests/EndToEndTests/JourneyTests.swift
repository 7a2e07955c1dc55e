// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The end-to-end table: every fixture through its flavours.
@Suite struct JourneyTests {
    @Test(arguments: Row.chosen)
    func `a restarted program ends as if nothing had happened`(row: Row) throws {
        let fixture = row.fixture, flavour = row.flavour
        let reference = try Reference.of(fixture, as: flavour.user)
        let run = try Run(fixture, as: flavour.user)
        run.environment["CKPT_TRACKER"] = flavour.tracker.rawValue
        print("row: \(row.fields)\tbegan")
        let options = (flavour.identity == .auto ? [] : ["--identity", flavour.identity.rawValue]) + (flavour.load == .eager ? [] : ["--load", "lazy"])
        try run.explain {
            try run.start()
            for turn in 1 ... flavour.restarts {
                try run.checkpoint(flavour.trigger)
                try run.kill()
                try run.restart(options)
                do { try run.waitUntilAlive() } catch {
                    // With new ids it may refuse a program whose locks hold the old ones; never hang, never do it wrong.
                    if flavour.identity == .new && fixture.needsItsIds && run.child?.poll() == .exited(125) {
                        let line = run.errors
                        #expect(line.hasPrefix("ckpt-restart: \(run.image): unsupported: ") && line.filter { $0 == "\n" }.count == 1, "\(run.story)")
                        print("refused with new ids, as it may be: \(row)")
                        print("row: \(row.fields)\trefused")
                        run.finish()
                        return
                    }
                    throw error
                }
                _ = turn
            }
            let ending = try run.release()
            var facts = run.facts, expected = reference.facts
            if fixture.printsItsIds && flavour.identity == .new { (facts, expected) = (withoutIds(facts), withoutIds(expected)) }
            #expect(facts == expected, "\(run.story)")
            #expect(ending == reference.ending, "\(run.story)")
            if facts == expected && ending == reference.ending {
                print("row: \(row.fields)\tsame")
                run.finish()
            }
        }
    }

    /// Ids up to 32767 are the upper halves of addresses of mappings (0x7f62…): these must not be taken for ids.
    @Test(.enabled(if: Flavour.User.available.contains(.root), "only root chooses ids"))
    func `new ids leave addresses alone that look like old ids`() throws {
        let fixture = Fixture("thread_many")
        let reference = try Reference.of(fixture, as: .root)
        for _ in 1 ... 6 {
            try "32480".write(toFile: "/proc/sys/kernel/ns_last_pid", atomically: false, encoding: .utf8)
            let run = try Run(fixture, as: .root)
            try run.explain {
                try run.start()
                try run.checkpoint(.save)
                try run.kill()
                try run.restart(["--identity", "new"])
                try run.waitUntilAlive()
                let ending = try run.release()
                #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
                run.finish()
            }
        }
    }

    @Test(arguments: Workshop.turn == nil ? Fixture.all : [])
    func `a program that is checkpointed goes on as before`(fixture: Fixture) throws {
        let reference = try Reference.of(fixture, as: .nobody)
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.signal)
            try run.checkpoint(.save)
            let ending = try run.release()
            #expect(run.facts == reference.facts, "\(run.story)")
            #expect(run.errors == reference.errors, "\(run.story)")
            #expect(ending == reference.ending, "\(run.story)")
            if run.facts == reference.facts { run.finish() }
        }
    }

    private func withoutIds(_ facts: String) -> String {
        facts.split(separator: "\n").filter { !$0.contains("getpid") && !$0.contains("seen") && !$0.contains("kill(") && !$0.contains("link") }
            .joined(separator: "\n")
    }
}
