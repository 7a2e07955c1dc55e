// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import Foundation
import Glibc
import Testing

/// What threads and processes may have that a host can refuse, and programs that hide or forbid.
@Suite struct ThreadTests {
    static var isRoot: Bool { geteuid() == 0 }

    private func expectTheSame(_ run: Run) throws {
        let ending = try run.release(), reference = try Reference.of(run.fixture, as: run.user)
        #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
        if run.facts == reference.facts { run.finish() }
    }

    private func expectRefused(_ answer: Run.Answer, _ kind: String, _ words: String..., of run: Run) {
        #expect(answer.ending == .exited(125), "\(answer)\n\(run.story)")
        #expect(answer.errors.hasPrefix("ckpt-restart: \(run.image): \(kind): ") && answer.errors.filter { $0 == "\n" }.count == 1, "\(answer)")
        for word in words { #expect(answer.errors.contains(word), "\(answer)") }
    }

    @Test(.enabled(if: Workshop.isFull, "CKPT_TEST_FULL=1"), arguments: Flavour.Tracker.allCases, [Flavour.Identity.keep, .new])
    func `a thousand threads are saved and go on`(tracker: Flavour.Tracker, identity: Flavour.Identity) throws {
        let run = try Run(Fixture("thread_many", "1000"), as: .nobody)
        run.environment["CKPT_TRACKER"] = tracker.rawValue
        try run.explain {
            try run.start()
            for load in ["eager", "lazy"] {
                try run.checkpoint(.save)
                try run.kill()
                try run.restart(["--identity", identity.rawValue, "--load", load])
                try run.waitUntilAlive()
            }
        }
        try expectTheSame(run)
    }

    // MARK: - A program that hides

    @Test(arguments: Flavour.User.available, Flavour.Tracker.allCases)
    func `a program that is not dumpable is saved, and stays so`(user: Flavour.User, tracker: Flavour.Tracker) throws {
        for load in Flavour.Load.allCases {
            let run = try Run(Fixture("attribute", "hidden"), as: user)
            run.environment["CKPT_TRACKER"] = tracker.rawValue
            try run.explain {
                try run.start()
                for _ in 1 ... 2 {
                    try run.checkpoint(.signal)
                    try run.checkpoint(.signal)
                    try run.kill()
                    try run.restart(load == .eager ? [] : ["--load", "lazy"])
                    try run.waitUntilAlive()
                }
            }
            try expectTheSame(run)
        }
    }

    // MARK: - Seccomp

    @Test func `a filter that was tried lets checkpoints pass, and a restart without it is refused unless forced`() throws {
        let run = try Run(Fixture("attribute_seccomp", "tried"), as: .nobody)
        try run.explain {
            try run.start()
            #expect(run.output.contains("enabled once more: yes"), "\(run.story)")
            try run.checkpoint(.signal)
            try run.checkpoint(.save)
            let inspected = try run.ckpt("inspect", run.image)
            #expect(inspected.output.contains("the program's seccomp filters (1)"), "\(inspected)")
            try run.kill()
            expectRefused(try run.tryRestart(run.image), "unsupported", "seccomp", "--force", of: run)
            try run.restart(["--force"])
            try run.waitUntilAlive()
            // Without the filter there is none of its own.
            try run.checkpoint(.save)
            try run.kill()
            try run.restart()
            try run.waitUntilAlive()
            #expect(try run.release() == .exited(0), "\(run.story)")
            #expect(run.facts.contains("mode 0, another 0"), "\(run.story)")
            run.finish()
        }
    }

    @Test(arguments: ["untried", "thread", "kills", "kills-late", "forbids"])
    func `no checkpoint begins behind a filter that may forbid it, and the program goes on`(kind: String) throws {
        let run = try Run(Fixture("attribute_seccomp", kind), as: .nobody)
        run.environment["CKPT_VERBOSE"] = "1"
        try run.explain {
            try run.start()
            if kind == "kills-late" || kind == "forbids" { #expect(!run.output.contains("once more: yes"), "\(run.story)") }
            run.child?.signal(SIGUSR1)
            try awaitFact("the request is refused") {
                if let ending = run.child?.poll() { throw Broken("the program \(ending)") }
                return run.errors.contains("seccomp filter that is newer than enable()") ? true : nil
            }
            #expect(!run.exists("attribute_seccomp.img"), "\(run.story)")
            #expect(try run.release() == .exited(0), "\(run.story)")
            #expect(run.facts.contains("mode 1"), "\(run.story)")
            run.finish()
        }
    }

    // MARK: - What a host refuses

    @Test(.enabled(if: isRoot, "only root has real-time classes")) func `a real-time class that this user may not have is refused in one line, unless forced`() throws {
        let run = try Run(Fixture("scheduling"), as: .root)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            setOwner(run.directory, 65534)
            setOwner(run.image, 65534)
            let other = try Run(run.fixture, as: .nobody, sharing: run)
            try other.explain {
                expectRefused(try other.tryRestart(run.image), "permission", "real-time class", "--force", of: other)
                try other.restart(["--force", "--status-file", other.path("status")])
                try other.waitUntilAlive()
                let status = text(of: other.path("status"))
                #expect(status.contains("\"remarks\":[") && status.contains("is an ordinary thread here"), "\(status)")
                #expect(try other.release() == .exited(0), "\(other.story)")
                #expect(other.facts.contains("policy 3 (3), flags 0, nice 12"), "\(other.story)")
                #expect(!other.facts.contains("policy 1 "), "\(other.story)")
            }
            run.finish()
        }
    }

    @Test func `a limit that is lower here is refused when the program needs it, and told where it does not`() throws {
        let run = try Run(Fixture("limit"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            let restart = try run.workshop.program("ckpt-restart")
            expectRefused(try run.tool("prlimit", ["--nofile=64:64", restart, run.image]), "permission", "the limit of nofile was 100, here it is at most 64", of: run)
            try run.start("prlimit", ["--memlock=1024:1024", "--stack=2097152:8388608", restart, "--status-file", run.path("status"), run.image])
            try run.waitUntilAlive()
            let status = text(of: run.path("status"))
            #expect(status.contains("the limit of memlock was 4096, here it is at most 1024"), "\(status)")
            #expect(try run.release() == .exited(0), "\(run.story)")
            #expect(run.facts.contains("limit 8: soft another") && run.facts.contains("limit 3: soft the same, hard another"), "\(run.story)")
            #expect(run.facts.contains("limit 7: soft the same, hard the same"), "\(run.story)")
            run.finish()
        }
    }

    @Test func `a thread whose processors do not exist here may use all, and that is told`() throws {
        let run = try Run(Fixture("scheduling"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            var forge = try Forge([UInt8](FileManager.default.contents(atPath: run.image) ?? Data()))
            let type = UInt32(CKPT_NOTE_SCHEDULINGS.rawValue), note = try forge.note(type)
            let count = Int(Forge.number(forge.bytes, at: note + 8, UInt32.self)), size = MemoryLayout<ckpt_scheduling>.size
            let confined = (0 ..< count).filter { Forge.number(forge.bytes, at: note + 16 + $0 * size + 56, UInt32.self) != 0 }
            try #require(confined.count == 1, "\(confined)")
            // Processor 1000 alone.
            let mask = 16 + confined[0] * size + 64
            for word in 0 ..< 16 { try forge.put(word == 15 ? UInt64(1) << 40 : 0, inNote: type, at: mask + 8 * word) }
            try Data(forge.bytes).write(to: URL(fileURLWithPath: run.image))
            if Self.isRoot { setOwner(run.image, 65534) }
            try run.restart(["--status-file", run.path("status")])
            try run.waitUntilAlive()
            let status = text(of: run.path("status"))
            #expect(status.contains("none of the processors 1000 of thread"), "\(status)")
            #expect(try run.release() == .exited(0), "\(run.story)")
            #expect(run.facts.split(separator: "\n").first { $0.hasPrefix("one: ") }?.contains("all processors 1") == true, "\(run.story)")
            run.finish()
        }
    }

    @Test func `inspect shows how threads run, limits and attributes`() throws {
        let run = try Run(Fixture("scheduling"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            let told = try run.ckpt("inspect", run.image).output
            for words in ["batch, nice 12", "idle", "slack 1234567 ns", "I/O best-effort 2", "children begin anew", " on ", "nofile", "Attributes: all ordinary"] {
                #expect(told.contains(words), "\(words): \(told)")
            }
            let json = try JSONSerialization.jsonObject(with: Data(run.ckpt("inspect", "--json", run.image).output.utf8)) as? [String: Any]
            let threads = json?["threads"] as? [[String: Any]] ?? []
            #expect(threads.contains { $0["name"] as? String == "slack" && $0["timer_slack_ns"] as? Int == 1_234_567 }, "\(threads)")
            #expect((json?["limits"] as? [Any])?.count == 16 && (json?["attributes"] as? [Any])?.isEmpty == false)
        }
        try expectTheSame(run)
    }
}
