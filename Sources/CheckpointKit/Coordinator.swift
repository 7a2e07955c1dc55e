// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI
import Glibc
internal import Synchronization

/// Everything plan time knows about the checkpoints of this process, in one place.
///
/// Threads of the program come in by `enable`, `now` and the like; the checkpoint thread, when there is one, by `serve`. Two
/// locks, never held while a hook runs: `arming` around a whole `enable` or `disable`, `state` for moments only.
package final class Coordinator: Sendable {
    package static let own = {
        CheckpointThread.watchForks()
        return Coordinator(.own)
    }()

    let engine: Engine
    let state = Guarded(State())
    let isThreadAlive = Atomic<Bool>(false)
    let isForked = Atomic<Bool>(false)
    private let disablesLater = Atomic<Bool>(false)
    private let arming = Guarded(())

    struct State: Sendable {
        var settings: Settings?
        var isSwitchedOff = false
        var inherited: [ckpt_inherited_stream] = []
        var hooks = Hooks()
        var readers: [Reader] = []
        var lastReader: Int64 = 0
        /// What the checkpoint thread has passed on.
        var deliveredReports: UInt64 = 0
        var deliveredRestarts: UInt64 = 0
        /// Of the checkpoint that is under way, and of the last reports by their index.
        var hookRun: HookRun?
        var hookRuns: [UInt64: HookRun] = [:]
    }

    package init(_ engine: Engine) { self.engine = engine }

    package func enable(_ configuration: Configuration) throws(CheckpointError) {
        guard !CurrentThread.isInHook else { throw .insideHook }
        // A `disable()` elsewhere may wait, with the lock, for a checkpoint that waits for this section to end.
        guard !isDeferring else { throw .insideDeferring }
        guard !ProcessFacts.isUnderValgrind else { throw .unsupported("valgrind runs this program by a processor of its own, of which the kernel knows nothing") }
        try arming.withLock { (_: inout ()) throws(CheckpointError) in
            guard var settings = try Settings.resolve(configuration, in: surroundings()) else {
                disarm()
                state.withLock { $0.isSwitchedOff = true }
                return
            }
            let (previous, inherited) = state.withLock { state in
                if state.inherited.isEmpty { state.inherited = ProcessFacts.standardStreams() }
                let previous = state.settings
                // Of a restarted process the environment is no longer read, and how it was started does not change.
                if settings.processorLevel == nil, engine.live.restartCount > 0 { settings.processorLevel = previous?.processorLevel }
                state.settings = settings
                state.isSwitchedOff = false
                return (previous, state.inherited)
            }
            forgetParentIfForked()
            state.withLock { engine.live.setHookCount($0.hookCount) }
            // Order: the thread before the signal, because the first checkpoint may have hooks to run.
            startThreadIfNeeded()
            let failure = engine.arm(ProcessFacts.plan(for: settings, inherited: inherited))
            guard failure == 0 else {
                state.withLock { state in
                    state.settings = previous
                    engine.live.setHookCount(state.hookCount)
                }
                engine.announce()
                throw CheckpointError(arming: settings, over: previous, errno: -failure)
            }
            // Once more: in the child of a fork the engine began with an empty live state.
            state.withLock { engine.live.setHookCount($0.hookCount) }
        }
    }

    package func disable() {
        if CurrentThread.isInHook || isDeferring {
            // A checkpoint that is under way waits for this hook or section, and disabling would wait for the checkpoint.
            disablesLater.store(true, ordering: .sequentiallyConsistent)
        } else {
            arming.withLock { _ in disarm() }
        }
    }

    /// The notes of an image of this moment, or a negative errno.
    func survey() throws(CheckpointError) -> (notes: [UInt8], errno: Int32) {
        guard !CurrentThread.isInHook else { throw .insideHook }
        guard !isDeferring else { throw .insideDeferring }
        return arming.withLock { _ in Engine.survey() }
    }

    private func disarm() {
        guard state.withLock({ $0.settings != nil }) else { return }
        _ = engine.disarm()
        state.withLock { state in
            state.settings = nil
            engine.live.setHookCount(state.hookCount)
        }
        engine.announce()
    }

    func disableIfAsked() {
        guard disablesLater.load(ordering: .relaxed), disablesLater.exchange(false, ordering: .sequentiallyConsistent) else { return }
        disable()
    }

    package func now() throws(CheckpointError) -> Outcome {
        guard !CurrentThread.isInHook else { throw .insideHook }
        guard !isDeferring else { throw .insideDeferring }
        let (isEnabled, isSwitchedOff) = state.withLock { ($0.settings != nil, $0.isSwitchedOff) }
        guard !isSwitchedOff else { throw .switchedOff }
        guard isEnabled else { throw .notEnabled }
        let live = engine.live
        let restarts = live.restartCount
        let firstReport = live.reportCount
        let ticket = engine.request()
        guard ticket > 0 else { throw .systemFailure(step: "asking for a checkpoint", errno: Int32(clamping: -ticket)) }
        while true {
            // Order: `event` before all that it announces, because what changes in between must not be waited for.
            let seen = live.event
            if live.restartCount != restarts {
                if restartIsDelivered { return .restarted(live.restartContext) }
            } else if live.completed >= ticket {
                if let (report, hookRun) = answer(to: UInt64(ticket), from: firstReport) {
                    return report.isTooSoon ? .tooSoon : try .saved(report.result(hookRun))
                }
            } else if !live.isArmed {
                throw .notEnabled
            }
            engine.wait(seen)
        }
    }

    /// True when this thread or task is inside `deferring`.
    private var isDeferring: Bool { CurrentThread.deferralDepth > 0 || DeferredSection.isInside }

    private var restartIsDelivered: Bool {
        !isThreadAlive.load(ordering: .sequentiallyConsistent)
            || state.withLock { $0.deliveredRestarts >= engine.live.restartCount }
    }

    /// The report that answers `ticket`; nil while its hooks still run.
    private func answer(to ticket: UInt64, from first: UInt64) -> (RawReport, HookRun?)? {
        let count = engine.live.reportCount
        let oldest = count > UInt64(CKPT_REPORT_RING) ? count - UInt64(CKPT_REPORT_RING) : 0
        for index in max(first, oldest)..<max(count, first, oldest) {
            guard let report = engine.live.report(index), report.ticket >= ticket || index + 1 == count else { continue }
            let isAlive = isThreadAlive.load(ordering: .sequentiallyConsistent)
            return state.withLock { state in
                state.deliveredReports > index || !isAlive ? (report, state.hookRuns[index]) : nil
            }
        }
        return nil
    }

    /// Counts one more inside `deferring`.
    package func enterDeferral() { engine.live.enterDeferral() }
    /// Counts one less; the last one takes the checkpoint that was asked for meanwhile.
    package func leaveDeferral() {
        if engine.live.leaveDeferral() { _ = engine.request() }
        if !isDeferring { disableIfAsked() }
    }

    private func surroundings() throws(CheckpointError) -> Settings.Surroundings {
        let (directory, _) = ProcessFacts.directory()
        let live = engine.live
        guard live.restartCount > 0 else {
            return Settings.Surroundings(
                variable: ProcessFacts.environmentValue, directory: directory, programName: ProcessFacts.programName,
                toolPaths: ProcessFacts.toolPaths, isExecutable: ProcessFacts.isExecutable, glibcFeatures: ProcessFacts.glibcFeatures)
        }
        let environment = live.restartContext.environment
        return Settings.Surroundings(
            variable: { name in environment[name].flatMap { $0.isEmpty ? nil : Array($0.utf8) } },
            directory: directory, programName: ProcessFacts.programName, restartedPath: live.imagePath,
            toolPaths: ProcessFacts.toolPaths, isExecutable: ProcessFacts.isExecutable, glibcFeatures: ProcessFacts.glibcFeatures)
    }
}

extension CheckpointError {
    fileprivate init(arming settings: Settings, over previous: Settings?, errno: Int32) {
        switch errno {
        case EBUSY:
            // The engine does not say which of the two; the one that is new and handled is it.
            let isFree = settings.signal == previous?.signal || !ProcessFacts.isHandled(settings.signal)
            self = .signalInUse(isFree ? settings.exitSignal ?? settings.signal : settings.signal)
        case EPERM where Engine.refusedCall != nil:
            self = .unsupported("a seccomp filter of the program forbids the system call \(Engine.refusedCall ?? ""), which checkpoints need")
        case ENOSYS, EOPNOTSUPP: self = .unsupported("enabling checkpoints: \(text(ofErrno: errno))")
        default: self = .systemFailure(step: "enabling checkpoints", errno: errno)
        }
    }
}
