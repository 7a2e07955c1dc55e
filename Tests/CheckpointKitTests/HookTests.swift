// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointKit
import Synchronization
import Testing

struct Refused: Error {}

@Suite(.timeLimit(.minutes(15))) struct HookTests {
    private func enabled(_ scribe: FakeScribe) throws -> Coordinator {
        let coordinator = Coordinator(scribe.engine)
        try coordinator.enable(Configuration(image: "/tmp/x.img"))
        return coordinator
    }
    private final class Log: Sendable {
        let lines = Mutex<[String]>([])
        func append(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    @Test func `before-hooks run in reverse order, after-hooks in order`() throws {
        let coordinator = try enabled(FakeScribe()), log = Log()
        for name in ["a", "b", "c"] {
            _ = coordinator.addHook(name, before: { log.append("before \(name)") })
            _ = coordinator.addHook(after: { log.append("after \(name) \($0)") })
        }
        guard case .saved(let report) = try coordinator.now() else { return #expect(Bool(false)) }
        #expect(log.all == ["before c", "before b", "before a", "after a captured", "after b captured", "after c captured"])
        #expect(report.hookDuration > .zero && report.pause == .nanoseconds(1_500_000))
    }

    @Test func `a before-hook that throws cancels, the others still run, and the error names it`() throws {
        let coordinator = try enabled(FakeScribe()), log = Log()
        _ = coordinator.addHook("steady", before: { log.append("steady") })
        _ = coordinator.addHook("stubborn", before: { throw Refused() })
        _ = coordinator.addHook(after: { log.append("\($0)") })
        #expect(throws: CheckpointError.cancelled(hooks: ["stubborn: Refused()"])) { try coordinator.now() }
        #expect(log.all == ["steady", "cancelled"])
    }

    @Test func `a failure is told to the after-hooks and thrown`() throws {
        let scribe = FakeScribe(answer: .init(outcome: CKPT_OUTCOME_FAILED, step: CKPT_STEP_WRITE, errno: 28))
        let coordinator = try enabled(scribe), log = Log()
        _ = coordinator.addHook(after: { log.append("\($0)") })
        #expect(throws: CheckpointError.imageNotWritten(path: "/tmp/x.img", step: "writing the image", errno: 28)) { try coordinator.now() }
        #expect(log.all == ["failed"])
    }

    @Test func `a hook that was cancelled runs no more, and one that is dropped still does`() throws {
        let scribe = FakeScribe(), coordinator = try enabled(scribe), log = Log()
        let registration = coordinator.addHook(after: { _ in log.append("cancelled") })
        _ = coordinator.addHook(after: { _ in log.append("dropped") })
        registration.cancel()
        registration.cancel()
        #expect(scribe.load(\.hooks) == 1)
        _ = try coordinator.now()
        #expect(log.all == ["dropped"])
    }

    @Test func `in a restarted process only the restart hooks run`() throws {
        let coordinator = try enabled(FakeScribe(answer: .init(restarts: true))), log = Log()
        _ = coordinator.addHook("before", before: { log.append("before") })
        _ = coordinator.addHook(after: { _ in log.append("after") })
        for name in ["first", "second"] { _ = coordinator.addHook(restart: { log.append("\(name) \($0.count) \($0.image)") }) }
        guard case .restarted(let context) = try coordinator.now() else { return #expect(Bool(false)) }
        #expect(context.count == 1)
        #expect(log.all == ["before", "first 1 000000000abc", "second 1 000000000abc"])
    }

    @Test func `inside a hook nothing waits for itself`() throws {
        let scribe = FakeScribe(), coordinator = try enabled(scribe), log = Log()
        _ = coordinator.addHook("now", before: {
            do { _ = try coordinator.now() } catch { log.append("\(error)") }
            do { try coordinator.enable(.init()) } catch { log.append("\(error)") }
            coordinator.disable()
            log.append("armed \(scribe.load(\.armed))")
        })
        guard case .saved = try coordinator.now() else { return #expect(Bool(false)) }
        #expect(log.all == Array(repeating: "\(CheckpointError.insideHook)", count: 2) + ["armed 1"])
        while scribe.load(\.armed) == 1 { try #require(!Task.isCancelled) }
        #expect(throws: CheckpointError.notEnabled) { try coordinator.now() }
    }

    @Test func `restart hooks alone do not make the scribe wait`() throws {
        let scribe = FakeScribe(), coordinator = try enabled(scribe)
        _ = coordinator.addHook(restart: { _ in })
        #expect(scribe.load(\.hooks) == 0)
    }
}
