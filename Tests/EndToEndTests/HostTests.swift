// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import Foundation
import Glibc
import Testing

/// An image on another host: without libraries, without user namespaces, without /proc.
@Suite struct HostTests {
    static let travellers: [Fixture] = Fixture.all.filter { !$0.needsDevices && $0.program != "library" }.filter {
        Workshop.isFull || $0.isSwift || ["mapping", "thread", "mutex", "epoll", "file", "heap", "directory"].contains($0.program)
    }
    static var isRoot: Bool { geteuid() == 0 }

    /// Takes an image, kills the program, and restarts it by way of `another_host`.
    private func travel(_ fixture: Fixture, _ host: [String], _ options: [String], byRoot: Bool = false) throws -> Run {
        let run = try Run(fixture, as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
        }
        try run.start(Workshop.shared.program("another_host"), host + ["--", Workshop.shared.program("ckpt-restart")] + options + [run.image],
            as: byRoot ? .root : .nobody)
        return run
    }

    private func expectTheSame(_ run: Run) throws {
        try run.explain {
            try run.waitUntilAlive()
            let ending = try run.release()
            let reference = try Reference.of(run.fixture, as: .nobody)
            #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
            if run.facts == reference.facts { run.finish() }
        }
    }

    @Test(arguments: travellers)
    func `a program restarts in a bare root, without any library, as an unprivileged user`(fixture: Fixture) throws {
        try expectTheSame(travel(fixture, ["--bare", Workshop.shared.directory + "/runs"], []))
    }

    @Test(.enabled(if: isRoot, "chroot needs root"), arguments: [Fixture("heap"), Fixture("thread"), Fixture("epoll")])
    func `in a chroot, where there are no user namespaces, a program restarts with new ids`(fixture: Fixture) throws {
        try expectTheSame(travel(fixture, ["--chroot", Workshop.shared.directory + "/runs", "--user", "65534"], [], byRoot: true))
    }

    @Test(arguments: [Fixture("heap"), Fixture("condition"), Fixture("eventfd")])
    func `without user namespaces a program restarts with new ids, and that is said`(fixture: Fixture) throws {
        let run = try travel(fixture, ["--no-user-namespaces"], [])
        try expectTheSame(run)
    }

    /// Five seconds after its boot, or a month later; the image is one of another boot.
    @Test(arguments: ["vdso", "timed_wait", "timerfd", "epoll", "SwiftDispatch", "SwiftTasks"], [true, false])
    func `the clocks go on at a host with a shorter or longer uptime`(program: String, isShorter: Bool) throws {
        let uptime = max((Int(text(of: "/proc/uptime").prefix { $0 != "." }) ?? 0) - 5, 0)
        let run = try Run(Fixture(program, needsItsIds: true), as: .nobody)
        try run.explain {
            try run.start()
            try run.checkpoint(.save)
            try run.kill()
            var forge = try Forge(Array(try #require(FileManager.default.contents(atPath: run.image))))
            try forge.put(1, inNote: CKPT_NOTE_PROCESS.rawValue, at: MemoryLayout<ckpt_process>.offset(of: \.boot_id)!)
            try Data(forge.bytes).write(to: URL(fileURLWithPath: run.image))
            setOwner(run.image, 65534)
            // And once more there: the program has clocks of its own now.
            for turn in 1 ... 2 {
                try run.start(Workshop.shared.program("another_host"),
                    ["--clocks", isShorter ? "-\(uptime)" : "2592000", "--", Workshop.shared.program("ckpt-restart"), run.image])
                if turn == 2 { break }
                try run.waitUntilAlive()
                try run.checkpoint(.save)
                try run.kill()
            }
        }
        try expectTheSame(run)
    }

    @Test func `on the same host the clocks never go backwards either`() throws {
        let uptime = max((Int(text(of: "/proc/uptime").prefix { $0 != "." }) ?? 0) - 5, 0)
        try expectTheSame(travel(Fixture("vdso"), ["--clocks", "-\(uptime)"], []))
    }

    @Test func `without user namespaces a kept id is refused in one line`() throws {
        let run = try travel(Fixture("heap"), ["--no-user-namespaces"], ["--identity", "keep"])
        try run.explain {
            let ending = try run.child?.wait()
            #expect(ending == .exited(125), "\(run.story)")
            #expect(run.errors.hasPrefix("ckpt-restart: \(run.image): unsupported: ") || run.errors.hasPrefix("ckpt-restart: \(run.image): permission: "), "\(run.story)")
            #expect(run.errors.filter { $0 == "\n" }.count == 1, "\(run.story)")
            run.finish()
        }
    }

    @Test func `without proc a program restarts, or is refused in one line`() throws {
        let fixture = Fixture("heap")
        let run = try travel(fixture, ["--bare", Workshop.shared.directory + "/runs", "--no-proc"], [])
        try run.explain {
            do { try run.waitUntilAlive() } catch {
                #expect(run.child?.poll() == .exited(125), "\(run.story)")
                #expect(run.errors.hasPrefix("ckpt-restart: \(run.image): ") && run.errors.filter { $0 == "\n" }.count == 1, "\(run.story)")
                run.finish()
                return
            }
            let ending = try run.release(), reference = try Reference.of(fixture, as: .nobody)
            #expect(run.facts == reference.facts && ending == reference.ending, "\(run.story)")
            run.finish()
        }
    }
}
