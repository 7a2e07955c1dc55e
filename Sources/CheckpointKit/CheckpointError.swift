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
    /// This kernel or processor lacks what is needed.
    case unsupported(String)
}

extension CheckpointError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidSetting(let name, let value, let reason): "\(name) is “\(value)”: \(reason)"
        case .signalInUse(let signal): "the program handles \(signal) itself; choose another one with CKPT_SIGNAL or Configuration.signal"
        case .notEnabled: "checkpoints are not enabled in this process; call Checkpoint.enable() first"
        case .switchedOff: "checkpoints are switched off by CKPT_DISABLE; unset it to have them"
        case .insideHook: "not possible inside a hook; do it before or after the checkpoint"
        case .insideDeferring: "not possible inside `deferring`; ask for the checkpoint outside of it"
        case .cancelled(let hooks): "cancelled by \(hooks.joined(separator: ", "))"
        case .threadNotParked(let name, let threadID):
            "thread \(threadID) (\(name)) could not be parked in time; no image was written, ask again later"
        case .imageNotWritten(let path, let step, let errno):
            "\(path): \(step): \(text(ofErrno: errno)); the image that was there is as it was"
        case .systemFailure(let step, let errno): "\(step): \(text(ofErrno: errno)); no image was written"
        case .unsupported(let what): "\(what); `ckpt check` says what this host lacks"
        }
    }
}
