// SPDX-License-Identifier: Apache-2.0

/// One checkpoint that is durable: the image, what is in it, what it cost.
public struct CheckpointReport: Sendable, Equatable {
    /// Absolute path of the image. Differs from the configured one when another living program owns that.
    public var path: String
    /// True when another program that runs owns the configured path, so that `path` is another one.
    public var isElsewhere: Bool
    /// The image's identifier: 12 hex digits.
    public var identifier: String
    /// Which checkpoint of this run it is, from 1.
    public var sequence: UInt64
    /// Bytes of all mappings that were saved.
    public var memoryByteCount: UInt64
    /// Bytes of page data in the image: memory without zero pages and without what was never touched.
    public var pageByteCount: UInt64
    /// Bytes that the image takes on disk.
    public var fileByteCount: UInt64
    /// The time that the program lost: from the freeze to the thaw.
    public var pause: Duration
    /// The part of `pause` until every thread was parked.
    public var parkDuration: Duration
    /// From the request until the image was durable.
    public var durableAfter: Duration
    /// The part of it that was writing and syncing.
    public var writeDuration: Duration
    /// Before- and after-hooks; in no other duration but `durableAfter`.
    public var hookDuration: Duration
    /// Threads that were saved.
    public var threadCount: Int
    /// Attempts to freeze that it took.
    public var attempts: Int
    /// Descriptors and mappings that a restart refuses; ``Checkpoint/preflight()`` names them.
    public var unsupportedCount: Int
}

/// A checkpoint that did not come about. The program goes on, and an older image is as it was.
public struct CheckpointFailure: Sendable, Equatable {
    public var error: CheckpointError
    /// Before- and after-hooks.
    public var hookDuration: Duration

    package init(error: CheckpointError, hookDuration: Duration) {
        self.error = error
        self.hookDuration = hookDuration
    }
}

/// What became of ``Checkpoint/now()``.
public enum Outcome: Sendable, Equatable {
    /// The image is durable, and this is the process that took it.
    case saved(CheckpointReport)
    /// This process was made from the image.
    case restarted(RestartContext)
}

/// What an after-hook is told. It runs when the program goes on; the image may still be under way to the disk:
/// ``Checkpoint/events`` says when it is durable.
public enum HookOutcome: Sendable, Equatable {
    /// The state of the program was captured.
    case captured
    /// A before-hook cancelled the checkpoint.
    case cancelled
    /// The checkpoint failed before the program went on.
    case failed
}

/// An element of ``Checkpoint/events``.
public enum CheckpointEvent: Sendable, Equatable {
    /// An image is durable.
    case saved(CheckpointReport)
    /// A checkpoint failed.
    case failed(CheckpointFailure)
    /// A before-hook cancelled a checkpoint.
    case cancelled(CheckpointFailure)
    /// This process was made from an image just now.
    case restarted(RestartContext)
}
