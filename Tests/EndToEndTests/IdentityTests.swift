// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// Namespaces of restarted programs: within each other, beside each other, and how all in them ends.
@Suite struct IdentityTests {
    /// The processes of a restart in namespaces.
    enum Member: String, Sendable, CaseIterable { case supervisor, initial, program }
    /// Who is killed, one behind the other.
    static let orders: [[Member]] = Member.allCases.flatMap { first in
        [[first]] + Member.allCases.filter { $0 != first }.flatMap { second in
            [[first, second]] + Member.allCases.filter { $0 != first && $0 != second }.map { [first, second, $0] }
        }
    }

    /// A program that has been restarted in namespaces of its own, because its ids cannot be set or are taken.
    private func restarted(_ fixture: Fixture, options: [String] = []) throws -> Run {
        let run = try Run(fixture, as: .nobody)
        return try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            try run.restart(["--identity", "keep"] + options)
            try run.waitUntilAlive()
            return run
        }
    }

    @Test(arguments: orders)
    func `supervisor, init and program end together, whoever is killed first`(order: [Member]) throws {
        let run = try restarted(Fixture("thread"))
        try run.explain {
            guard let child = run.child else { return }
            let all = processTree(below: child.id)
            #expect(all.count == 3, "\(all)")
            guard all.count == 3 else { return }
            let members: [Member: pid_t] = [.supervisor: all[0], .initial: all[1], .program: all[2]]
            for member in order { kill(members[member] ?? 0, SIGKILL) }
            let ending = try child.wait()
            // Whatever went first: the shell sees that it was killed, never a status of its own.
            #expect(ending == .killed(by: SIGKILL), "\(order): \(ending)\n\(run.story)")
            for id in all { try awaitFact("process \(id) is gone") { !processExists(id) || isZombie(id) ? true : nil } }
            #expect(run.errors == "", "\(run.story)")
            run.finish()
        }
    }

    @Test func `a restarted program restarts programs in namespaces within its own`() throws {
        let restart = try Workshop.shared.program("ckpt-restart")
        for depth in [1, 3] {
            let run = try Run(Fixture("identity_nested"), as: .nobody)
            try run.explain {
                try run.start(Workshop.shared.program("identity_nested"), [restart, run.image])
                try run.waitUntilAlive()
                try run.checkpoint(.save)
                try run.kill()
                try run.restart(["--identity", "keep", "--env", "DEPTH=\(depth)"])
                try run.waitUntilAlive()
                let ending = try run.release()
                var expected = "0 below: ids as before\n"
                for level in stride(from: 1, through: depth, by: 1) { expected += "the one below ended with \(39 + level)\n\(level) below: ids as before\n" }
                #expect(run.facts == expected && ending == .exited(Int32(40 + depth)), "\(run.story)")
                run.finish()
            }
        }
    }

    @Test func `two restarts of one image live side by side with the same ids`() throws {
        let run = try restarted(Fixture("identity"))
        try run.explain {
            let other = try Run(run.fixture, as: .nobody, sharing: run)
            try other.restart(["--identity", "keep"])
            try other.waitUntilAlive()
            let reference = try Reference.of(run.fixture, as: .nobody)
            let endings = [try run.release(), try other.release()]
            #expect(endings == [reference.ending, reference.ending], "\(run.story)\n\(other.story)")
            for facts in [run.facts, other.facts] {
                #expect(facts == reference.facts, "\(run.story)\n\(other.story)")
            }
            run.finish()
        }
    }
}
