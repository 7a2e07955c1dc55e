// SPDX-License-Identifier: Apache-2.0
internal import CCheckpointABI
internal import Synchronization

/// The checkpoint thread: runs hooks and passes events on. There is none in a program that has neither hooks nor readers.
extension Coordinator {
    /// Starts the thread when checkpoints are enabled and somebody needs it.
    func startThreadIfNeeded() {
        let starts = state.withLock { state in
            guard state.needsThread, !isThreadAlive.load(ordering: .sequentiallyConsistent) else { return false }
            if state.readers.isEmpty {
                state.deliveredReports = engine.live.reportCount
                state.deliveredRestarts = engine.live.restartCount
            }
            isThreadAlive.store(true, ordering: .sequentiallyConsistent)
            return true
        }
        if starts, !CheckpointThread.start(self) { isThreadAlive.store(false, ordering: .sequentiallyConsistent) }
    }

    /// In the child of a fork, where only the thread that forked is there. No lock may be taken here: another thread may
    /// have held it.
    func noticeFork() {
        isThreadAlive.store(false, ordering: .sequentiallyConsistent)
        isForked.store(true, ordering: .sequentiallyConsistent)
        engine.live.setHookCount(0)
    }

    /// The child's own `enable()` starts anew: its parent's reports and readers are not its own.
    func forgetParentIfForked() {
        guard isForked.exchange(false, ordering: .sequentiallyConsistent) else { return }
        state.withLock { state in
            state.readers = []
            state.hookRun = nil
            state.hookRuns = [:]
            state.deliveredReports = 0
            state.deliveredRestarts = 0
        }
    }

    /// What the thread does until nobody needs it any more.
    package func serve() {
        while true {
            // Order: `event` before all that it announces, because what changes in between must not be waited for.
            let seen = engine.live.event
            noticeRestart()
            answerScribe()
            deliverReports()
            if endThread() { return }
            engine.wait(seen)
        }
    }

    private func endThread() -> Bool {
        let ends = state.withLock { state in
            // Order: the settings before what is still to do, because `disable()` takes the settings away when the last
            // checkpoint is over.
            guard !state.needsThread, engine.live.hookPhase != CKPT_HOOK_AFTER.rawValue,
                state.deliveredReports >= engine.live.reportCount else { return false }
            isThreadAlive.store(false, ordering: .sequentiallyConsistent)
            return true
        }
        if ends { engine.announce() }
        return ends
    }

    private func runHooks<Result>(_ body: (Hooks) -> Result) -> (result: Result, duration: Duration) {
        let hooks = state.withLock { $0.hooks }
        CurrentThread.isInHook = true
        defer { CurrentThread.isInHook = false }
        let started = ProcessFacts.monotonicTime()
        let result = body(hooks)
        return (result, ProcessFacts.monotonicTime() - started)
    }

    private func noticeRestart() {
        let count = engine.live.restartCount
        guard state.withLock({ $0.deliveredRestarts < count }) else { return }
        let context = engine.live.restartContext
        _ = runHooks { $0.runRestart(context) }
        let isVerbose = state.withLock { state in
            // What was under way went on in the process that was saved, not here.
            state.hookRun = nil
            for reader in state.readers where reader.firstRestart < count { reader.continuation.yield(.restarted(context)) }
            state.deliveredRestarts = count
            return state.settings?.isVerbose == true
        }
        if isVerbose { printToStandardError(CheckpointEvent.restarted(context).line) }
        engine.announce()
        disableIfAsked()
    }

    private func answerScribe() {
        switch ckpt_hook_phase(rawValue: engine.live.hookPhase) {
        case CKPT_HOOK_BEFORE:
            let trimsHeap = state.withLock { $0.settings?.trimsHeap == true }
            let (refusals, duration) = runHooks { hooks in
                let refusals = hooks.runBefore()
                // Order: behind the hooks of the program, because these may free what it can do without.
                if trimsHeap && refusals.isEmpty { ProcessFacts.trimHeap() }
                return refusals
            }
            state.withLock { $0.hookRun = HookRun(duration: duration, refusals: refusals) }
            let answer = refusals.isEmpty ? CKPT_HOOK_GO : CKPT_HOOK_CANCEL
            engine.live.changeHookPhase(from: CKPT_HOOK_BEFORE.rawValue, to: answer.rawValue)
            engine.announce()
        case CKPT_HOOK_AFTER:
            let outcome: HookOutcome = switch ckpt_outcome(rawValue: engine.live.hookOutcome) {
            case CKPT_OUTCOME_SAVED: .captured
            case CKPT_OUTCOME_CANCELLED: .cancelled
            default: .failed
            }
            let (_, duration) = runHooks { $0.runAfter(outcome) }
            state.withLock { $0.hookRun?.duration += duration }
            engine.live.changeHookPhase(from: CKPT_HOOK_AFTER.rawValue, to: CKPT_HOOK_IDLE.rawValue)
            engine.announce()
            disableIfAsked()
        default: break
        }
    }

    private func deliverReports() {
        while true {
            let count = engine.live.reportCount
            // Order: the count before the phase, because the scribe asks for the after-hooks before it writes the report,
            // and the report tells how long they took.
            if engine.live.hookPhase == CKPT_HOOK_AFTER.rawValue { return }
            let index = state.withLock { $0.deliveredReports }
            guard index < count else { return }
            guard let report = engine.live.report(index) else {
                state.withLock { $0.deliveredReports = max(index + 1, count - min(count, UInt64(CKPT_REPORT_RING) - 1)) }
                continue
            }
            let (event, isVerbose) = state.withLock { state in
                let event = report.event(state.hookRun)
                state.hookRuns[index] = state.hookRun
                state.hookRuns = state.hookRuns.filter { $0.key + UInt64(CKPT_REPORT_RING) > index }
                state.hookRun = nil
                for reader in state.readers where reader.firstReport <= index { reader.continuation.yield(event) }
                state.deliveredReports = index + 1
                return (event, state.settings?.isVerbose == true)
            }
            if isVerbose { printToStandardError(event.line) }
            engine.announce()
        }
    }
}

extension Coordinator {
    package func addHook(_ name: String, before body: @escaping @Sendable () throws -> Void) -> Registration {
        addHook(name, .before(body))
    }
    package func addHook(after body: @escaping @Sendable (HookOutcome) -> Void) -> Registration { addHook("", .after(body)) }
    package func addHook(restart body: @escaping @Sendable (RestartContext) -> Void) -> Registration { addHook("", .restart(body)) }

    private func addHook(_ name: String, _ action: Hooks.Action) -> Registration {
        let number = state.withLock { state in
            let number = state.hooks.add(name, action)
            engine.live.setHookCount(state.hookCount)
            return number
        }
        startThreadIfNeeded()
        return Registration(coordinator: self, number: number)
    }

    /// False: no such hook.
    @discardableResult
    package func cancelHook(_ number: Int64) -> Bool {
        state.withLock { state in
            defer { engine.live.setHookCount(state.hookCount) }
            return state.hooks.remove(number)
        }
    }

    func addReader(from events: CheckpointEvents, _ continuation: AsyncStream<CheckpointEvent>.Continuation) {
        startThreadIfNeeded()
        let number = state.withLock { state in
            state.lastReader += 1
            let reader = Reader(
                number: state.lastReader, firstReport: events.firstReport, firstRestart: events.firstRestart,
                continuation: continuation)
            for index in reader.firstReport..<max(reader.firstReport, state.deliveredReports) {
                if let report = engine.live.report(index) { continuation.yield(report.event(state.hookRuns[index])) }
            }
            if reader.firstRestart < state.deliveredRestarts { continuation.yield(.restarted(engine.live.restartContext)) }
            state.readers.append(reader)
            return reader.number
        }
        continuation.onTermination = { [self] _ in state.withLock { $0.readers.removeAll { $0.number == number } } }
        startThreadIfNeeded()
    }
}

extension Coordinator.State {
    var needsThread: Bool {
        guard let settings else { return false }
        return settings.isVerbose || settings.trimsHeap || !hooks.isEmpty || !readers.isEmpty
    }

    /// What the scribe must wait for around a freeze: hooks, and the heap that is trimmed.
    var hookCount: Int { hooks.countAroundFreeze + (settings?.trimsHeap == true ? 1 : 0) }
}
