// SPDX-License-Identifier: Apache-2.0
import CheckpointKit
import Foundation
import Testing

/// The true engine, each in a process of its own.
@Suite(.serialized, .timeLimit(.minutes(15))) struct CheckpointTests {
    @Test func `now leaves an image, and disable no trace`() async {
        await #expect(processExitsWith: .success) {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kit-\(getpid())").path
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try Checkpoint.enable(Configuration(image: folder + "/x.img"))
            let enabled = Calls.maps()
            #expect(enabled.contains("/memfd:ckpt.1.10.0 (deleted)"), "\(enabled)")
            let first = try Checkpoint.now()
            guard case .saved(let report) = first else { return #expect(Bool(false), "\(first)") }
            #expect(report.path == folder + "/x.img" && report.sequence == 1, "\(report)")
            #expect(report.pause > .zero && report.threadCount > 0, "\(report)")
            Checkpoint.disable()
            let maps = Calls.maps()
            #expect(!maps.contains("ckpt.1."), "\(maps)")
            #expect(throws: CheckpointError.notEnabled, "after disable") { try Checkpoint.now() }
            try Checkpoint.enable(Configuration(image: folder + "/x.img"))
            let second = try Checkpoint.now()
            guard case .saved = second else { return #expect(Bool(false), "\(second)") }
        }
    }

    @Test func `a signal that the program handles itself is refused`() async {
        await #expect(processExitsWith: .success) {
            Calls.handleUsr1()
            #expect(throws: CheckpointError.signalInUse(.usr1)) { try Checkpoint.enable() }
            try Checkpoint.enable(Configuration(signal: .usr2))
            #expect(throws: CheckpointError.signalInUse(.usr1)) { try Checkpoint.enable(Configuration(signal: .usr2, exitSignal: .usr1)) }
        }
    }

    @Test func `CKPT_DISABLE leaves the program alone`() async {
        await #expect(processExitsWith: .success) {
            Calls.setVariable("CKPT_DISABLE", "1")
            try Checkpoint.enable()
            #expect(throws: CheckpointError.switchedOff) { try Checkpoint.now() }
            #expect(!Calls.maps().contains("ckpt.1."))
        }
    }

    @Test func `a failure is thrown and is an event`() async {
        await #expect(processExitsWith: .success) {
            try Checkpoint.enable(Configuration(image: "/nowhere/x.img"))
            let events = Checkpoint.events
            let expected = CheckpointError.imageNotWritten(path: "/nowhere/x.img", step: "creating the image", errno: ENOENT)
            #expect(throws: expected) { try Checkpoint.now() }
            var iterator = events.makeAsyncIterator()
            #expect(await iterator.next() == .failed(CheckpointFailure(error: expected, hookDuration: .zero)))
        }
    }

    @Test func `deferring nests, sync and async, and now throws inside`() async {
        await #expect(processExitsWith: .success) {
            try Checkpoint.enable(Configuration(image: "/nowhere/x.img"))
            Checkpoint.deferring {
                Checkpoint.deferring {}
                #expect(throws: CheckpointError.insideDeferring) { try Checkpoint.now() }
            }
            let late = await Checkpoint.deferring {
                await Checkpoint.deferring { await Task.yield() }
                #expect(throws: CheckpointError.insideDeferring) { try Checkpoint.now() }
                #expect(throws: CheckpointError.insideDeferring) { try Checkpoint.enable() }
                return Task {
                    // Inherits the section, and outlives it.
                    try? await Task.sleep(for: .milliseconds(200))
                    return Result { try Checkpoint.now() }
                }
            }
            guard case .failure(CheckpointError.imageNotWritten) = await late.value else { return #expect(Bool(false)) }
            struct Own: Error {}
            #expect(throws: Own.self) { try Checkpoint.deferring { () throws(Own) in throw Own() } }
            await #expect(throws: Own.self) {
                try await Checkpoint.deferring { () async throws(Own) in
                    await Task.yield()
                    throw Own()
                }
            }
        }
    }

    @Test func `without hooks and readers there is no thread of ours, with them there is one that takes no signal`() async {
        await #expect(processExitsWith: .success) {
            func names() throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap {
                    // A thread may have ended since.
                    try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)
                }
            }
            try Checkpoint.enable(Configuration(image: "/nowhere/x.img"))
            #expect(try !names().contains("ckpt\n"))
            let registration = Checkpoint.afterCheckpoint { _ in }
            while try !names().contains("ckpt\n") { await Task.yield() }
            registration.cancel()
            Checkpoint.disable()
            while try names().contains("ckpt\n") { await Task.yield() }
        }
    }

    @Test func `preflight names what a restart would refuse`() async {
        await #expect(processExitsWith: .success) {
            #expect(Calls.openSocket() >= 0)
            let findings = try Checkpoint.preflight()
            #expect(findings.contains { $0.what.contains("descriptor") || $0.why.contains("socket") }, "\(findings)")
        }
    }
}
