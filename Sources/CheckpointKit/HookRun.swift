// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI
internal import Glibc

/// What the hooks of one checkpoint took and said.
struct HookRun: Sendable {
    var duration = Duration.zero
    var refusals: [String] = []
}

extension RawReport {
    /// The minimum interval is not over: nothing was done, and nothing is wrong.
    package var isTooSoon: Bool { outcome == CKPT_OUTCOME_TOO_SOON.rawValue }

    /// The checkpoint, or why there is none.
    func result(_ hookRun: HookRun?) throws(CheckpointError) -> CheckpointReport {
        guard outcome == CKPT_OUTCOME_SAVED.rawValue else { throw error(hookRun) }
        var report = saved
        report.hookDuration = hookRun?.duration ?? .zero
        return report
    }

    package func result() throws(CheckpointError) -> CheckpointReport { try result(nil) }

    func event(_ hookRun: HookRun?) -> CheckpointEvent {
        if isTooSoon { return .tooSoon }
        do throws(CheckpointError) {
            return .saved(try result(hookRun))
        } catch {
            let failure = CheckpointFailure(error: error, hookDuration: hookRun?.duration ?? .zero)
            return if case .cancelled = error { .cancelled(failure) } else { .failed(failure) }
        }
    }

    private func error(_ hookRun: HookRun?) -> CheckpointError {
        if outcome == CKPT_OUTCOME_CANCELLED.rawValue { return .cancelled(hooks: hookRun?.refusals ?? []) }
        let errno = error < 0 ? -error : error
        switch ckpt_step(rawValue: step) {
        case CKPT_STEP_FREEZE where threadID != 0: return .threadNotParked(name: threadName, threadID: threadID)
        case CKPT_STEP_SECCOMP:
            let whose = threadID == 0 ? "the program" : "thread \(threadID)"
            return .unsupported("\(whose) has a seccomp filter that is newer than enable(): call enable() behind it, which tries it")
        case CKPT_STEP_OPEN, CKPT_STEP_WRITE, CKPT_STEP_SYNC, CKPT_STEP_COMMIT:
            return .imageNotWritten(path: path, step: text(ofStep: step), errno: errno)
        // A sink that could not be started says nothing about the image's place.
        case CKPT_STEP_SINK where errno != ENOENT && errno != EACCES:
            return .imageNotWritten(path: path, step: text(ofStep: step), errno: errno)
        default: return .systemFailure(step: text(ofStep: step), errno: errno)
        }
    }
}
