// SPDX-License-Identifier: Apache-2.0

/// Checkpoints of this process, taken by itself.
///
///     try Checkpoint.enable()
///
///     $ kill -USR1 PID            # writes ./program.img; the program runs on
///     $ ckpt-restart program.img  # later, elsewhere: the program continues where it was
///
/// All of it can be called from any thread. A program without hooks and without readers of ``events`` gets no thread of
/// ours: a second thread makes single-threaded programs slower, because the C library then takes real locks.
public enum Checkpoint {
    /// Arms the process: from now on its signal takes a checkpoint. Once more: new settings.
    ///
    /// The image's path is made absolute here, and the variables of the environment are read here, once. With
    /// `CKPT_DISABLE` set this does nothing. Costs some system calls and two mappings; nothing while no checkpoint is taken.
    /// - Throws: ``CheckpointError/invalidSetting(name:value:reason:)``; ``CheckpointError/signalInUse(_:)`` when the program
    ///   handles that signal itself; ``CheckpointError/insideHook``, ``CheckpointError/insideDeferring``. A process that was
    ///   enabled before keeps its settings.
    public static func enable(_ configuration: Configuration = .init()) throws(CheckpointError) {
        try Coordinator.own.enable(configuration)
    }

    /// Gives the signal back and leaves no trace; hooks stay registered for another `enable()`.
    ///
    /// Waits for a checkpoint that is under way. Inside a hook it takes effect when the hooks have run, inside `deferring`
    /// when the thread or task leaves.
    public static func disable() { Coordinator.own.disable() }

    /// Takes a checkpoint and returns when it is durable: `.saved` here, `.restarted` in every process made from the image;
    /// `.tooSoon` at once when ``Configuration/minimumInterval`` is not over.
    ///
    /// Blocks the calling thread for as long as the writing takes; the other threads go on. While some thread is inside
    /// `deferring`, that long too.
    /// - Throws: what became of it when there is no image; ``CheckpointError/insideHook`` and
    ///   ``CheckpointError/insideDeferring`` where it would wait for itself.
    public static func now() throws(CheckpointError) -> Outcome { try Coordinator.own.now() }

    /// Runs `body`, and no checkpoint starts while any thread is inside. A request made meanwhile is taken when the last
    /// one leaves. Nests. Costs two atomic operations.
    public static func deferring<Result: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        CurrentThread.enterDeferral()
        Coordinator.own.enterDeferral()
        defer {
            // Order: the thread's own count first, because the last one may take the checkpoint right here.
            CurrentThread.leaveDeferral()
            Coordinator.own.leaveDeferral()
        }
        return try body()
    }

    /// The same around suspensions: no checkpoint starts until `body` is over, on whatever threads it runs.
    public static func deferring<Result, Failure: Error>(
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        let section = DeferredSection(within: DeferredSection.current)
        Coordinator.own.enterDeferral()
        defer {
            section.close()
            Coordinator.own.leaveDeferral()
        }
        let result: Swift.Result<Result, Failure> = await DeferredSection.$current.withValue(section) {
            do throws(Failure) { return .success(try await body()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Before each freeze, in reverse order of registration. A hook that throws cancels this checkpoint; the others still
    /// run, the after-hooks see `.cancelled`, and the error names each hook that threw by `name`.
    ///
    /// Hooks run one after another on a thread of their own, with every signal blocked, while the program goes on; their
    /// time is reported apart from the pause. The checkpoint waits for them.
    @discardableResult
    public static func beforeCheckpoint(
        _ name: String? = nil, fileID: StaticString = #fileID, line: UInt = #line, _ body: @escaping @Sendable () throws -> Void
    ) -> Registration {
        Coordinator.own.addHook(name ?? "\(fileID):\(line)", before: body)
    }

    /// After each thaw, in order of registration, also when the checkpoint was cancelled or failed. Not in a process made from
    /// the image: there ``afterRestart(_:)`` runs.
    @discardableResult
    public static func afterCheckpoint(_ body: @escaping @Sendable (HookOutcome) -> Void) -> Registration {
        Coordinator.own.addHook(after: body)
    }

    /// In each process made from an image, in order of registration, before `now()` returns there. The other threads of the
    /// program go on meanwhile.
    @discardableResult
    public static func afterRestart(_ body: @escaping @Sendable (RestartContext) -> Void) -> Registration {
        Coordinator.own.addHook(restart: body)
    }

    /// Every checkpoint and restart from now on.
    public static var events: CheckpointEvents { CheckpointEvents(.own) }
}
