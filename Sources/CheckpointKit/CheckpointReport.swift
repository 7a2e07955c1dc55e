// SPDX-License-Identifier: Apache-2.0

/// One checkpoint that is durable: the image, what is in it, what it cost.
public struct CheckpointReport: Sendable, Equatable {
    /// Absolute path of the image. Differs from the configured one when another living program owns that.
    public var path: String
    /// True when another program that runs owns the configured path, so that `path` is another one.
    public var isElsewhere: Bool
    /// The image's identifier: 12 hex digits.
    public var identifier: String
    /// Whether the image stands alone.
    public var kind: Kind
    /// Which checkpoint of this run it is, from 1.
    public var sequence: UInt64
    /// Bytes of all mappings that were saved.
    public var memoryByteCount: UInt64
    /// Bytes of page data in the image: memory without zero pages and without what was never touched; of an increment, what was
    /// written since its parent.
    public var pageByteCount: UInt64
    /// Bytes of page data as they are in the image: fewer than `pageByteCount` when it is compressed.
    public var storedByteCount: UInt64
    /// Bytes of pages that are in no image because they are excluded as dead, or are as in the parent because read-only.
    public var excludedByteCount: UInt64
    /// Bytes of pages that were copied while the program ran, in `roundCount` rounds.
    public var precopiedByteCount: UInt64
    /// Bytes of pages that were copied in the pause.
    public var frozenByteCount: UInt64
    /// Rounds of copying while the program ran.
    public var roundCount: Int
    /// True when a copy-on-write child wrote what was left: the rounds did not converge, or there was no tracker.
    public var isWrittenByChild: Bool
    /// What found the written pages; `none`: nothing did, and the image is full.
    public var tracker: Configuration.Tracker
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

    /// Whether an image stands alone.
    public enum Kind: Sendable, Equatable {
        /// All of the memory.
        case full
        /// What changed since its parent, the image with this identifier; `depth`: increments from the last full image to this.
        case increment(parent: String, depth: Int)
    }
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
    /// The last image is younger than ``Configuration/minimumInterval``: nothing was done.
    case tooSoon
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
    /// A request came sooner than ``Configuration/minimumInterval`` allows.
    case tooSoon
    /// This process was made from an image just now.
    case restarted(RestartContext)
}
