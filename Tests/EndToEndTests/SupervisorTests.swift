// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

/// What a user, a shell and a batch system see of a restarted program: signals, status, its end.
@Suite struct SupervisorTests {
    static let ways: [Flavour] = Flavour.User.available.flatMap { user in Flavour.Identity.allCases.map { Flavour(user: user, identity: $0) } }

    private func restarted(_ fixture: Fixture, _ flavour: Flavour) throws -> Run {
        let run = try Run(fixture, as: flavour.user)
        return try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            try run.restart(["--identity", flavour.identity.rawValue])
            try run.waitUntilAlive()
            return run
        }
    }

    @Test(arguments: ways)
    func `every signal reaches the program once, and its status is that of ckpt-restart`(flavour: Flavour) throws {
        let run = try restarted(Fixture("forwarded"), flavour)
        try run.explain {
            guard let child = run.child else { return }
            for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR2, SIGWINCH] { child.signal(signal) }
            // A checkpoint is taken by the program too: what was sent before it has arrived.
            try run.checkpoint(.save)
            let ending = try run.release()
            #expect(run.facts == "INT 1, TERM 1, HUP 1, QUIT 1, USR2 1, WINCH 1\n" && ending == .exited(42), "\(run.story)")
            run.finish()
        }
    }

    @Test(arguments: ways)
    func `Ctrl-C on a terminal reaches the program once`(flavour: Flavour) throws {
        let run = try Run(Fixture("forwarded"), as: flavour.user)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            makeFifo(run.path("keys"))
            setOwner(run.path("keys"), flavour.user == .nobody && geteuid() == 0 ? 65534 : geteuid())
            let command = "exec \(try Workshop.shared.program("ckpt-restart")) --quiet --identity \(flavour.identity) \(run.image)"
            try run.start("sh", ["-c", "exec script -qefc \"$0\" /dev/null < keys", command])
            guard let keys = FileHandle(forWritingAtPath: run.path("keys")) else { throw Broken("no keys") }
            try run.waitUntilAlive()
            try keys.write(contentsOf: Data([3]))
            try awaitFact("the terminal has taken the key") { run.output.contains("^C") ? true : nil }
            // It is the program that answers this: what came before has been forwarded, or never will be.
            guard let restarted = processTree(below: run.child?.id ?? 0).first(where: { ["ckpt-restart\n", "forwarded\n"].contains(text(of: "/proc/\($0)/comm")) })
            else { throw Broken("no ckpt-restart below \(run.child?.id ?? 0)") }
            let saved = try run.ckpt("save", "\(restarted)")
            #expect(saved.ending == .exited(0), "\(saved)")
            let ending = try run.release()
            try keys.close()
            #expect(run.output.contains("INT 1, TERM 0, HUP 0, QUIT 0, USR2 0,") && ending == .exited(42), "\(run.story)")
            run.finish()
        }
    }

    @Test(arguments: ways)
    func `a program that dies of a signal is seen to`(flavour: Flavour) throws {
        let run = try restarted(Fixture("condition"), flavour)
        try run.explain {
            run.child?.signal(SIGTERM)
            let ending = try run.child?.wait()
            #expect(ending == .killed(by: SIGTERM), "\(run.story)")
            run.finish()
        }
    }

    @Test(arguments: ways)
    func `stopping and going on works as for any job`(flavour: Flavour) throws {
        let run = try restarted(Fixture("condition"), flavour)
        try run.explain {
            guard let child = run.child else { return }
            kill(-child.id, SIGTSTP)
            try awaitFact("all of it is stopped") {
                // The init of a namespace can not be stopped from inside; it does nothing but wait.
                processTree(below: child.id).allSatisfy { id in
                    text(of: "/proc/\(id)/status").contains("State:\tT") || text(of: "/proc/\(id)/comm").hasPrefix("ckpt-init")
                } ? true : nil
            }
            kill(-child.id, SIGCONT)
            let ending = try run.release(), reference = try Reference.of(run.fixture, as: flavour.user)
            #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
            run.finish()
        }
    }

    @Test(arguments: ways)
    func `when ckpt-restart is killed nothing of the program is left`(flavour: Flavour) throws {
        let run = try restarted(Fixture("thread"), flavour)
        try run.explain {
            try run.kill()
            run.finish()
        }
    }
}

/// Older checkpoints are kept, and can be named.
@Suite struct GenerationTests {
    @Test func `the checkpoint before the newest restarts by number and by identifier`() throws {
        let run = try Run(Fixture("condition"), as: .nobody)
        run.environment["CKPT_CHAIN"] = "0"  // an increment would need all that are before it
        try run.explain {
            try run.start()
            var identifiers: [String] = []
            for _ in 0 ..< 3 {
                let saved = try run.ckpt("save", "--json", "\(run.child?.id ?? 0)")
                let report = try JSONSerialization.jsonObject(with: Data(saved.output.utf8)) as? [String: Any]
                identifiers.append(report?["identifier"] as? String ?? "")
            }
            #expect(fileNames(run.image + ".d") == [identifiers[1] ], "\(identifiers): \(fileNames(run.image + ".d"))")
            try run.kill()
            let reference = try Reference.of(run.fixture, as: .nobody)
            for at in ["0", "1", identifiers[1], identifiers[2]] {
                try run.restart(["--at", at])
                try run.waitUntilAlive()
                let ending = try run.release()
                #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
                removeFile(run.path("release"))
            }
            let none = try run.tryRestart(run.image, ["--at", identifiers[0]])
            #expect(none.ending == .exited(125) && none.errors.hasPrefix("ckpt-restart: \(run.image): missing: "), "\(none)")
            // From an older one the next checkpoint goes to the head's path.
            try run.restart(["--at", "1"])
            try run.waitUntilAlive()
            try run.checkpoint(.signal)
            run.finish()
        }
    }

    @Test(arguments: ["inspect", "verify"])
    func `what ckpt says of an image is valid JSON`(verb: String) throws {
        let run = try Run(Fixture("epoll"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            let answer = try run.tool(Workshop.shared.program("ckpt"), [verb, run.image, "--json"])
            #expect(answer.ending == .exited(0) && answer.errors.isEmpty, "\(answer)")
            #expect((try? JSONSerialization.jsonObject(with: Data(answer.output.utf8))) is [String: Any], "\(answer)")
            run.finish()
        }
    }
}
