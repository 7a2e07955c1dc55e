// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import Foundation
import Testing

/// `--load lazy`: the program runs while its memory is loaded, and nothing can tell.
@Suite struct LoadingTests {
    /// `status`: what the status file is to say.
    private func restart(_ run: Run, _ options: [String] = [], wanting wanted: String = "lazy", expecting load: String = "lazy") throws {
        try run.restart(["--load", wanted, "--status-file", run.path("status")] + options)
        try run.waitUntilAlive()
        let status = text(of: run.path("status"))
        #expect(status.contains("\"load\":\"\(load)\""), "\(status)\(run.story)")
    }

    private func expectTheSame(_ run: Run) throws {
        let reference = try Reference.of(run.fixture, as: run.user)
        let ending = try run.release()
        #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)\nleft alone it \(reference.ending): \(reference.facts)")
        if run.facts == reference.facts { run.finish() }
    }

    @Test(arguments: Flavour.User.available, 1 ... (Workshop.isFull ? 50 : 5))
    func `threads that compute, trap and fault all the while see nothing of it`(user: Flavour.User, turn: Int) throws {
        let run = try Run(Fixture("loading"), as: user)
        try run.explain {
            try run.start()
            for _ in 1 ... 3 {
                try run.checkpoint(.save)
                try run.kill()
                // Every fifth eagerly: what is read, and in what order, comes from the same place.
                let load = turn % 5 == 0 ? "eager" : "lazy"
                try restart(run, turn % 2 == 0 ? ["--identity", "new"] : [], wanting: load, expecting: load)
            }
            try expectTheSame(run)
        }
    }

    @Test func `afterwards nothing is left of it, and the next checkpoint is an increment`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            try restart(run)
            // A loader may just be ending there.
            let program = try #require(processTree(below: run.child?.id ?? 0).first { text(of: "/proc/\($0)/comm") == "heap\n" })
            #expect(!text(of: "/proc/\(program)/maps").split(separator: "\n").contains { $0.contains(" rw-p ") && $0.hasSuffix(".img") })
            #expect(text(of: "/proc/\(program)/status").contains("Seccomp:\t0"))
            if !Host.lacksTracker(run) {
                let saved = try run.ckpt("save", "--json", "\(run.child?.id ?? 0)")
                let report = try JSONSerialization.jsonObject(with: Data(saved.output.utf8)) as? [String: Any]
                #expect(report?["parent"] as? String != nil, "\(saved)")
                try run.kill()
                try restart(run)
            }
            try expectTheSame(run)
        }
    }

    @Test func `a compressed image is loaded eagerly, and that is said`() throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        run.environment["CKPT_COMPRESS"] = "lz4"
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            try restart(run, expecting: "eager")
            #expect(run.errors.hasPrefix("ckpt-restart: \(run.image): note: memory is loaded eagerly: a compressed image"), "\(run.story)")
            try expectTheSame(run)
        }
    }

    @Test(arguments: [("as", "the address space is limited"), ("data", "the data is limited")])
    func `limited memory: loaded eagerly, and that is said`(limit: String, reason: String) throws {
        try expectEager(["prlimit", "--\(limit)=1099511627776"], reason)
    }

    @Test func `few signals can be queued: loaded eagerly, and that is said`() throws {
        try expectEager(["prlimit", "--sigpending=1023"], "too few signals can be queued")
    }

    static let areNamespacesAllowed = (try? Child(Command(program: "sh", arguments: ["-c", (Flavour.User.nobody.prefix + namespace + ["true"]).joined(separator: " ")],
        directory: "/", environment: ["PATH": Workshop.path])).wait()) == .exited(0)
    private static let namespace = ["unshare", "-Urpf", "--kill-child", "--mount-proc"]

    @Test(.enabled(if: areNamespacesAllowed, "no user namespaces here: unshare -Urpf"), arguments: Flavour.Identity.allCases)
    func `the first process of a namespace is loaded eagerly, and one below it lazily`(identity: Flavour.Identity) throws {
        try expectEager(Self.namespace, identity == .new ? "this process gets the orphans of others" : nil, identity)
    }

    @Test(arguments: Flavour.Identity.allCases)
    func `a process that gets orphans is loaded eagerly, and one below it lazily`(identity: Flavour.Identity) throws {
        try expectEager([Workshop.shared.program("another_host"), "--subreaper", "--"], identity == .new ? "this process gets the orphans of others" : nil, identity)
    }

    /// Restarted by way of these words. `reason`: why eagerly; nil: lazily.
    private func expectEager(_ words: [String], _ reason: String?, _ identity: Flavour.Identity = .new) throws {
        let run = try Run(Fixture("heap"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            let options = ["--load", "lazy", "--identity", identity.rawValue, "--status-file", run.path("status"), run.image]
            try run.start(words[0], words.dropFirst() + [Workshop.shared.program("ckpt-restart")] + options)
            try run.waitUntilAlive()
            let notes = run.errors.split(separator: "\n").filter { $0.contains(": note: memory is loaded eagerly") }
            #expect(notes.count == (reason == nil ? 0 : 1), "\(run.story)")
            if let reason { #expect(notes.first?.hasPrefix("ckpt-restart: \(run.image): note: memory is loaded eagerly: \(reason)") == true, "\(run.story)") }
            #expect(text(of: run.path("status")).contains("\"load\":\"\(reason == nil ? "lazy" : "eager")\""))
            try expectTheSame(run)
        }
    }

    @Test(arguments: ["auto", "new"]) func `a damaged page ends the program before it does anything`(identity: String) throws {
        let run = try Run(Fixture("loading"), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            var bytes = Array(try #require(FileManager.default.contents(atPath: run.image)))
            // The third act looks at this word, and the first instructions do not.
            let value = (UInt64(10) &+ 77) &* 0x9e37_79b9_7f4a_7c15
            let word = (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
            let place = try #require(bytes.firstRange(of: word)).lowerBound
            bytes[place] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: run.image))
            try run.restart(["--load", "lazy", "--identity", identity, "--status-file", run.path("status")])
            let ending = try #require(try run.child?.wait())
            #expect(ending == .exited(126) && run.output.isEmpty, "\(run.story)")
            let lines = run.errors.split(separator: "\n").filter { !$0.contains(": note: ") }
            #expect(lines.count == 1 && lines[0].hasPrefix("ckpt-restart: \(run.image): damaged: "), "\(run.story)")
            #expect(text(of: run.path("status")).contains("{\"status\":126,\"class\":\"damaged\""))
            let eager = try run.tryRestart(run.image)
            #expect(eager.ending == .exited(125) && eager.errors.contains(": damaged: "), "\(eager)")
            run.finish()
        }
    }
}
