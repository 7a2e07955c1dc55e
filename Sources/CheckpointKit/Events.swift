// SPDX-License-Identifier: Apache-2.0

/// Every checkpoint and restart of this process since the sequence was asked for, then each as it happens. Never ends.
///
/// The last 16 checkpoints before the first element was asked for are kept, and up to 256 events for a slow reader: then the
/// oldest go.
public struct CheckpointEvents: AsyncSequence, Sendable {
    public typealias Element = CheckpointEvent
    public typealias Failure = Never

    let coordinator: Coordinator
    let firstReport: UInt64
    let firstRestart: UInt64

    package init(_ coordinator: Coordinator) {
        self.coordinator = coordinator
        firstReport = coordinator.engine.live.reportCount
        firstRestart = coordinator.engine.live.restartCount
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: AsyncStream<CheckpointEvent>.Iterator

        public mutating func next() async -> CheckpointEvent? { await base.next() }
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Never) -> CheckpointEvent? {
            await base.next(isolation: actor)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        let (stream, continuation) = AsyncStream.makeStream(of: CheckpointEvent.self, bufferingPolicy: .bufferingNewest(256))
        coordinator.addReader(from: self, continuation)
        return AsyncIterator(base: stream.makeAsyncIterator())
    }
}

/// Who reads events.
struct Reader: Sendable {
    let number: Int64
    let firstReport: UInt64
    let firstRestart: UInt64
    let continuation: AsyncStream<CheckpointEvent>.Continuation
}
