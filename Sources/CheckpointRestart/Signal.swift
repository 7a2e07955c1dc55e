// SPDX-License-Identifier: Apache-2.0
import CCheckpointABI
import CheckpointImage
import SystemPackage

/// Signal actions and pending signals.
enum Signals {
    static let uncatchable: Set<Int32> = [9, 19]

    /// Every action, those that the image does not name as the default.
    static func actions(image: Image, only wanted: Set<Int32>? = nil, block: inout RestartBlock) -> [Operation] {
        let byNumber = Dictionary(image.signalActions.map { ($0.number, $0) }) { first, _ in first }
        return (1...64).compactMap { (number: Int32) -> Operation? in
            if uncatchable.contains(number) || wanted?.contains(number) == false { return nil }
            let action = byNumber[number] ?? SignalAction()
            var bytes: [UInt8] = []
            for word in [action.handler, action.flags, action.restorer, action.mask] { bytes.append(integer: word) }
            return Operation(CKPT_RESTART_STEP_SIGNAL_ACTION, .rtSigaction, [UInt64(number), block.place(bytes), 0, 8])
        }
    }

    /// Blocks everything, until rt_sigreturn brings the program's own mask back.
    static func block(_ block: inout RestartBlock) -> Operation {
        Operation(CKPT_RESTART_STEP_SIGNALS_BLOCK, .rtSigprocmask, [2, block.place([UInt8](repeating: 0xff, count: 8)), 0, 8])
    }

    /// Whether they can be queued: behind the point of no return it would be too late.
    static func check(_ image: Image) throws(RestartFailure) {
        var limit = [UInt8](repeating: 0xff, count: 16)
        _ = try? Kernel.withBytes(&limit) { address throws(Errno) in try Kernel.call(.prlimit, 0, 11, 0, address) }  // RLIMIT_SIGPENDING
        let count = image.queuedSignals.count + image.timers.count
        guard UInt64(count) > limit.word64(at: 0) else { return }
        throw RestartFailure(
            kind: .permission, what: "\(count) signals are pending or kept for timers, and no more than \(limit.word64(at: 0)) are allowed here",
            remedy: "raise the limit of pending signals (ulimit -i)")
    }

    /// Pending for the process. The signal that asks for checkpoints is left out, and libc's own two: they were ours.
    static func queued(_ image: Image, _ block: inout RestartBlock) -> [Operation] {
        let own = ownSignals(image.process), queued = Queued(image)
        return numbers(image.process.pendingSignals).filter { !own.contains($0) }.flatMap { number -> [Operation] in
            let known = queued.of(number, for: 0)
            if !known.isEmpty { return known.flatMap { operations($0, image.process, &block) } }
            // Those that the first thread took are all in its queue: see capture_signal.c.
            if !queued.of(number, for: image.process.pid).isEmpty { return [] }
            return [Operation(CKPT_RESTART_STEP_THREAD_SIGNAL, .kill, [0, UInt64(number)], substitute: 256)]
        }
    }

    /// What is said of pending signals, by thread.
    struct Queued {
        private let process: ProcessState
        private let byTid: [Int32: [QueuedSignal]]

        init(_ image: Image) {
            process = image.process
            byTid = Dictionary(grouping: image.queuedSignals, by: \.tid)
        }

        func of(_ number: Int32, for tid: Int32) -> [QueuedSignal] { (byTid[tid] ?? []).filter { $0.number == number } }

        /// Pending for one thread. libc's own: only what is known to be the program's, a timer of SIGEV_THREAD or pthread_cancel.
        func operations(for thread: ThreadState, _ block: inout RestartBlock) -> [Operation] {
            Signals.numbers(thread.pendingSignals).filter { $0 != 33 }.flatMap { number -> [Operation] in
                let known = of(number, for: thread.tid)
                if !known.isEmpty { return known.flatMap { Signals.operations($0, process, &block) } }
                if number == 32 { return [] }
                return [Operation(CKPT_RESTART_STEP_THREAD_SIGNAL, .tgkill, [0, 0, UInt64(number)], substitute: 256 | 2)]
            }
        }
    }

    /// As it was queued. Kernel: to itself a thread may send any si_code, and to the process when it is the first.
    private static func operations(_ signal: QueuedSignal, _ process: ProcessState, _ block: inout RestartBlock) -> [Operation] {
        let information = block.place(signal.information), number = UInt64(signal.number)
        var operations: [Operation] = []
        // What the program has sent to itself comes from the id that it has now.
        if signal.sender == process.pid {
            var sender = Operation.poke(0, byteCount: 4, at: information + UInt64(QueuedSignal.senderOffset))
            sender.substitute = 256 << 1
            operations.append(sender)
        }
        operations.append(signal.tid == 0
            ? Operation(CKPT_RESTART_STEP_THREAD_SIGNAL, .rtSigqueueinfo, [0, number, information], substitute: 256)
            : Operation(CKPT_RESTART_STEP_THREAD_SIGNAL, .rtTgsigqueueinfo, [0, 0, number, information], substitute: 256 | 2))
        return operations
    }

    private static func numbers(_ set: UInt64) -> [Int32] {
        (1...64).filter { set & (1 << UInt64($0 - 1)) != 0 }
    }

    /// The beacon's name tells signal and exit signal: "ckpt.1.10.0".
    private static func ownSignals(_ process: ProcessState) -> Set<Int32> {
        Set([32, 33] + process.beaconName.split(separator: ".").suffix(2).compactMap { Int32($0) })
    }
}
