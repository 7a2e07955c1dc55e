// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Why `enable()` or `now()` did not do what was asked. The text says what, where, and what to do.
public enum CheckpointError: Error, Sendable, Equatable {
    /// A setting, from the code or from a variable of the environment, is not valid.
    case invalidSetting(name: String, value: String, reason: String)
    /// The program handles this signal itself; the checkpoint signal must be another one.
    case signalInUse(CheckpointSignal)
    /// `enable()` was not called, or `disable()` was.
    case notEnabled
    /// `CKPT_DISABLE` is set: `enable()` did nothing.
    case switchedOff
    /// A hook asked for what only works outside of hooks.
    case insideHook
    /// `now()` inside `deferring`: it would wait for itself.
    case insideDeferring
    /// Before-hooks threw; each is named with what it threw.
    case cancelled(hooks: [String])
    /// A thread could not be parked in time, and no image was written.
    case threadNotParked(name: String, threadID: Int32)
    /// The image could not be written; an older one is as it was.
    case imageNotWritten(path: String, step: String, errno: Int32)
    /// The kernel refused something else.
    case systemFailure(step: String, errno: Int32)
    /// This kernel, this processor or what runs the program (valgrind) lacks what is needed.
    case unsupported(String)
    /// Memory that cannot be excluded or included, and why.
    case invalidExclusion(reason: String)
    /// More than 4096 ranges of memory are excluded.
    case tooManyExclusions
}

extension CheckpointError: CustomStringConvertible {
    public var description: String { "\(what); \(remedy)" }

    package var what: String {
        switch self {
        case .invalidSetting(let name, let value, let reason): "\(name) is “\(value)”: \(reason)"
        case .signalInUse(let signal): "the program handles \(signal) itself"
        case .notEnabled: "checkpoints are not enabled in this process"
        case .switchedOff: "checkpoints are switched off by CKPT_DISABLE"
        case .insideHook: "not possible inside a hook"
        case .insideDeferring: "not possible inside a deferred section"
        case .cancelled(let hooks): "cancelled by \(hooks.isEmpty ? "a hook of the program" : hooks.joined(separator: ", "))"
        case .threadNotParked(let name, let threadID): "thread \(threadID) (\(name)) could not be parked in time"
        case .imageNotWritten(let path, let step, let errno): "\(path): \(step): \(text(ofErrno: errno))"
        case .systemFailure(let step, let errno): "\(step): \(text(ofErrno: errno))"
        case .unsupported(let what): what
        case .invalidExclusion(let reason): "this memory cannot be excluded: \(reason)"
        case .tooManyExclusions: "too many ranges of memory are excluded"
        }
    }

    package var remedy: String {
        switch self {
        case .invalidSetting: "change it"
        case .signalInUse: "choose another one with CKPT_SIGNAL or Configuration.signal"
        case .notEnabled: "call enable() first"
        case .switchedOff: "unset it to have them"
        case .insideHook: "do it before or after the checkpoint"
        case .insideDeferring: "ask for the checkpoint outside of it"
        case .cancelled: "ask again when the hook lets it pass"
        case .threadNotParked: "no image was written, ask again later"
        case .imageNotWritten(_, _, let errno):
            switch errno {
            case ENOSPC, EDQUOT: "make room; an older image is as it was"
            case ENOENT, ENOTDIR: "make the directory; an older image is as it was"
            default: "an older image is as it was"
            }
        case .systemFailure: "no image was written"
        case .invalidExclusion: "exclude what the program itself has allocated"
        case .tooManyExclusions: "exclude fewer and larger ones"
        case .unsupported: "`ckpt check` says what this host lacks"
        }
    }
}
