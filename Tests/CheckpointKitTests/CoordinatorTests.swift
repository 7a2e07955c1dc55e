// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointKit
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(15))) struct CoordinatorTests {
    private func enabled(_ scribe: FakeScribe, isVerbose: Bool = false) throws -> Coordinator {
        let coordinator = Coordinator(scribe.engine)
        try coordinator.enable(Configuration(image: "/tmp/x.img", isVerbose: isVerbose))
        return coordinator
    }

    @Test func `now returns the report of its own request`() throws {
        let coordinator = try enabled(FakeScribe())
        for sequence in 1...20 {
            guard case .saved(let report) = try coordinator.now() else { return #expect(Bool(false)) }
            #expect(report.sequence == sequence && report.path == "/tmp/x.img" && report.hookDuration == .zero)
        }
    }

    @Test func `in a process made from the image now says so`() throws {
        let coordinator = try enabled(FakeScribe(answer: .init(restarts: true)))
        guard case .restarted(let context) = try coordinator.now() else { return #expect(Bool(false)) }
        #expect(context.count == 1 && context.image == "000000000abc")
    }

    @Test func `before enable and after disable there is no checkpoint`() throws {
        let coordinator = Coordinator(FakeScribe().engine)
        #expect(throws: CheckpointError.notEnabled) { try coordinator.now() }
        try coordinator.enable(.init())
        coordinator.disable()
        coordinator.disable()
        #expect(throws: CheckpointError.notEnabled) { try coordinator.now() }
    }

    @Test func `disable releases a now that waits`() async throws {
        let scribe = FakeScribe(answer: nil), coordinator = try enabled(scribe)
        let outcome = Task.detached { Result { try coordinator.now() } }
        while scribe.load(\.requested) == 0 { await Task.yield() }
        coordinator.disable()
        let result = await outcome.value
        #expect(throws: CheckpointError.notEnabled) { try result.get() }
    }

    @Test func `enable twice means new settings, and a failure keeps the old ones`() throws {
        let scribe = FakeScribe(), coordinator = try enabled(scribe)
        try coordinator.enable(Configuration(image: "/tmp/y.img", signal: .usr2))
        scribe.armResult.withLock { $0 = -16 }
        #expect(throws: CheckpointError.signalInUse(.terminate)) { try coordinator.enable(Configuration(signal: .terminate)) }
        #expect(scribe.armedPlans.withLock { $0.map(\.image) } == ["/tmp/x.img", "/tmp/y.img"])
        guard case .saved = try coordinator.now() else { return #expect(Bool(false)) }
    }

    @Test func `a thread that could not be parked is named`() throws {
        let answer = FakeScribe.Answer(outcome: CKPT_OUTCOME_FAILED, step: CKPT_STEP_FREEZE, errno: 110, threadID: 42)
        let coordinator = try enabled(FakeScribe(answer: answer))
        #expect(throws: CheckpointError.threadNotParked(name: "", threadID: 42)) { try coordinator.now() }
    }

    @Test func `the last one to leave takes the checkpoint that was asked for meanwhile`() throws {
        let scribe = FakeScribe(answer: nil), coordinator = try enabled(scribe)
        coordinator.enterDeferral()
        coordinator.enterDeferral()
        scribe.store(\.deferred, 1)
        coordinator.leaveDeferral()
        #expect(scribe.load(\.requested) == 0 && scribe.load(\.deferrals) == 1)
        coordinator.leaveDeferral()
        #expect(scribe.load(\.requested) == 1 && scribe.load(\.deferred) == 0 && scribe.load(\.deferrals) == 0)
    }

    @Test func `events tell what happened since they were asked for, then each as it happens`() async throws {
        let scribe = FakeScribe(), coordinator = try enabled(scribe)
        _ = try coordinator.now()
        let events = CheckpointEvents(coordinator)
        _ = try coordinator.now()
        scribe.answer.withLock { $0 = .init(outcome: CKPT_OUTCOME_FAILED, step: CKPT_STEP_SYNC, errno: 5) }
        #expect(throws: CheckpointError.self) { try coordinator.now() }
        var iterator = events.makeAsyncIterator()
        guard case .saved(let report) = await iterator.next() else { return #expect(Bool(false)) }
        #expect(report.sequence == 2)
        #expect(await iterator.next() == .failed(CheckpointFailure(
            error: .imageNotWritten(path: "/tmp/x.img", step: "syncing the image", errno: 5), hookDuration: .zero)))
        scribe.answer.withLock { $0 = .init(restarts: true) }
        _ = try coordinator.now()
        guard case .restarted(let context) = await iterator.next() else { return #expect(Bool(false)) }
        #expect(context.count == 1)
    }

    @Test func `of more checkpoints than are kept a late reader gets the newest`() async throws {
        let coordinator = try enabled(FakeScribe())
        let events = CheckpointEvents(coordinator)
        for _ in 0..<40 { _ = try coordinator.now() }
        var iterator = events.makeAsyncIterator(), sequences: [UInt64] = []
        repeat {
            guard case .saved(let report) = await iterator.next() else { return #expect(Bool(false)) }
            sequences.append(report.sequence)
        } while sequences.last != 40
        #expect(sequences == Array(sequences[0]...40) && sequences.count <= 16 && !sequences.isEmpty, "\(sequences)")
    }

    @Test func `many readers get every event`() async throws {
        let scribe = FakeScribe(), coordinator = try enabled(scribe)
        let events = CheckpointEvents(coordinator)
        try await withThrowingTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var sequences: [UInt64] = []
                    for await case .saved(let report) in events {
                        sequences.append(report.sequence)
                        if sequences.count == 5 { break }
                    }
                    return sequences
                }
            }
            for _ in 0..<5 { _ = try coordinator.now() }
            for try await sequences in group { #expect(sequences == [1, 2, 3, 4, 5]) }
        }
    }
}
