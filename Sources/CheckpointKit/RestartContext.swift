// SPDX-License-Identifier: Apache-2.0

/// The restart that this process came from.
public struct RestartContext: Sendable, Equatable {
    /// How the process and thread ids came about.
    public enum Identity: Sendable, Equatable {
        /// As they were, where the program runs.
        case kept
        /// As they were, in a process namespace of its own.
        case keptInNamespace
        /// New ones; what had cached the old ones was corrected.
        case new
    }

    /// Restarts that this process has behind it, this one included: 1 at the first.
    public var count: Int
    /// Restarts of this very image in this place, this one included, as the record beside it (NAME.d/restarts) tells: 1 at the
    /// first. nil: not known, because the record can not be written.
    public var countHere: Int?
    /// Processes that were restarted from this very image in this place before and still run: with 1 or more this is not the only
    /// one that goes on from there. nil: not known. Those in other process namespaces or on other hosts are not seen.
    public var siblings: Int?
    /// Identifier of the image that was restarted: 12 hex digits.
    public var image: String
    /// Absolute path where the next checkpoint goes.
    public var path: String
    /// When, since 1970-01-01 UTC.
    public var restartedAt: Duration
    /// From the start of `ckpt-restart` until the program went on.
    public var loadDuration: Duration
    public var identity: Identity
    /// What `ckpt-restart --env NAME=VALUE` gave. The program's own environment is memory and is as it was.
    public var environment: [String: String]
}
